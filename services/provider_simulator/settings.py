"""The simulator's settings, read from `SWITCHYARD_PROVIDER_SIMULATOR_…`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.settings import Port, ServiceSettings


class ProviderSimulatorSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_PROVIDER_SIMULATOR_")

    host: str = Field("127.0.0.1", description="host to listen on")
    port: Port = Field(0, description="port to listen on; 0 is a free one")
    catalogue: Path = Field(
        Path(__file__).with_name("catalogue.json"), description="JSON file of providers and models to stand in for"
    )
    require_bearer: bool = Field(True, description="refuse requests without a bearer token; any token will do")
    refuse_unknown_parameters: bool = Field(
        False, description="refuse fields that OpenAI does not know, as OpenAI does and many others do not"
    )
    max_body_bytes: int = Field(64 * 1024 * 1024, ge=1024, le=2**30, description="bytes of a request body at most")
    request_limit_s: float = Field(
        3600.0, gt=0, le=86_400, description="seconds until a request is cut, whatever its directive says"
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged")
