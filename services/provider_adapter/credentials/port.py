"""The contract of what proves who calls, where a constant header is not enough."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Place(NamedTuple):
    """Where a credential is used.

    Attributes:
        token_url: where it is exchanged for tokens; empty: it is not exchanged.
        account: what the host wants to be told beside the credential.
        proxy: on the way to both; empty: none.
    """

    base_url: str
    token_url: str = ""
    account: Mapping[str, str] = _NOTHING
    proxy: str = ""


class Authorizer(Protocol):
    """Made once per upstream; may keep a token until it expires."""

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Headers for this one request.

        Raises:
            ProviderFailedError: the credential is of no use, or whoever gives tokens cannot be reached.
        """
        ...

    def refused(self) -> None:
        """The host did not accept the proof: whoever keeps one may have to get another."""
        ...


class Answer(NamedTuple):
    """What a token server said; `body` is its beginning."""

    status: int
    body: bytes


Ask = Callable[[str, Mapping[str, str], bytes, str], Awaitable[Answer]]
"""Posts to a token server: URL, headers, body and proxy.

Raises ProviderFailedError: no answer came.
"""
