"""What an operator should look at in a policy: rules that contradict each other, do nothing, or are drawn badly.

What is called unreachable decides at no place whatever; where that is not certain, nothing is said. How polygons lie in
countries, or in each other, is not known and not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from math import sqrt

from relay.place.conditions import AllOf, AnyOf, Condition, InPolygon, NoneOf, OfClasses, Zone
from relay.place.geometry import Edge, Polygon, Ring, left_of
from relay.place.implication import NOWHERE, Implications, countries_of
from relay.place.model import ClassAction
from relay.place.policy import Policy
from relay.place.policy_text import Effect, Rule, Section
from relay.place.polygon_index import rasterised

MAX_PAIRS = 5_000_000
"""Of edges that are held against each other, for one polygon: some seconds."""


class Kind(StrEnum):
    """What is wrong."""

    UNREACHABLE = "unreachable"
    CONTRADICTION = "contradiction"
    NO_EFFECT = "no_effect"
    NOBODY = "nobody"
    EMPTY = "empty"
    DUPLICATE_NAME = "duplicate_name"
    UNUSED_MARKET = "unused_market"
    SELF_INTERSECTION = "self_intersection"
    ZERO_AREA = "zero_area"
    NOT_CHECKED = "not_checked"
    GPS = "gps"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at.

    Args:
        kind: what is wrong.
        path: the field of the policy.
        rule: the rule's name, empty if it is in none.
        text: a sentence.
    """

    kind: Kind
    path: str
    rule: str
    text: str


def findings(policy: Policy) -> list[Finding]:
    """Return what should be looked at, in the order of the policy's fields."""
    terms = policy.terms
    blocked = frozenset(network for network, action in terms.actions.items() if action is ClassAction.BLOCK)
    known = Implications()
    found: list[Finding] = []
    for path, section in (("watch", terms.watch), ("wager", terms.wager)):
        found += _of_section(section, path, OfClasses(blocked), known)
    if terms.gps.required and terms.gps.missing is not ClassAction.BLOCK:
        text = f"a position is required, but one that is missing is let through ({terms.gps.missing})"
        found.append(Finding(Kind.GPS, "gps.missing", "", text))
    named = {
        code
        for rule in (*terms.watch.rules, *terms.wager.rules)
        for _, part in _walk(rule.where, "")
        if isinstance(part, Zone)
        for code in part.codes
    }
    for code, polygon in terms.markets.items():
        path = f"markets.{code}"
        if code not in named:
            text = "no rule asks for this market" + ("; its polygon only takes points from others" if named else "")
            found.append(Finding(Kind.UNUSED_MARKET, path, "", text))
        found += _of_polygon(polygon, path, "")
    return found


def _of_section(section: Section, path: str, blocked: OfClasses, known: Implications) -> Iterator[Finding]:
    names: dict[str, str] = {}
    reached = []
    for rule in section.rules:
        if rule.name in names:
            text = f"{names[rule.name]} has this name as well: records will not tell which of them decided"
            yield Finding(Kind.DUPLICATE_NAME, rule.path, rule.name, text)
        names.setdefault(rule.name, rule.path)
        yield from _of_conditions(rule)
        finding = _of_reach(rule, section, blocked, known)
        if finding is not None:
            yield finding
        if finding is None or finding.kind is not Kind.UNREACHABLE:
            reached.append(rule)
    if section.default is Effect.DENY and all(rule.effect is Effect.DENY for rule in reached):
        yield Finding(Kind.NOBODY, path, "", "nobody is admitted: the default denies, and no allow rule can apply")


def _of_reach(rule: Rule, section: Section, blocked: OfClasses, known: Implications) -> Finding | None:
    """Return why a rule decides nothing, or nothing that counts; None if it may."""

    def said(kind: Kind, text: str) -> Finding:
        return Finding(kind, rule.path, rule.name, text)

    if known.implies(rule.where, NOWHERE) or (known.never_holds(rule.where) and not rule.applies_unknown):
        return said(Kind.UNREACHABLE, "its condition holds nowhere")
    if not rule.applies_unknown and known.implies(rule.where, blocked):
        return said(Kind.UNREACHABLE, "the classes that it asks for are blocked before any rule is asked")
    contradicted = None
    for other in _those_before(rule, section):
        if not known.implies(rule.where, other.where):
            continue
        if other.applies_unknown or not rule.applies_unknown:
            return said(
                Kind.UNREACHABLE, f"wherever it applies, {other.path} ({other.name}) has decided: {other.effect}"
            )
        contradicted = contradicted or other
    if contradicted is not None:
        text = f"{contradicted.path} ({contradicted.name}) decides wherever this holds"
        return said(Kind.CONTRADICTION, f"{text}; it applies only where it is unknown")
    if known.never_holds(rule.where):
        return said(Kind.CONTRADICTION, "its condition holds nowhere; it applies only where it is unknown")
    if rule.effect is section.default and _is_idle(rule, section):
        return said(Kind.NO_EFFECT, f"without it the default does the same: {section.default}")
    return None


