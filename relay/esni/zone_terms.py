"""Who is meant as a zone of a blackout, and a zone as who is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from kernel.errors import DecodeError
from relay.esni.findings import At, FindingKind, Findings
from relay.esni.model import Match
from relay.esni.where import EVERYBODY, Group, Leaf, LeafKind
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


def where_of_zone(zone: Mapping[str, Any], at: At, findings: Findings) -> Leaf | Group:
    """Return who is in a zone; what audiences cannot say is everybody.

    Raises:
        DecodeError: it is no zone.
    """
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
