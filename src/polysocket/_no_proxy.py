"""The hosts that ``NO_PROXY`` exempts from the proxy, by the rules of Go's ``golang.org/x/net/http/httpproxy``.

There is no standard. Go's rules are the ones that most programs of today share: curl, Docker and Kubernetes understand
nearly the same entries.
"""

from __future__ import annotations

import ipaddress
import re

from polysocket.url import encode_idna, usual_notation, without_zone

__all__ = ["is_exempt"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# A host or an address with a port; an IPv6 address stands in brackets then.
_HOST_AND_PORT = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<host>[^:]*))(?::(?P<port>[0-9]{0,5}))?")

_MAPPED_PREFIX = 96  # bits before the IPv4 address in an IPv6 address (RFC 4291 §2.5.5.2)


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a host is exempt from the proxy: ``localhost``, loopback addresses, and the entries' hosts.

    The entries of ``no_proxy`` are separated by commas or spaces:

    - ``*`` matches each host.
    - ``example.com`` matches the name and its subdomains, ``.example.com`` and ``*.example.com`` the subdomains only.
    - ``192.0.2.1`` and ``2001:db8::1`` match an address, ``10.0.0.0/8`` and ``fd00::/8`` each address of a network.
    - ``example.com:8443`` and ``[2001:db8::1]:8443`` match on that port only.

    An entry that can't be understood matches nothing.
    """
    host = without_zone(host).removesuffix(".").lower()
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry, host, address, port) for entry in re.split(r"[,\s]+", no_proxy))


def _matches(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        network = _parse_network(entry)
        return address is not None and network is not None and address in network
    name, only_port = entry, ""
    if parts := _HOST_AND_PORT.fullmatch(entry):  # not if it is an IPv6 address without brackets
        name, only_port = parts["bracketed"] or parts["host"] or "", parts["port"] or ""
    if only_port and int(only_port) != port:
        return False
    try:
        name = name.lower() if name.isascii() else encode_idna(name)
    except UnicodeError:
        return False
    if (only_address := _parse_address(without_zone(name))) is not None:
        return address == only_address
    # By Go's rules, "2.1" is a domain. It may have been meant for the address 2.0.0.1, too.
    return _matches_name(name, host) or (address is not None and address == _parse_address(usual_notation(name)))


def _matches_name(name: str, host: str) -> bool:
    domain = name.removesuffix(".")
    if domain.startswith("*."):
        domain = domain[1:]
    bare = domain.removeprefix(".")
    return bool(bare) and (host.endswith(f".{bare}") or (domain[0] != "." and host == bare))


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if network.version == 6 and (mapped := network.network_address.ipv4_mapped) and network.prefixlen >= _MAPPED_PREFIX:
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))
    return network


def _parse_address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
