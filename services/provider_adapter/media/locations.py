"""Which URLs are followed: scheme, host and port.

Owns that rule, for what the caller wrote and for each redirect alike. Does not resolve names: whether an address may be
connected to is decided when it is (addresses.py). Invariant: what is given back is an absolute http(s) URL without user
and fragment, whose host is a name or a canonical address that passed.
"""

from yarl import URL

from services.provider_adapter.media.addresses import may_connect
from services.provider_adapter.media.refusals import RefusedAddressError

MOST_CHARACTERS = 8_192
_PORTS = frozenset({80, 443, 8080, 8443})


def checked_location(text: str, *, allow_private: bool, base: URL | None = None) -> URL:
    """The URL to ask.

    Args:
        text: as the caller or a redirect wrote it.
        allow_private: any port, and addresses of private networks.
        base: of a redirect, where it came from.

    Raises:
        RefusedAddressError: it is not followed.
    """
    if len(text) > MOST_CHARACTERS:
        raise RefusedAddressError
    try:
        url = URL(text.strip())
        if base is not None:
            url = base.join(url)
        host, port = url.host, url.port
    except (ValueError, TypeError):
        raise RefusedAddressError from None
    if url.scheme not in {"http", "https"} or not host or port is None:
        raise RefusedAddressError
    if url.user is not None or url.password is not None:
        raise RefusedAddressError
    if base is not None and base.scheme == "https" and url.scheme != "https":
        raise RefusedAddressError
    if not allow_private and port not in _PORTS:
        raise RefusedAddressError
    if _is_numeric(host) and not may_connect(host, allow_private=allow_private):
        raise RefusedAddressError
    return url.with_fragment(None)


def _is_numeric(host: str) -> bool:
    """Whether this is an address and no name; spellings that only some resolvers understand count, and never pass."""
    last = host.rstrip(".").rpartition(".")[2]
    return ":" in host or last.isdigit() or last[:2].lower() == "0x"
