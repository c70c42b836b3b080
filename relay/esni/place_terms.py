"""Who is meant as a condition of our policies of place, and such a condition as who is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from relay.esni.findings import At, FindingKind, Findings
from relay.esni.model import Match
from relay.esni.where import UNKNOWN, Group, Leaf, LeafKind, Where
from relay.place.condition_text import ConditionReader

_WORDS = {Match.ANY: "any", Match.ALL: "all", Match.NONE: "none"}
_MATCHES = {word: match for match, word in _WORDS.items()}


def condition_of(where: Leaf | Group) -> dict[str, Any]:
    """Return the condition that holds for exactly these; nothing in it is unknown or a home."""
    if isinstance(where, Group):
        return {_WORDS[where.match]: [condition_of(cast("Leaf | Group", part)) for part in where.parts]}
    assert not where.is_home
    match where.kind:
        case LeafKind.DMA:
            radius = {} if where.radius_miles is None else {"radius_miles": where.radius_miles}
            return {"dma": {"codes": list(where.values), **radius}}
        case LeafKind.POSTCODE:
            return {"postcode": [{"country": where.country, "codes": list(where.values)}]}
        case LeafKind.CIRCLE:
            ((lon, lat, radius_m),) = cast("tuple[tuple[float, float, float]]", where.values)
            return {"circle": {"lon": lon, "lat": lat, "radius_m": radius_m}}
        case LeafKind.POLYGON:
            (ring,) = cast("tuple[tuple[tuple[float, float], ...]]", where.values)
            return {"polygon": [[list(position) for position in ring]]}
        case _:
            return {where.kind.value: list(where.values)}


def check_leaf(leaf: Leaf) -> None:
    """Check that the values are some.

    Raises:
        DecodeError: one is none.
    """
    present = Leaf(leaf.kind, leaf.values, leaf.country, radius_miles=leaf.radius_miles)
    ConditionReader().read(condition_of(present), "")


def where_of(condition: Mapping[str, Any], at: At, findings: Findings, *, widest: bool = True) -> Where:
    """Return who a condition means, as far as audiences can say it.

    Args:
        condition: one that compiles.
        at: where it stands.
        findings: takes what audiences cannot say.
        widest: whether what cannot be said exactly may be said wider; if not, it is unknown.
    """
    ((kind, content),) = condition.items()
    if kind in _MATCHES:
        match = _MATCHES[kind]
        within = widest if match is not Match.NONE else not widest
        return Group(match, tuple(where_of(part, at, findings, widest=within) for part in content))
    match kind:
        case "country" | "region" | "cidr":
            return Leaf(LeafKind(kind), tuple(content))
        case "dma":
            return Leaf(LeafKind.DMA, tuple(content["codes"]), radius_miles=content.get("radius_miles"))
        case "circle":
            return Leaf(LeafKind.CIRCLE, ((content["lon"], content["lat"], content["radius_m"]),))
        case "postcode":
            leaves = tuple(Leaf(LeafKind.POSTCODE, tuple(one["codes"]), one["country"]) for one in content)
            return leaves[0] if len(leaves) == 1 else Group(Match.ANY, leaves)
        case "polygon":
            rings = tuple(Leaf(LeafKind.POLYGON, (tuple(tuple(one) for one in ring),)) for ring in content)
            if len(rings) == 1:
                return rings[0]
            findings.add(FindingKind.WIDENED, at, "a polygon has one ring in SCTE 224; its holes are filled")
            return Group(Match.ANY, rings) if widest else UNKNOWN
    findings.add(FindingKind.WIDENED, at, f"SCTE 224 has no audience for {kind!r}; whoever may be in it is kept out")
    return UNKNOWN