def _those_before(rule: Rule, section: Section) -> Iterator[Rule]:
    """Yield the rules that are asked before a rule: all that deny before those that allow, else in order."""
    is_before = True
    for other in section.rules:
        if other is rule:
            is_before = False
        elif other.effect is rule.effect:
            if is_before:
                yield other
        elif rule.effect is Effect.ALLOW:
            yield other


def _is_idle(rule: Rule, section: Section) -> bool:
    """Return whether a rule that does as the default does changes nothing."""
    if rule.effect is Effect.ALLOW:
        return True
    # A deny rule matters where an allow rule admits: nowhere, if all of those ask for other countries.
    countries = countries_of(rule.where)
    for other in section.rules:
        if other.effect is Effect.ALLOW:
            theirs = countries_of(other.where)
            if other.applies_unknown or countries is None or theirs is None or countries & theirs:
                return False
    return True


def _of_conditions(rule: Rule) -> Iterator[Finding]:
    for path, part in _walk(rule.where, f"{rule.path}.where"):
        if isinstance(part, InPolygon):
            yield from _of_polygon(part.polygon, f"{path}.polygon", rule.name)
        elif isinstance(part, AnyOf | AllOf | NoneOf) and not part.parts:
            text = (
                "any of nothing holds nowhere" if isinstance(part, AnyOf) else "what asks for nothing holds everywhere"
            )
            yield Finding(Kind.EMPTY, path, rule.name, text)


def _walk(condition: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    yield path, condition
    if isinstance(condition, AnyOf | AllOf | NoneOf):
        kind = "any" if isinstance(condition, AnyOf) else "all" if isinstance(condition, AllOf) else "none"
        for n, part in enumerate(condition.parts):
            yield from _walk(part, f"{path}.{kind}[{n}]")


def _of_polygon(polygon: Polygon, path: str, rule: str) -> Iterator[Finding]:
    for n, ring in enumerate(polygon):
        if _twice_area(ring) == 0:
            yield Finding(Kind.ZERO_AREA, f"{path}[{n}]", rule, "the ring encloses no area")
    edges = [edge for ring in polygon for edge in _own_edges(ring)]
    crossing = _crossing(edges)
    if crossing is None:
        yield Finding(Kind.NOT_CHECKED, path, rule, "too intricate to look for edges that cross each other")
    elif crossing:
        (x, y, to_x, to_y), (other_x, other_y, other_to_x, other_to_y) = crossing
        text = (
            f"edges cross each other: [{x:g}, {y:g}] to [{to_x:g}, {to_y:g}] and [{other_x:g}, {other_y:g}] to"
            f" [{other_to_x:g}, {other_to_y:g}]; what an even number of rings enclose is outside"
        )
        yield Finding(Kind.SELF_INTERSECTION, path, rule, text)


def _own_edges(ring: Ring) -> Iterator[Edge]:
    return Ring(ring.frames[:1]).edges()


def _twice_area(ring: Ring) -> Fraction | float:
    frame = ring.frames[0]
    x0, y0 = frame[0]
    rough = 0.0
    for (x, y), (to_x, to_y) in pairwise(frame):
        rough += (x - x0) * (to_y - y0) - (to_x - x0) * (y - y0)
    if abs(rough) > 1e-6:
        return rough
    exact = [(Fraction(x), Fraction(y)) for x, y in frame]
    return sum((x * to_y - to_x * y for (x, y), (to_x, to_y) in pairwise(exact)), start=Fraction(0))


def _crossing(edges: list[Edge]) -> tuple[Edge, Edge] | tuple[()] | None:
    """Return two edges that cross between their ends, nothing if none do, None if that takes too long."""
    xs, ys = [x for edge in edges for x in (edge[0], edge[2])], [y for edge in edges for y in (edge[1], edge[3])]
    width, height = max(max(xs) - min(xs), 1e-9), max(max(ys) - min(ys), 1e-9)
    across = sum(abs(edge[2] - edge[0]) for edge in edges) / width + 1e-9
    upwards = sum(edge[3] - edge[1] for edge in edges) / height + 1e-9
    n_columns = min(len(edges), max(1, round(sqrt(len(edges) * upwards / across))))
    n_rows = max(1, len(edges) // n_columns)
    cells = rasterised(
        [(*edge, 0, 0, 0.0) for edge in edges],
        (min(xs), min(ys)),
        (n_columns / width, n_rows / height),
        (n_columns, n_rows),
    )
    if sum(len(cell) ** 2 for cell in cells) > 2 * MAX_PAIRS:
        return None
    for cell in cells:
        for n, edge in enumerate(cell):
            x, y, to_x, to_y = edge[:4]
            for other_x, other_y, other_to_x, other_to_y, *_ in cell[:n]:
                if other_y >= to_y or other_to_y <= y:
                    continue
                one, other = (x, y, to_x, to_y), (other_x, other_y, other_to_x, other_to_y)
                if (
                    left_of(one, other_x, other_y) * left_of(one, other_to_x, other_to_y) < 0
                    and left_of(other, x, y) * left_of(other, to_x, to_y) < 0
                ):
                    return other, one
    return ()
