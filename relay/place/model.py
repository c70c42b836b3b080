"""What is known of a place, and what is decided of it: values that readers, rules and records share.

Nothing here is looked up. An `IpPlace` is what the databases and lists say of an address; a `Fix` is what a device says
of itself; a `PlaceVerdict` is the answer of one policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from kernel.tokens import Reason
from kernel.value import Value


class NetworkClass(StrEnum):
    """What an address belongs to that hides where its user is. An address may be of several."""

    VPN = "vpn"
    PROXY = "proxy"
    TOR = "tor"
    DATA_CENTRE = "data_centre"
    RESIDENTIAL_PROXY = "residential_proxy"
    PRIVATE_RELAY = "private_relay"


class ClassAction(StrEnum):
    """What a policy does about a network class; every one of them is counted and recorded."""

    BLOCK = "block"
    WARN = "warn"
    ALLOW = "allow"


class Point(NamedTuple):
    """A position in degrees, WGS 84: longitude first, as GeoJSON (RFC 7946, 3.1.1) has it.

    `lon` lies within -180 to 180, `lat` within -90 to 90.
    """

    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Fix:
    """What a device says of where it is.

    Args:
        point: its position.
        accuracy_m: the radius within which it holds, in metres; at least 0.
        at: when it was taken, in Unix seconds.
    """

    point: Point
    accuracy_m: float
    at: float


class PlaceVerdict(Value, frozen=True):
    """What a policy says of a place.

    Args:
        watch: why watching is refused, None if it is not.
        wager: why wagering is refused, None if it is not.
        warning: what is let through and said nevertheless.
        watch_rule: the name of the rule that decided on watching; empty where none did.
        wager_rule: the same for wagering.
        recheck_s: after how many seconds a position is to be asked for again, at the latest; None: not by time.
    """

    watch: Reason | None
    wager: Reason | None
    warning: Reason | None = None
    watch_rule: str = ""
    wager_rule: str = ""
    recheck_s: float | None = None


class Locality(Value, frozen=True, eq=False):
    """What a database says of where addresses are; all that share its record share it.

    Args:
        country: ISO 3166-1 alpha-2, upper case.
        region: ISO 3166-2 in full, "US-CA".
        city: the English name as the database has it.
        postcode: as the database has it, upper case, no blanks.
        point: where the database puts it.
        accuracy_m: the radius around `point` within which it holds, in metres.
        metro: the database's metro code as text, a hint (a market's code, such as "803").
        asn: the autonomous system's number, where the same record gives it.
        verdicts: what policies said of it, by what each names itself (`relay/place/policy.py`): no part of what is
            known, and put there by them alone (`kernel.value.set_aside`).
    """

    country: str | None = None
    region: str | None = None
    city: str | None = None
    postcode: str | None = None
    point: Point | None = None
    accuracy_m: float | None = None
    metro: str | None = None
    asn: int | None = None
    verdicts: tuple[tuple[object, PlaceVerdict], ...] = ()

    def _known(self) -> tuple[object, ...]:
        return (
            self.country, self.region, self.city, self.postcode, self.point, self.accuracy_m, self.metro, self.asn
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return self._known() == other._known() if isinstance(other, Locality) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._known())


NOWHERE = Locality()
"""Nothing is known."""


class IpPlace(Value, frozen=True):
    """What is known of an address. Every part may be unknown (None), and then is nowhere rather than anywhere.

    It points at what it shares with others and does not copy it: one is made for every viewer that comes.

    Args:
        address: canonical text: IPv4 where an IPv6 form carries one (mapped, NAT64, 6to4).
        locality: where it is.
        asn: the autonomous system's number.
        classes: what it belongs to that hides its user.
        is_public: whether it is an address of the Internet; private, reserved and unreadable ones have no place.
    """

    address: str
    locality: Locality = NOWHERE
    asn: int | None = None
    classes: frozenset[NetworkClass] = frozenset()
    is_public: bool = True

    @property
    def country(self) -> str | None:
        """Return the country, ISO 3166-1 alpha-2."""
        return self.locality.country

    @property
    def region(self) -> str | None:
        """Return the region, ISO 3166-2 in full."""
        return self.locality.region

    @property
    def city(self) -> str | None:
        """Return the city's English name."""
        return self.locality.city

    @property
    def postcode(self) -> str | None:
        """Return the postcode, upper case, no blanks."""
        return self.locality.postcode

    @property
    def point(self) -> Point | None:
        """Return the position."""
        return self.locality.point

    @property
    def accuracy_m(self) -> float | None:
        """Return the radius around `point` within which it holds, in metres."""
        return self.locality.accuracy_m

    @property
    def metro(self) -> str | None:
        """Return the market's code as the database hints at it."""
        return self.locality.metro


def known_place(
    address: str,
    country: str | None = None,
    region: str | None = None,
    city: str | None = None,
    postcode: str | None = None,
    point: Point | None = None,
    accuracy_m: float | None = None,
    metro: str | None = None,
    asn: int | None = None,
    classes: frozenset[NetworkClass] = frozenset(),
    *,
    is_public: bool = True,
) -> IpPlace:
    """Return a place of which that is known; arguments as for `Locality` and `IpPlace`."""
    where = Locality(country, region, city, postcode, point, accuracy_m, metro)
    return IpPlace(address, where, asn, classes, is_public)
