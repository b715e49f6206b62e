"""Which addresses may be spoken to when somebody else chose the host.

One rule, whatever way the host was written: what it resolves to, and every IPv4 address that is
embedded in that, must be allowed. Public addresses are; private ones within the networks that
an administrator names; metadata services, link-local and multicast addresses never.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from trimtab.kernel.errors import PolicyRefused

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


NEVER = _networks(
    "0.0.0.0/8",  # this host
    "169.254.0.0/16",  # link-local, and the metadata service of most clouds
    "224.0.0.0/4",
    "240.0.0.0/4",  # reserved, and broadcast
    "100.100.100.200/32",  # metadata of Alibaba Cloud
    "168.63.129.16/32",  # the platform of Azure, under an address that looks public
    "192.0.0.192/32",  # metadata of Oracle Cloud
    "::/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::254/128",  # metadata of AWS
    "fd20:ce::254/128",  # metadata of Google Cloud
)
"""No network that is allowed makes these allowed."""

NOT_PUBLIC = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001:db8::/32",
    "3fff::/20",
)
"""Only within the networks that are allowed, as is all of IPv6 that is not `GLOBAL_6`."""

GLOBAL_6 = _networks("2000::/3", "64:ff9b::/96")
_EMBEDS_LAST = _networks("64:ff9b::/96", "64:ff9b:1::/48")
_LOW_32 = 0xFFFFFFFF
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, compatible, NAT64, 6to4, Teredo,
    ISATAP."""
    if isinstance(address, IPv4Address):
        return ()
    number = int(address)
    found = list(address.teredo or ())
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    compatible = number >> 32 == 0 and number > 1
    if address.ipv4_mapped is not None or compatible or _within(address, _EMBEDS_LAST):
        found.append(IPv4Address(number & _LOW_32))
    if number >> 32 & _LOW_32 in _ISATAP:
        found.append(IPv4Address(number & _LOW_32))
    return tuple(found)


def demand_allowed(host: str, resolved: Sequence[str], networks: Sequence[Network]) -> None:
    """Make sure that every address that a host resolves to may be spoken to.

    Raises:
        PolicyRefused: one may not; which, and what an administrator can do.
    """
    for text in resolved:
        for address in _all(text):
            _demand(host, address, networks)


def _all(text: str) -> tuple[Address, ...]:
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return (address,)
    plain = IPv6Address(int(address))  # without its scope, which is in no network
    inner = embedded(plain)
    # A mapped address is the IPv4 address itself in another notation.
    return inner if plain.ipv4_mapped is not None else (plain, *inner)


def _demand(host: str, address: Address, networks: Sequence[Network]) -> None:
    shown = f"{host} leads to {address}"
    if _within(address, NEVER):
        raise PolicyRefused(
            f"{shown}, which is never spoken to: it is link-local, a metadata service, "
            "multicast or reserved",
            field="url",
            remedy="give the address of the server itself; this one cannot be allowed",
        )
    if not _is_public(address) and not _within(address, networks):
        raise PolicyRefused(
            f"{shown}, which is not a public address",
            field="url",
            remedy="an administrator can allow the network that it lies in, with the connection "
            "(--network) or in TRIMTAB_CONNECT_NETWORKS",
        )


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and not _within(address, GLOBAL_6):
        return False
    return not _within(address, NOT_PUBLIC)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == one.version and address in one for one in networks)
