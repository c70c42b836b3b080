"""Who is really asking: the address behind proxies that are trusted, and the group by which addresses are limited.

Rules:
* A forwarding header counts only on a connection from a configured network, and only the configured one: a proxy adds
  to one header, and hands the client's own text in the other on.
* It is read from the right, at most as many entries as there are proxies: everything further left was written by who
  knows whom. An entry that is no address (RFC 7239, 6.3: "unknown", "_hidden") ends the walk; the last address that is
  known counts.
* Whether a client speaks TLS says the proxy nearest to us: X-Forwarded-Proto's last entry, or the last `proto` of
  Forwarded, whichever of the two headers is configured. Where it says nothing, the client does not.
* IPv6 clients have a whole /64 (RFC 6177): the network is the group. An IPv4 address in IPv6's clothes is the IPv4 one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

from kernel.errors import SettingsError
from relay.place.addresses import parse_address

ProxyHeader = Literal["x-forwarded-for", "forwarded"]

MAX_HOPS = 8
"""Proxies in a row that can be configured; a CDN, a balancer and a sidecar make three."""

_IPV6_GROUP_BITS = 64
# RFC 7239, 4 and 6: node identifiers, perhaps quoted, IPv6 in brackets, perhaps with a port.
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"\\]*)"|([^";\s]*))', re.IGNORECASE)
_PROTO = re.compile(r'(?:^|;)\s*proto\s*=\s*"?([A-Za-z]+)"?', re.IGNORECASE)
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")


class TrustedProxies:
    """Find the client's address.

    Args:
        networks: where proxies connect from, as CIDR ("10.0.0.0/8") or single addresses.
        hops: how many of them stand in a row at most, 1 to 8.
        header: the one header that they add to.

    Raises:
        SettingsError: a network is none, or is everybody.
    """

    def __init__(self, networks: Iterable[str] = (), *, hops: int = 1, header: ProxyHeader = "x-forwarded-for") -> None:
        self._networks = tuple(_network(text) for text in networks)
        if not 1 <= hops <= MAX_HOPS:
            raise SettingsError(f"proxy_hops: {hops}: 1 to {MAX_HOPS} proxies may stand in a row")
        self._hops = hops
        self._header = header.encode()

    def trusts(self, address: str) -> bool:
        """Return whether a connection from `address` comes from a configured proxy."""
        found = parse_address(address) if self._networks else None
        return found is not None and any(found in network for network in self._networks)

    def client(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """Return who asks.

        Args:
            peer: the address at the other end of the connection.
            headers: the request's fields, names in lower case.
        """
        if not self.trusts(peer):
            return peer
        values = [value.decode("latin-1") for name, value in headers if name == self._header]
        # RFC 9110, 5.3: fields of one name are one list, in their order. What lies beyond the hops is not looked at.
        entries = ",".join(values).rsplit(",", self._hops)[-self._hops :] if values else []
        known = peer
        for entry in reversed(entries):
            node = _forwarded_for(entry) if self._header == b"forwarded" else entry
            address = _node_address(node)
            if address is None:
                break
            known = str(address)
            if not self.trusts(known):
                break
        return known

    def scheme(self, headers: Sequence[tuple[bytes, bytes]]) -> Literal["http", "https"]:
        """Return how the client of a request speaks to the outermost proxy, by what the innermost says.

        Args:
            headers: the fields of a request that came from a trusted proxy, names in lower case.
        """
        name = self._header if self._header == b"forwarded" else b"x-forwarded-proto"
        values = [value.decode("latin-1") for one, value in headers if one == name]
        last = values[-1].rpartition(",")[2].strip() if values else ""
        if self._header == b"forwarded":
            match = _PROTO.search(last)
            last = match[1] if match else ""
        return "https" if last.lower() == "https" else "http"


@lru_cache(maxsize=4_096)
def address_group(text: str) -> str:
    """Return what is limited as one: an IPv4 address, an IPv6 /64, or the text where it is no address."""
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _IPV6_GROUP_BITS), strict=False))
    return text if address is None else str(address)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        everybody = " (anybody could then claim any address)" if "*" in text else ""
        raise SettingsError(
            f"trusted_proxies: {text!r} is no network{everybody}: write those of your proxies, such as 10.0.0.0/8"
        ) from error
    if network.prefixlen == 0:
        raise SettingsError(
            f"trusted_proxies: {text!r} is everybody, who could then claim any address: write those of your proxies"
        )
    return network


def _forwarded_for(element: str) -> str:
    match = _FOR.search(element)
    return (match[1] or match[2] or "") if match else ""


def _node_address(node: str) -> IPv4Address | IPv6Address | None:
    match = _NODE.fullmatch(node.strip())
    return parse_address(match[1] or match[2] or match[3]) if match else None
