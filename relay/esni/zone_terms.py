"""Who is meant as a zone of a blackout, and a zone as who is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from kernel.errors import DecodeError
from relay.esni.findings import At, FindingKind, Findings
from relay.esni.model import Match
from relay.esni.place_terms import condition_of, where_of
from relay.esni.where import EVERYBODY, UNKNOWN, Group, Leaf, LeafKind, Where, alternatives, bound
from relay.place.condition_text import ConditionReader
from relay.place.fields import quoted
from relay.place.geometry import METRES_PER_MILE
from relay.place.markets import COUNTRY


class Fate(NamedTuple):
    """What becomes of viewers inside.

    Args:
        redirect: the showing that they see instead; None: nothing.
    """

    redirect: str | None = None


_HOME = "home"


def zone_of(leaf: Leaf | None, fate: Fate, name: str | None) -> dict[str, Any]:
    """Return the zone of a leaf; None: of everybody."""
    zone: dict[str, Any] = {"type": "all"} if leaf is None else _place_of(leaf)
    if name is not None:
        zone["name"] = name
    if fate.redirect is None:
        return zone | {"action": "block"}
    return zone | {"action": "redirect", "redirect_stream": fate.redirect}


def _place_of(leaf: Leaf) -> dict[str, Any]:
    match leaf.kind:
        case LeafKind.CIRCLE:
            ((lon, lat, radius_m),) = cast("tuple[tuple[float, float, float]]", leaf.values)
            return {"type": "circle", "lon": lon, "lat": lat, "radius_m": radius_m}
        case LeafKind.POLYGON:
            (ring,) = cast("tuple[tuple[tuple[float, float], ...]]", leaf.values)
            return {"type": "polygon", "ring": [list(position) for position in ring]}
    kind = "zip" if leaf.kind is LeafKind.POSTCODE else leaf.kind.value
    zone: dict[str, Any] = {"type": kind}
    zone |= {"code": leaf.values[0]} if len(leaf.values) == 1 else {"codes": list(leaf.values)}
    if leaf.kind is LeafKind.POSTCODE and leaf.country != COUNTRY:
        zone["country"] = leaf.country
    if leaf.radius_miles is not None:
        zone["radius_miles"] = leaf.radius_miles
    if leaf.is_home:
        zone["territory"] = _HOME
    return zone


def zones_of(where: Leaf | Group, fate: Fate, name: str | None) -> tuple[list[dict[str, Any]], bool]:
    """Return the zones in which are those who are meant, and whether nobody else is.

    Places of which one is enough are zones of their own; what takes more is a zone with a condition.
    """
    leaves, is_exact = alternatives(where)
    if not is_exact and isinstance(where, Group):
        if where.match is Match.ANY:
            spread = [zones_of(cast("Leaf | Group", part), fate, name) for part in where.parts]
            return [zone for zones, _ in spread for zone in zones], all(exact for _, exact in spread)
        condition = _condition_of(where)
        if condition is not None:
            return [zone_of(None, fate, name) | condition], True
    return [zone_of(leaf, fate, name) for leaf in ((None,) if leaves is None else leaves)], is_exact


def _condition_of(where: Group) -> dict[str, Any] | None:
    """Return the fields of a zone with a condition, None if conditions cannot say it."""
    homes = {leaf.is_home for leaf in _leaves_of(where)}
    if len(homes) > 1:
        return None
    condition = condition_of(_present(where))
    try:
        ConditionReader().read(condition, "")
    except DecodeError:
        return None
    return {"type": "where", "where": condition} | ({"territory": _HOME} if True in homes else {})


def _leaves_of(where: Where) -> Iterator[Leaf]:
    if isinstance(where, Leaf):
        yield where
    elif isinstance(where, Group):
        for part in where.parts:
            yield from _leaves_of(part)


def _present(where: Leaf | Group) -> Leaf | Group:
    """Return the same places, as those where people are."""
    if isinstance(where, Leaf):
        return replace(where, is_home=False)
    return Group(where.match, tuple(_present(cast("Leaf | Group", part)) for part in where.parts))


def where_of_zone(zone: Mapping[str, Any], at: At, findings: Findings) -> Leaf | Group:
    """Return who is in a zone; what audiences cannot say is everybody.

    Raises:
        DecodeError: it is no zone.
    """
    if zone.get("type") == "where":
        return _where_of_condition(zone, at, findings)
    try:
        where = _leaf_of(zone)
    except (KeyError, TypeError, ValueError):
        raise DecodeError(f"{at.path}: a zone is expected, not {quoted(zone)}") from None
    is_home = zone.get("territory") == _HOME
    is_zip = isinstance(where, Leaf) and where.kind is LeafKind.POSTCODE and where.country == COUNTRY
    if isinstance(where, Group):
        findings.add(FindingKind.WIDENED, at, "a polygon has one ring in SCTE 224; its holes are filled")
    if where is not None and (not is_home or is_zip):
        return where
    if zone["type"] != "all" or is_home:
        text = f"SCTE 224 has no audience for such a zone ({zone['type']}): everybody is kept out"
        findings.add(FindingKind.WIDENED, at, text)
    return EVERYBODY


def _where_of_condition(zone: Mapping[str, Any], at: At, findings: Findings) -> Leaf | Group:
    try:
        ConditionReader().read(zone["where"], "")
    except (KeyError, DecodeError) as error:
        raise DecodeError(f"{at.path}.where: {error}") from None
    if zone.get("territory") != _HOME:
        return bound(where_of(zone["where"], at, findings), widest=True)
    return bound(_home(bound(where_of(zone["where"], at, findings), widest=True), at, findings), widest=True)


def _home(where: Where, at: At, findings: Findings) -> Where:
    """Return homes, as far as audiences can say them: American postcodes."""
    if isinstance(where, Group):
        return Group(where.match, tuple(_home(part, at, findings) for part in where.parts))
    if isinstance(where, Leaf) and where.kind is LeafKind.POSTCODE and where.country == COUNTRY:
        return replace(where, is_home=True)
    findings.add(FindingKind.WIDENED, at, "SCTE 224 has no audience for such homes: whoever may be meant is kept out")
    return UNKNOWN


def _leaf_of(zone: Mapping[str, Any]) -> Leaf | Group | None:
    kind = zone["type"]
    codes = tuple(zone["codes"]) if "codes" in zone else (zone["code"],) if "code" in zone else ()
    match kind:
        case "circle":
            metres = zone["radius_m"] if "radius_m" in zone else zone["radius_miles"] * METRES_PER_MILE
            return Leaf(LeafKind.CIRCLE, ((zone["lon"], zone["lat"], metres),))
        case "polygon":
            rings = [tuple((lon, lat) for lon, lat in ring) for ring in zone.get("rings") or [zone["ring"]]]
            leaves = tuple(Leaf(LeafKind.POLYGON, (ring,)) for ring in rings)
            return leaves[0] if len(leaves) == 1 else Group(Match.ANY, leaves)
        case "zip":
            is_home = zone.get("territory") == _HOME
            return Leaf(LeafKind.POSTCODE, codes, zone.get("country", COUNTRY), is_home) if codes else None
        case "dma":
            return Leaf(LeafKind.DMA, codes, radius_miles=zone.get("radius_miles")) if codes else None
        case "region" | "country" | "cidr":
            return Leaf(LeafKind(kind), codes) if codes else None
    return None
