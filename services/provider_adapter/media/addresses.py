"""Which network addresses media may be fetched from.

Owns that rule. Does not resolve names and connects to nothing. Invariant: an address that leads into a network of the
operator's, in whatever spelling, is refused; link-local ones and those of cloud metadata are refused even where private
networks are allowed.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_Address = IPv4Address | IPv6Address

# Public by number, and yet the host's own: Azure's wire server.
_METADATA_V4 = frozenset({IPv4Address("168.63.129.16"), IPv4Address("100.100.100.200"), IPv4Address("192.0.0.192")})
_METADATA_V6 = frozenset({IPv6Address("fd00:ec2::254"), IPv6Address("fd20:ce::254")})
_NEVER_V4 = (IPv4Network("0.0.0.0/8"), IPv4Network("192.88.99.0/24"), IPv4Network("240.0.0.0/4"))
_PRIVATE_V4 = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
)
_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_GLOBAL_V6 = IPv6Network("2000::/3")
_TEREDO = IPv6Network("2001::/32")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")


def may_connect(text: str, *, allow_private: bool) -> bool:
    """Whether media may be fetched from an address.

    Args:
        text: a numeric address as the resolver gave it; anything else is refused.
        allow_private: networks of the operator's own count as public.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _may_v4(address, allow_private=allow_private)
    if address.scope_id is not None:
        return False
    inner = _v4_inside(address)
    if inner is not None:
        return _may_v4(inner, allow_private=allow_private)
    return _may_v6(address, allow_private=allow_private)


def _may_v4(address: IPv4Address, *, allow_private: bool) -> bool:
    if address in _METADATA_V4 or address.is_link_local or address.is_multicast:
        return False
    if any(address in network for network in _NEVER_V4):
        return False
    if any(address in network for network in _PRIVATE_V4):
        return allow_private
    return address.is_global


def _may_v6(address: IPv6Address, *, allow_private: bool) -> bool:
    if address in _METADATA_V6:
        return False
    if any(address in network for network in _PRIVATE_V6):
        return allow_private
    return address in _GLOBAL_V6 and address not in _TEREDO and address.is_global


def _v4_inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets to this one go."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFF_FFFF)
    return None
