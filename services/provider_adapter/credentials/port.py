"""The contract of what proves who calls, where a constant header is not enough."""

from collections.abc import Mapping
from typing import Protocol


class Authorizer(Protocol):
    """Made once per upstream; may keep a token until it expires."""

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Headers for this one request.

        Raises:
            ProviderFailedError: the credential is of no use, or whoever gives tokens cannot be reached.
        """
        ...
