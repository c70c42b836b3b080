from __future__ import annotations

from typing import Any

from kernel.tokens import Reason
from kernel.value import replace
from relay.place.explain import RuleOutcome, explain
from relay.place.model import ClassAction, Fix, NetworkClass, Point, known_place
from relay.place.policy import compile_policy

NOW = 1_800_000_000.0
PASADENA, NEW_YORK = Point(-118.14, 34.15), Point(-74.0, 40.7)
PLACE = known_place("203.0.113.7", "US", "US-CA", "Pasadena", "91101", PASADENA, 5_000.0)
SQUARE = [[[-119, 33], [-117, 33], [-117, 35], [-119, 35], [-119, 33]]]
POLICY: dict[str, Any] = {
    "policy_id": "us",
    "watch": {
        "default": "deny",
        "rules": [
            {"name": "home", "effect": "allow", "where": {"country": ["US"]}},
            {"name": "la", "effect": "deny", "where": {"polygon": SQUARE}},
            {"name": "towns", "effect": "deny", "where": {"postcode": [{"country": "US", "codes": ["10001"]}]}},
        ],
    },
    "networks": {"vpn": "warn"},
    "geo_mismatch_action": "allow",
}


def test_each_rule_has_its_outcome() -> None:
    told = explain(compile_policy(POLICY), PLACE, None, now=NOW)
    assert (told.verdict.watch, told.verdict.watch_rule) == (Reason.GEO_BLOCKED, "la")
    assert told.watch == [
        RuleOutcome("home", "allow", True, None, True),
        RuleOutcome("la", "deny", True, None, True),
        RuleOutcome("towns", "deny", False, None, False),
    ]
    assert (told.wager, told.watch_default, told.wager_default) == ([], "deny", "allow")
    assert (told.flaw, told.has_device, told.classes) == (None, False, {})


def test_what_is_unknown_is_told_apart() -> None:
    nowhere = replace(PLACE, locality=replace(PLACE.locality, postcode=None, point=None))
    told = explain(compile_policy(POLICY), nowhere, None, now=NOW)
    assert [(one.by_address, one.applies) for one in told.watch] == [(True, True), (None, True), (None, True)]
    assert told.verdict.watch is Reason.LOCATION_UNKNOWN


def test_the_device_is_asked_beside_the_address() -> None:
    away = replace(PLACE, locality=replace(PLACE.locality, point=NEW_YORK))
    told = explain(compile_policy(POLICY), away, Fix(PASADENA, 10.0, NOW), now=NOW)
    assert [(one.by_address, one.by_device) for one in told.watch] == [(True, True), (False, True), (False, False)]
    assert (told.has_device, told.verdict.watch_rule) == (True, "la")


def test_a_position_that_cannot_be_used_says_why() -> None:
    told = explain(compile_policy(POLICY), PLACE, Fix(PASADENA, 10.0, NOW - 10_000), now=NOW)
    assert (told.flaw, told.has_device) == (Reason.GPS_STALE, False)
    required = compile_policy({**POLICY, "gps": {"required": True}})
    assert explain(required, PLACE, None, now=NOW).flaw is Reason.GPS_MISSING


def test_classes_say_what_is_done() -> None:
    hidden = replace(PLACE, classes=frozenset({NetworkClass.VPN, NetworkClass.TOR}))
    told = explain(compile_policy(POLICY), hidden, None, now=NOW)
    assert told.classes == {NetworkClass.TOR: ClassAction.ALLOW, NetworkClass.VPN: ClassAction.WARN}


def test_what_is_not_of_the_internet_is_nowhere() -> None:
    told = explain(compile_policy(POLICY), replace(PLACE, is_public=False), None, now=NOW)
    assert [one.by_address for one in told.watch] == [None, None, None]
    assert told.verdict.watch is Reason.LOCATION_UNKNOWN
