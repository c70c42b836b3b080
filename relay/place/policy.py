"""What a policy says of a place: compiled once, then asked on the way of every request that is new.

Precedence, for watching and for wagering apart:

1. What hides its user: a class that is blocked refuses, whatever the rules say.
2. Deny rules, for the address' place: one that applies refuses.
3. Allow rules: one that applies admits.
4. The default.

The order of rules decides nothing but which name is recorded: the first that holds, else the first that applies because
it is unknown. A position of the device only tightens that: where the address is admitted, one that is missing, stale or
implausible, or too far from the address, may refuse; then the rules are asked again with the device's position in
polygons, circles and markets, and refuse if they do. Names (country, region, city, postcode) are always the address'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kernel.tokens import Reason
from kernel.value import set_aside
from relay.place.boundaries import Boundaries
from relay.place.conditions import (
    GEOMETRIC,
    AllOf,
    AnyOf,
    Condition,
    Ground,
    InCircle,
    InNetworks,
    InPolygon,
    NoneOf,
    Position,
    Zone,
)  # fmt: skip
from relay.place.geometry import Polygon
from relay.place.gps import RECHECK_LEAST_S
from relay.place.model import ClassAction, Fix, IpPlace, NetworkClass, PlaceVerdict
from relay.place.policy_text import Effect, Rule, Section, Terms, read_policy

_NEVER = 1 << 30

MAX_KEPT = 4
"""As many policies' verdicts are remembered with one locality, the latest first: few showings are watched at once."""


class Outcome:
    """What a section says: why it refuses, None if it does not, and by which rule; empty if by none.

    There are two for each rule. Verdicts are kept by the outcomes of both sections: making one costs as much as three
    rules do.
    """

    __slots__ = ("kept", "reason", "rule")

    def __init__(self, reason: Reason | None, rule: str = "") -> None:
        self.reason = reason
        self.rule = rule
        self.kept: dict[Outcome, PlaceVerdict] = {}


