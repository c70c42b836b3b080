"""What one address may do at the front door: connections, half-open ones, requests, refused tokens.

Rules:
* An address is a group of `peers.address_group`: an IPv4 address, or an IPv6 /64.
* Connections are counted; requests and refused tokens draw from buckets that fill with time.
* An address about which there is nothing to remember (no connection, full buckets) is forgotten. Beyond
  `MAX_ADDRESSES` the one that was quiet for longest is, as long as it has no connection: memory is bounded by that
  number plus the open connections, whatever is thrown at the port.

The defaults suit an address that many share: a stadium's or an office's, or a carrier's NAT, which puts 64 subscribers
(RFC 7422's example 1:64) and more behind one. A page has one socket and up to six connections (browsers, HTTP/1.1), a
player asks for two to four things every 2 s. nginx, Apache and HAProxy set no limits of this kind by themselves; their
examples (limit_conn 10 to 100, limit_req 1 to 50 a second) are for one viewer an address.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

Why = Literal["connections", "half_open", "requests", "refused_tokens"]

MAX_ADDRESSES = 65_536
"""Addresses remembered without a connection: some 20 MB at most."""

TELL_S = 10.0
"""How often the log hears of one address's refusals."""


@dataclass(frozen=True, slots=True)
class AddressLimits:
    """What an address may do.

    Args:
        max_connections: open at once, sockets included; 2,000 viewers with one socket and one connection each.
        max_half_open: open at once without a first request; clients send theirs at once, browsers keep a spare one.
        requests_per_s: sustained; 500 viewers with two renditions of 2 s segments.
        request_burst: at once; 1,000 players that start together ask for the top and a media playlist, and a segment.
        refused_tokens_per_s: forged or missing tokens, sustained; an honest client has none of them twice.
        refused_token_burst: at once; a page full of players whose tokens' key was withdrawn.
    """

    max_connections: int = 4_096
    max_half_open: int = 256
    requests_per_s: float = 1_000.0
    request_burst: int = 4_000
    refused_tokens_per_s: float = 5.0
    refused_token_burst: int = 200


@dataclass(frozen=True, slots=True)
class Over:
    """An address is beyond a limit."""

    why: Why
    retry_after_s: int


@dataclass(slots=True)
class _Address:
    requests: float
    guesses: float
    filled_at: float
    connections: int = 0
    half_open: int = 0
    told_at: float = float("-inf")


class Allowances:
    """Keep account of all addresses.

    Args:
        limits: what each may do.
    """

    def __init__(self, limits: AddressLimits) -> None:
        self.limits = limits
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._connected: dict[str, _Address] = {}
        self.refused: dict[Why, int] = {"connections": 0, "half_open": 0, "requests": 0, "refused_tokens": 0}
        """How often each limit was met."""

    def __len__(self) -> int:
        return len(self._addresses) + len(self._connected)

    @property
    def connections(self) -> int:
        """Return how many connections are counted."""
        return sum(one.connections for one in self._connected.values())

    @property
    def half_open(self) -> int:
        """Return how many of them have not made a request."""
        return sum(one.half_open for one in self._connected.values())

    def enter(self, address: str, *, half_open: bool, now: float) -> Over | None:
        """Count a connection; return why it must not stay. It is counted all the same, until `leave`.

        Args:
            address: a group of addresses.
            half_open: whether its first request is still to come.
            now: seconds that never step back.
        """
        one = self._find(address, now)
        if one.connections == 0:
            self._addresses.pop(address, None)
            self._connected[address] = one
        one.connections += 1
        one.half_open += half_open
        if one.connections > self.limits.max_connections:
            return self._over("connections", 1.0)
        if half_open and one.half_open > self.limits.max_half_open:
            return self._over("half_open", 1.0)
        return None

    def asked(self, address: str) -> None:
        """Take note that a half-open connection has made its first request."""
        self._connected[address].half_open -= 1

    def leave(self, address: str, *, half_open: bool) -> None:
        """Forget a connection; arguments as they stand now."""
        one = self._connected[address]
        one.connections -= 1
        one.half_open -= half_open
        if one.connections == 0:
            del self._connected[address]
            self._keep(address, one)

    def request(self, address: str, now: float) -> Over | None:
        """Count a request; return why it must not be answered."""
        one = self._find(address, now)
        if one.requests < 1.0:
            return self._over("requests", (1.0 - one.requests) / self.limits.requests_per_s)
        one.requests -= 1.0
        return None

    def guess(self, address: str, now: float) -> Over | None:
        """Count a token that was refused; return whether there were too many to answer any."""
        over = self.exhausted(address, now)
        if over is None:
            self._find(address, now).guesses -= 1.0
        return over

    def exhausted(self, address: str, now: float) -> Over | None:
        """Return whether an address has had too many tokens refused to try another one."""
        one = self._find(address, now)
        if one.guesses >= 1.0:
            return None
        return self._over("refused_tokens", (1.0 - one.guesses) / self.limits.refused_tokens_per_s)

    def is_news(self, address: str, now: float) -> bool:
        """Return whether the log has not heard of an address's refusals lately; it has now."""
        one = self._find(address, now)
        if now - one.told_at < TELL_S:
            return False
        one.told_at = now
        return True

    def _find(self, address: str, now: float) -> _Address:
        limits = self.limits
        one = self._connected.get(address) or self._addresses.get(address)
        if one is None:
            one = _Address(float(limits.request_burst), float(limits.refused_token_burst), now)
            self._keep(address, one)
            return one
        passed = now - one.filled_at
        if passed > 0.0:
            one.filled_at = now
            one.requests = min(float(limits.request_burst), one.requests + passed * limits.requests_per_s)
            one.guesses = min(float(limits.refused_token_burst), one.guesses + passed * limits.refused_tokens_per_s)
            if one.connections == 0:
                self._addresses.move_to_end(address)
        return one

    def _keep(self, address: str, one: _Address) -> None:
        limits = self.limits
        self._addresses[address] = one
        # The quietest come first: those whose buckets are full by now say nothing, and beyond the bound the first goes.
        while self._addresses:
            first, oldest = next(iter(self._addresses.items()))
            passed = one.filled_at - oldest.filled_at
            rested = (
                oldest.requests + passed * limits.requests_per_s >= limits.request_burst
                and oldest.guesses + passed * limits.refused_tokens_per_s >= limits.refused_token_burst
            )
            if first == address or not (rested or len(self._addresses) > MAX_ADDRESSES):
                return
            del self._addresses[first]

    def _over(self, why: Why, wait_s: float) -> Over:
        self.refused[why] += 1
        return Over(why, max(1, math.ceil(wait_s)))
