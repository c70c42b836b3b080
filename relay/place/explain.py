"""Why a policy says what it says: each rule's outcome, at the address' position and at the device's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relay.place.gps import GpsTerms
from relay.place.model import ClassAction, Fix, IpPlace, NetworkClass, PlaceVerdict

if TYPE_CHECKING:
    from kernel.tokens import Reason
    from relay.place.conditions import Position
    from relay.place.policy import Policy
    from relay.place.policy_text import Rule, Section


class RuleOutcome(NamedTuple):
    """What became of one rule.

    Args:
        name: the rule's.
        effect: `allow` or `deny`.
        by_address: whether its condition holds at the address' position; None: unknown.
        by_device: the same at the device's position; None: unknown, or there is none that counts.
        applies: whether it applies at the address' position.
    """

    name: str
    effect: str
    by_address: bool | None
    by_device: bool | None
    applies: bool


class Explained(NamedTuple):
    """What a policy says of a place, and why.

    Args:
        verdict: what it says.
        classes: what is done about each class that the address belongs to.
        flaw: what is wrong with the device's position, None if nothing is or nobody minds that there is none.
        has_device: whether the device's position counts in the rules.
        watch: the outcomes of the rules for watching, in their order.
        wager: of those for wagering.
        watch_default: what is done where none of the rules for watching applies.
        wager_default: the same for wagering.
    """

    verdict: PlaceVerdict
    classes: dict[NetworkClass, ClassAction]
    flaw: Reason | None
    has_device: bool
    watch: list[RuleOutcome]
    wager: list[RuleOutcome]
    watch_default: str
    wager_default: str


def explain(policy: Policy, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None) -> Explained:
    """Judge a place by a policy, and tell what became of each rule; arguments are those of `Policy.decide`."""
    verdict = policy.decide(place, fix, now=now, previous=previous)
    terms, gps = policy.terms, policy.terms.gps
    if not place.is_public:
        # As the policy takes it: such an address is nowhere.
        place = IpPlace(place.address, classes=place.classes, is_public=False)
    flaw = _flaw(gps, fix, previous, now)
    here, there = policy.position(place), policy.position(place, fix) if fix is not None and flaw is None else None
    return Explained(
        verdict,
        {network: terms.actions.get(network, ClassAction.ALLOW) for network in sorted(place.classes)},
        flaw,
        there is not None,
        _outcomes(terms.watch, place, here, there),
        _outcomes(terms.wager, place, here, there),
        terms.watch.default.value,
        terms.wager.default.value,
    )


def _flaw(gps: GpsTerms, fix: Fix | None, previous: Fix | None, now: float) -> Reason | None:
    if fix is None and gps.missing is ClassAction.ALLOW:
        return None
    return gps.flaw_of(fix, previous, now=now)


def _outcomes(section: Section, place: IpPlace, here: Position, there: Position | None) -> list[RuleOutcome]:
    return [_outcome(rule, place, here, there) for rule in section.rules]


def _outcome(rule: Rule, place: IpPlace, here: Position, there: Position | None) -> RuleOutcome:
    held = rule.where.holds(place, here)
    by_device = None if there is None else rule.where.holds(place, there)
    applies = held or (held is None and rule.applies_unknown)
    return RuleOutcome(rule.name, rule.effect.value, held, by_device, bool(applies))