class _Rules:
    """The rules of one effect, in order. Those that are one polygon each are asked all at once."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._others = [
            (order, rule.where.holds, rule.applies_unknown)
            for order, rule in enumerate(rules)
            if not isinstance(rule.where, InPolygon)
        ]
        areas = [(order, rule) for order, rule in enumerate(rules) if isinstance(rule.where, InPolygon)]
        self._orders = {rule.where.bit: order for order, rule in areas if isinstance(rule.where, InPolygon)}
        self._bits = sum(self._orders)
        self._unknown_area = next((order for order, rule in areas if rule.applies_unknown), _NEVER)

    def first(self, place: IpPlace, position: Position) -> tuple[int, int, bool]:
        """Return which rule is the first that holds, and which that applies as unknown; whether any is unknown."""
        sure = unsure = _NEVER
        doubt = False
        if self._bits:
            if position.point is None:
                doubt, unsure = True, self._unknown_area
            else:
                held = position.inside() & self._bits
                if held:
                    # Bits are given in the order of rules: the lowest is the first.
                    sure = self._orders[held & -held]
        for order, holds, applies_unknown in self._others:
            verdict = holds(place, position)
            if verdict:
                if order < sure:
                    sure = order
                break
            if verdict is None:
                doubt = True
                if applies_unknown and order < unsure:
                    unsure = order
        return sure, unsure, doubt


class _Compiled:
    """The rules for watching, or for wagering."""

    def __init__(self, section: Section) -> None:
        denying = [rule for rule in section.rules if rule.effect is Effect.DENY]
        allowing = [rule for rule in section.rules if rule.effect is Effect.ALLOW]
        self._denies = _Rules(denying) if denying else None
        self._allows = _Rules(allowing) if allowing else None
        self._refused = [Outcome(Reason.GEO_BLOCKED, rule.name) for rule in denying]
        self._unknown = [Outcome(Reason.LOCATION_UNKNOWN, rule.name) for rule in denying]
        self._admitted = [Outcome(None, rule.name) for rule in allowing]
        allows = section.default is Effect.ALLOW
        self._default = Outcome(None if allows else Reason.OUTSIDE_TERRITORY)
        self._doubtful = self._default if allows else Outcome(Reason.LOCATION_UNKNOWN)
        self._has_areas = any(isinstance(rule.where, InPolygon) for rule in section.rules)
        self._quick_denies = [
            (rule.where.holds, refused, unknown if rule.applies_unknown else None)
            for rule, refused, unknown in zip(denying, self._refused, self._unknown, strict=True)
        ]
        self._quick_allows = [
            (rule.where.holds, admitted, rule.applies_unknown)
            for rule, admitted in zip(allowing, self._admitted, strict=True)
        ]

    def judge(self, place: IpPlace, position: Position) -> Outcome:
        """Return what the rules say; without polygons one after the other."""
        if self._has_areas:
            return self._judge_areas(place, position)
        doubtful = None
        for holds, refused, unknown in self._quick_denies:
            held = holds(place, position)
            if held:
                return refused
            if held is None and doubtful is None:
                doubtful = unknown
        if doubtful is not None:
            return doubtful
        outcome = self._default
        for holds, admitted, applies_unknown in self._quick_allows:
            held = holds(place, position)
            if held or (held is None and applies_unknown):
                return admitted
            if held is None:
                outcome = self._doubtful
        return outcome

    def _judge_areas(self, place: IpPlace, position: Position) -> Outcome:
        if self._denies is not None:
            sure, unsure, _ = self._denies.first(place, position)
            if sure != _NEVER:
                return self._refused[sure]
            if unsure != _NEVER:
                return self._unknown[unsure]
        if self._allows is None:
            return self._default
        sure, unsure, doubt = self._allows.first(place, position)
        if unsure < sure:
            sure = unsure
        if sure != _NEVER:
            return self._admitted[sure]
        return self._doubtful if doubt else self._default


class Policy:
    """Judge places by the terms of one policy; it never changes.

    Args:
        terms: what its text says.
    """

    def __init__(self, terms: Terms) -> None:
        self.policy_id = terms.policy_id
        self.terms = terms
        self.vertices = terms.vertices
        """How many corners its polygons have together."""
        conditions = [part for rule in (*terms.watch.rules, *terms.wager.rules) for part in walk(rule.where)]
        zones = [part for part in conditions if isinstance(part, Zone)]
        polygons: list[Polygon] = [*terms.polygons, *(terms.markets.values() if zones else ())]
        drawn = {code: 1 << len(terms.polygons) + n for n, code in enumerate(terms.markets)} if zones else {}
        self._ground = Ground(polygons, drawn)
        self._is_geometric = any(isinstance(part, GEOMETRIC) for part in conditions)
        self._has_positions = self._is_geometric or any(isinstance(part, InNetworks) for part in conditions)
        self._nowhere = Position(self._ground, IpPlace(""), None, None)
        self._boundaries = Boundaries(polygons, [part for part in conditions if isinstance(part, InCircle)], zones)
        self._watch, self._wager = _Compiled(terms.watch), _Compiled(terms.wager)
        self._actions = [(network, terms.actions.get(network, ClassAction.ALLOW)) for network in NetworkClass]
        self._needs_no_fix = terms.gps.missing is ClassAction.ALLOW
        # What costs the most is where a point lies, and most addresses share theirs with many others: it is remembered
        # with the locality, under a name that keeps nothing alive.
        self._keeps = self._is_geometric and not any(isinstance(part, InNetworks) for part in conditions)
        self._name = object()

    def decide(
        self,
        place: IpPlace,
        fix: Fix | None,
        *,
        now: float,
        previous: Fix | None = None,
        mismatch: ClassAction | None = None,
    ) -> PlaceVerdict:
        """Return what the policy says.

        Args:
            place: what is known of the address.
            fix: what the device says of its position.
            now: Unix time in seconds; the position's age is judged by it.
            previous: the position before that from the same session.
            mismatch: what is done if both are too far from each other; None: what the policy says.

        Guaranteed: no look-up, nothing but the arguments decides.
        """
        is_usual = fix is None and self._needs_no_fix and not place.classes
        if not place.is_public:
            # Whatever somebody says of it: such an address is nowhere.
            place = IpPlace(place.address, classes=place.classes, is_public=False)
        elif is_usual and self._keeps:
            for name, verdict in place.locality.verdicts:
                if name is self._name:
                    return verdict
            return self._remembered(place)
        position = self._nowhere
        if self._has_positions:
            position = Position(self._ground, place, place.point, place.accuracy_m)
        if is_usual:
            return self._usual(self._watch.judge(place, position), self._wager.judge(place, position))
        hidden, warning = self._hidden(place)
        if hidden is not None:
            return PlaceVerdict(hidden, hidden, warning)
        watch, wager = self._watch.judge(place, position), self._wager.judge(place, position)
        if fix is None and self._needs_no_fix:
            if warning is None:
                return self._usual(watch, wager)
            return PlaceVerdict(watch.reason, wager.reason, warning, watch.rule, wager.rule)
        return self._with_fix(place, fix, watch, wager, warning, now, previous, mismatch)

    def position(self, place: IpPlace, fix: Fix | None = None) -> Position:
        """Return where rules are asked whether they hold: where the address is, or where the device says it is."""
        if fix is None:
            return Position(self._ground, place, place.point, place.accuracy_m)
        return Position(self._ground, place, fix.point, fix.accuracy_m)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        """Return whether a device's position can be true; arguments as for `decide`."""
        return self.terms.gps.flaw_of(fix, previous, now=now) is not Reason.GPS_IMPLAUSIBLE

    def _remembered(self, place: IpPlace) -> PlaceVerdict:
        """Return the same as for any public place in the same locality, from now on without asking."""
        where = place.locality
        position = Position(self._ground, place, where.point, where.accuracy_m)
        verdict = self._usual(self._watch.judge(place, position), self._wager.judge(place, position))
        set_aside(where, "verdicts", ((self._name, verdict), *where.verdicts[: MAX_KEPT - 1]))
        return verdict

    def _usual(self, watch: Outcome, wager: Outcome) -> PlaceVerdict:
        verdict = watch.kept.get(wager)
        if verdict is None:
            verdict = watch.kept[wager] = PlaceVerdict(watch.reason, wager.reason, None, watch.rule, wager.rule)
        return verdict

    def _hidden(self, place: IpPlace) -> tuple[Reason | None, Reason | None]:
        """Return for which class the address is refused, and of which it is warned."""
        warning = None
        for network, action in self._actions:
            if network in place.classes:
                if action is ClassAction.BLOCK:
                    return Reason(network.value), warning
                if action is ClassAction.WARN and warning is None:
                    warning = Reason(network.value)
        return None, warning

    def _with_fix(
        self,
        place: IpPlace,
        fix: Fix | None,
        watch: Outcome,
        wager: Outcome,
        warning: Reason | None,
        now: float,
        previous: Fix | None,
        mismatch: ClassAction | None,
    ) -> PlaceVerdict:
        gps = self.terms.gps
        flaw = gps.flaw_of(fix, previous, now=now)
        action = ClassAction.ALLOW if flaw is None else gps.action_on(flaw)
        again_s: float | None = RECHECK_LEAST_S if gps.required else None
        if fix is not None and flaw is None:
            if gps.disagree(place, fix):
                flaw, action = Reason.GEO_MISMATCH, mismatch or gps.mismatch
            again_s = gps.again_s(fix, self._boundaries.distance_m(fix.point), now=now)
        if action is ClassAction.BLOCK:
            blocked = Outcome(flaw)
            watch, wager = _stricter(watch, blocked), _stricter(wager, blocked)
        elif action is ClassAction.WARN and warning is None:
            warning = flaw
        if fix is not None and flaw in (None, Reason.GEO_MISMATCH) and self._is_geometric:
            position = Position(self._ground, place, fix.point, fix.accuracy_m)
            watch = _stricter(watch, self._watch.judge(place, position))
            wager = _stricter(wager, self._wager.judge(place, position))
        return PlaceVerdict(watch.reason, wager.reason, warning, watch.rule, wager.rule, again_s)


def _stricter(one: Outcome, other: Outcome) -> Outcome:
    return one if one.reason is not None or other.reason is None else other


def walk(condition: Condition) -> Iterator[Condition]:
    """Yield a condition and all that it is made of."""
    yield condition
    if isinstance(condition, AnyOf | AllOf | NoneOf):
        for part in condition.parts:
            yield from walk(part)


def compile_policy(text: bytes | str | Mapping[str, object]) -> Policy:
    """Read and compile a policy.

    Raises:
        MessageTooLarge: the text is longer than 256 KiB, or nests or counts absurdly.
        DecodeError: it is not JSON, or a field is unknown, missing or wrong; the error begins with the field's path.
    """
    return Policy(read_policy(text))
