"""Which television markets are dark at a time, what zones look like, and what holds at one point.

It is the relay's own judgement (relay/blackouts.py), asked for somebody in each market's principal city of whom only
that is known. So there are three answers: dark; clear; and some, where it depends on what a city does not tell: a
postcode, a network, a home, or media time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from kernel.blackouts import Window
from kernel.dates import format_date
from lockstep.console.projection import Place, rim, rings_of
from relay.blackout_text import BlackoutZone
from relay.blackouts import Blackout, applying, is_in_force
from relay.place.conditions import (
    AllOf,
    AnyOf,
    Cities,
    Condition,
    Countries,
    InCircle,
    InNetworks,
    InPolygon,
    NoneOf,
    OfClasses,
    Postcodes,
    Regions,
    Zone,
)
from relay.place.geometry import METRES_PER_MILE
from relay.place.markets import COUNTRY, MARKETS, Market
from relay.place.model import Fix, IpPlace, known_place

NAMED = 8
"""Codes that are written out; of more it is said how many there are."""

NOBODY = IpPlace("")


class Shade(StrEnum):
    """How dark it is."""

    DARK = "dark"
    REDIRECT = "redirect"
    SOME = "some"
    CLEAR = "clear"


class MarketShade(NamedTuple):
    """How dark a market is, and by which blackouts."""

    market: Market
    shade: Shade
    by: tuple[str, ...]


class Shape(NamedTuple):
    """What a zone covers on a map.

    Args:
        rings: closed, (lon, lat).
        states: of the United States, by their letters; `*`: all of the map.
        redirect: whether something else is shown there.
    """

    rings: tuple[tuple[Place, ...], ...]
    states: frozenset[str]
    redirect: bool


class ZoneAnswer(NamedTuple):
    """What one zone says of somebody."""

    zone: BlackoutZone
    held: bool | None


class BlackoutAnswer(NamedTuple):
    """What one blackout says of somebody: whether they are inside, and why.

    Args:
        open_: whether its window is open; None: that is told by media time.
        inside: whether it applies to them.
        hidden: whether that is because their network hides them.
        redirect: what is shown instead.
    """

    blackout: Blackout
    open_: bool | None
    inside: bool
    hidden: bool
    redirect: str | None
    zones: tuple[ZoneAnswer, ...]


def is_open(blackout: Blackout, at: float) -> bool | None:
    """Return whether a blackout is in force at `at`, Unix seconds; None: only media time tells.

    One without a beginning begins when it is made.
    """
    window = blackout.window
    if window.end is not None and at >= window.end:
        return False
    if window.start_media is not None or window.end_media is not None:
        return None
    return is_in_force(window, at) and (window.start is not None or blackout.record.made <= at)


def market_shades(blackouts: Sequence[Blackout], at: float) -> list[MarketShade]:
    """Return how dark each market is at `at`, in Unix seconds."""
    now = [(one, open_) for one in blackouts if (open_ := is_open(one, at)) is not False]
    return [_market_shade(market, now) for market in MARKETS.values()]


def _market_shade(market: Market, now: Sequence[tuple[Blackout, bool | None]]) -> MarketShade:
    place = known_place(
        "", country=COUNTRY, region=f"{COUNTRY}-{market.state}", city=market.city, point=market.point, accuracy_m=0.0,
        metro=market.code,
    )  # fmt: skip
    known: list[Blackout] = []
    perhaps: list[Blackout] = []
    for one, open_ in now:
        held = {held for _, held in one.judged(place, None, NOBODY)}
        if one.terms is None or (True in held and open_):
            known.append(one)
        elif held & {True, None}:
            perhaps.append(one)
    shade = Shade.CLEAR
    if known:
        # As for a viewer: whichever comes first decides.
        (_, veil), *_ = applying(known, place, None, NOBODY)
        shade = Shade.DARK if veil.redirect is None else Shade.REDIRECT
    elif perhaps:
        shade = Shade.SOME
    return MarketShade(market, shade, tuple(one.record.blackout_id for one in known or perhaps))


def shapes(blackout: Blackout) -> list[Shape]:
    """Return what a blackout's zones cover; one that no map shows, such as postcodes, is not among them."""
    if blackout.terms is None:
        return [Shape((), frozenset("*"), redirect=False)]
    drawn = (_shape(zone) for zone in blackout.terms.zones if not zone.home)
    return [shape for shape in drawn if shape is not None]


def _shape(zone: BlackoutZone) -> Shape | None:
    rings, states = _covered(zone.where)
    if not rings and not states:
        return None
    return Shape(tuple(tuple(ring) for ring in rings), states, redirect=zone.redirect is not None)


