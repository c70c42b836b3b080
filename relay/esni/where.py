"""Which viewers are meant, in between an audience and our own conditions and zones; what is not known of it has bounds.

An audience of which a part is not known has a widest reading and a narrowest. Who is refused is taken as widely as
can be, so nobody is let in whom the document may keep out: an unknown part of ANY or ALL is everybody then, and within
NONE nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.esni.model import Match
from relay.place.markets import COUNTRY


class LeafKind(StrEnum):
    """What a leaf asks."""

    COUNTRY = "country"
    REGION = "region"
    DMA = "dma"
    POSTCODE = "postcode"
    CIDR = "cidr"
    CIRCLE = "circle"
    POLYGON = "polygon"


@dataclass(frozen=True, slots=True)
class Leaf:
    """Who has one of some values.

    Args:
        kind: of what.
        values: codes and networks as text; circles as (lon, lat, radius in metres); closed rings of (lon, lat).
        country: of postcodes.
        is_home: whether the postcode is that of the home, not of where the viewer is.
        radius_miles: of markets, around their principal cities; None: only the markets count.
    """

    kind: LeafKind
    values: tuple[object, ...]
    country: str = COUNTRY
    is_home: bool = False
    radius_miles: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Who is meant by all, any or none of some parts."""

    match: Match
    parts: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows who."""


Where = Leaf | Group | Unknown
EVERYBODY = Group(Match.NONE, ())
NOBODY = Group(Match.ANY, ())
UNKNOWN = Unknown()

_MOST_COMPARED = 16
"""Parts of one audience that are held against its countries; a stranger's may have thousands of both."""


def bound(where: Where, *, widest: bool) -> Leaf | Group:
    """Return the widest or the narrowest reading: it has no unknown parts.

    What is everybody or nobody only because of them is folded away; else the parts stay as they are.
    """
    if isinstance(where, Unknown):
        return EVERYBODY if widest else NOBODY
    if isinstance(where, Leaf) or not _has_unknown(where):
        return where
    within = widest if where.match is not Match.NONE else not widest
    parts = [bound(part, widest=within) for part in where.parts]
    settles = EVERYBODY if where.match is not Match.ALL else NOBODY
    if settles in parts:
        return NOBODY if where.match is Match.NONE else settles
    idle = NOBODY if settles is EVERYBODY else EVERYBODY
    left = tuple(part for part in parts if part != idle)
    if not left:
        return idle if where.match is not Match.NONE else EVERYBODY
    return Group(where.match, left)


def alternatives(where: Leaf | Group) -> tuple[tuple[Leaf, ...] | None, bool]:
    """Return leaves of which each who is meant is in one, None for everybody, and whether that is exact.

    If it is not, there are more in them than are meant, never fewer.
    """
    if isinstance(where, Leaf):
        return (where,), True
    if where.match is Match.NONE:
        # Who is in none of something is anybody, as far as lists of places can tell.
        return None, not where.parts
    spread = [_known(part) for part in where.parts]
    if where.match is Match.ANY:
        if any(leaves is None for leaves, _ in spread):
            return None, all(exact for leaves, exact in spread if leaves is None)
        return tuple(leaf for leaves, _ in spread for leaf in leaves or ()), all(exact for _, exact in spread)
    finer = [leaves for leaves, _ in spread if leaves and not all(one.kind is LeafKind.COUNTRY for one in leaves)]
    narrow = [
        (leaves, exact)
        for leaves, exact in spread
        if leaves is not None and not _implied(leaves, finer[:_MOST_COMPARED])
    ]
    narrow = narrow or [(leaves, exact) for leaves, exact in spread if leaves is not None][:1]
    if not narrow:
        return None, all(exact for _, exact in spread)
    return narrow[0][0], len(narrow) == 1 and all(exact for _, exact in spread)


def _known(where: Where) -> tuple[tuple[Leaf, ...] | None, bool]:
    assert not isinstance(where, Unknown)
    return alternatives(where)


def _implied(leaves: tuple[Leaf, ...], finer: list[tuple[Leaf, ...]]) -> bool:
    """Return whether who is in others is in one of these anyhow: countries, and places in them."""
    countries = {code for leaf in leaves for code in leaf.values if leaf.kind is LeafKind.COUNTRY}
    if not leaves or any(leaf.kind is not LeafKind.COUNTRY for leaf in leaves):
        return False
    return any(all(_within(leaf, countries) for leaf in others) for others in finer)


def _within(leaf: Leaf, countries: set[object]) -> bool:
    match leaf.kind:
        case LeafKind.REGION:
            return all(str(code)[:2] in countries for code in leaf.values)
        case LeafKind.POSTCODE:
            return leaf.country in countries and not leaf.is_home
        case LeafKind.DMA:
            # Within the radius of a city there may be another country.
            return COUNTRY in countries and leaf.radius_miles is None
    return False


def _has_unknown(where: Where) -> bool:
    if isinstance(where, Group):
        return any(_has_unknown(part) for part in where.parts)
    return isinstance(where, Unknown)
