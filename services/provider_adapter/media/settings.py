"""The limits on fetching media, and whether private networks are open to it."""

from pydantic import Field

from libs.settings import Group


class MediaSettings(Group):
    """How media is fetched that callers name by address, for providers that want bytes."""

    allow_private_networks: bool = Field(
        default=False, description="follow addresses of private networks, at any port; never metadata or link-local"
    )
    max_count: int = Field(default=32, ge=0, le=1000, description="addresses per request; 0: none is fetched")
    max_bytes: int = Field(default=20_971_520, ge=1, le=104_857_600, description="bytes of one")
    max_total_bytes: int = Field(default=52_428_800, ge=1, le=1_073_741_824, description="bytes of one request's")
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="seconds for all of one request's")
    max_redirects: int = Field(default=3, ge=0, le=20, description="redirects that are followed per address")
    max_connections: int = Field(default=64, ge=1, le=4096, description="fetched at a time, per process")