def _covered(where: Condition) -> tuple[list[list[Place]], frozenset[str]]:
    """Return what a condition covers for sure: of several that must all hold nothing is."""
    if isinstance(where, InPolygon):
        return rings_of(where.polygon), frozenset()
    if isinstance(where, InCircle):
        return [rim(where.circle.centre, where.circle.radius_m)], frozenset()
    if isinstance(where, Zone) and where.radius_miles is not None:
        reach_m = where.radius_miles * METRES_PER_MILE
        return [rim(MARKETS[code].point, reach_m) for code in sorted(where.codes)], frozenset()
    if isinstance(where, Regions):
        return [], frozenset(code[3:] for code in where.codes if code.startswith(f"{COUNTRY}-"))
    if (isinstance(where, Countries) and COUNTRY in where.codes) or (isinstance(where, AllOf) and not where.parts):
        return [], frozenset("*")
    if isinstance(where, AnyOf):
        parts = [_covered(part) for part in where.parts]
        return [ring for rings, _ in parts for ring in rings], frozenset().union(*(states for _, states in parts))
    return [], frozenset()


def zone_words(zone: BlackoutZone) -> str:
    """Say where a zone is."""
    said = _words(zone.where)
    return f"the account's home: {said}" if zone.home else said


def _words(where: Condition) -> str:
    match where:
        case InPolygon():
            return f"polygon with {sum(ring.n_vertices for ring in where.polygon)} corners"
        case InCircle():
            (lon, lat), radius_m = where.circle.centre, where.circle.radius_m
            return f"within {radius_m / 1_000:,.1f} km of {lat:.4f}, {lon:.4f}"
        case Zone():
            names = _listed(f"{code} {MARKETS[code].name}" for code in where.codes)
            reach = "" if where.radius_miles is None else f", and within {where.radius_miles:g} miles of its city"
            return f"market {names}{reach}"
        case Regions():
            return f"region {_listed(where.codes)}"
        case Countries():
            return f"country {_listed(where.codes)}"
        case Cities():
            return f"city {_listed(f'{city.name}, {city.region or city.country}' for city in where.cities)}"
        case Postcodes():
            return "; ".join(f"postcode {country} {_listed(codes)}" for country, codes in sorted(where.codes.items()))
        case InNetworks():
            return f"network {_listed(where.texts)}"
        case OfClasses():
            return f"network class {_listed(one.value for one in where.classes)}"
        case AllOf(parts=()):
            return "everywhere"
        case _:
            how = {AnyOf: "any of", AllOf: "all of", NoneOf: "none of"}[type(where)]
            more = f"; and {len(where.parts) - NAMED} more" if len(where.parts) > NAMED else ""
            return f"{how} ({'; '.join(_words(part) for part in where.parts[:NAMED])}{more})"


def window_words(window: Window) -> str:
    """Say when a blackout is in force."""
    if window.start_media is not None or window.end_media is not None:
        ends = [
            "" if one is None else f"{one.timeline}:{one.pts}"
            for one in (window.start_media, window.end_media)
        ]  # fmt: skip
        until = "" if window.end is None else f", until {format_date(window.end)}"
        return f"media time {ends[0]} to {ends[1]}{until}"
    start = "since it was made" if window.start is None else f"from {format_date(window.start)}"
    return start if window.end is None else f"{start} to {format_date(window.end)}"


def answers_for(
    blackouts: Sequence[Blackout], at: float, place: IpPlace, fix: Fix | None, home: IpPlace
) -> list[BlackoutAnswer]:
    """Return what each blackout says of somebody at `at`, Unix seconds; what decides comes first.

    Args:
        place: what is known of the address.
        fix: what the device says of its position.
        home: what is known of the account's home.
    """
    applies = applying(blackouts, place, fix, home)
    order = [one for one, _ in applies]
    veils = {one.record.blackout_id: veil for one, veil in applies}
    found = []
    for one in [*order, *(one for one in blackouts if one not in order)]:
        veil = veils.get(one.record.blackout_id)
        zones = tuple(ZoneAnswer(*pair) for pair in one.judged(place, fix, home))
        found.append(
            BlackoutAnswer(
                one, is_open(one, at), veil is not None, one.hides(place), veil.redirect if veil else None, zones
            )
        )
    # Those that apply now, in their order; then what may; then the rest.
    return sorted(found, key=lambda answer: (not (answer.inside and answer.open_), not answer.inside))


def _listed(codes: Iterable[str]) -> str:
    names = sorted(codes)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
