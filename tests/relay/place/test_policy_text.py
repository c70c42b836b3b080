"""A policy's text: what it says, what is absent, and how errors are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.place.conditions import Countries
from relay.place.gps import GpsTerms
from relay.place.model import ClassAction, NetworkClass
from relay.place.policy_text import EVERYBODY, MAX_RULES, Effect, Rule, Section, read_policy

US = {"country": ["US"]}
BOX = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]


def section(*rules: object, default: str = "deny") -> dict[str, object]:
    return {"default": default, "rules": list(rules)}


def rule(**changed: object) -> dict[str, object]:
    return {"name": "r", "effect": "allow", "where": US} | changed


def policy(**fields: object) -> dict[str, object]:
    return {"policy_id": "us-west"} | fields


def test_what_is_absent_allows() -> None:
    terms = read_policy(policy())
    assert terms.policy_id == "us-west"
    assert (terms.watch, terms.wager) == (EVERYBODY, EVERYBODY)
    assert terms.actions == {}
    assert terms.gps == GpsTerms()
    assert (terms.markets, terms.polygons, terms.vertices, terms.asks_gps) == ({}, (), 0, False)
    assert read_policy(policy(watch={"default": "deny"})).watch == Section(Effect.DENY, ())


def test_rules_fail_closed_where_they_do_not_know() -> None:
    rules = [
        rule(name="a"), rule(name="d", effect="deny"), rule(name="A", unknown="apply"),
        rule(name="D", effect="deny", unknown="skip"),
    ]  # fmt: skip
    found = read_policy(policy(watch=section(*rules))).watch
    assert [(one.name, one.effect, one.applies_unknown) for one in found.rules] == [
        ("a", Effect.ALLOW, False), ("d", Effect.DENY, True), ("A", Effect.ALLOW, True), ("D", Effect.DENY, False),
    ]  # fmt: skip
    assert found.rules[0] == Rule("a", Effect.ALLOW, Countries(frozenset({"US"})), False, "watch.rules[0]")


def test_classes_one_by_one_or_all_at_once() -> None:
    assert read_policy(policy(networks={"vpn": "block", "tor": "warn"})).actions == {
        NetworkClass.VPN: ClassAction.BLOCK, NetworkClass.TOR: ClassAction.WARN,
    }  # fmt: skip
    # Private Relay keeps its user's region: it is blocked by its own name only.
    assert read_policy(policy(vpn_policy="block")).actions == dict.fromkeys(
        set(NetworkClass) - {NetworkClass.PRIVATE_RELAY}, ClassAction.BLOCK
    )


def test_positions_of_devices() -> None:
    assert read_policy(policy(gps={"required": True})).gps == GpsTerms(
        required=True, missing=ClassAction.BLOCK, stale=ClassAction.BLOCK
    )
    terms = read_policy(
        policy(
            gps={"required": True, "max_age_s": 60, "tolerance_m": 1, "missing": "warn", "stale": "allow",
                 "implausible": "warn", "max_speed_mps": 90},
            geo_mismatch_action="warn",
        )
    )  # fmt: skip
    assert terms.gps == GpsTerms(
        True, 60, 1, ClassAction.WARN, ClassAction.ALLOW, ClassAction.WARN, ClassAction.WARN, 90
    )
    assert terms.asks_gps


def test_markets_and_polygons_are_counted_together() -> None:
    terms = read_policy(
        policy(markets={"803": [BOX]}, watch=section(rule(where={"polygon": [BOX]}))) | {"wager": section()}
    )
    assert list(terms.markets) == ["803"]
    assert terms.vertices == 8
    assert len(terms.polygons) == 1


def test_text_and_what_was_decoded_of_it_are_the_same() -> None:
    value = policy(watch=section(rule(where={"polygon": [BOX]})), networks={"vpn": "warn"})
    assert read_policy(json.dumps(value)) == read_policy(json.dumps(value).encode()) == read_policy(value)


REFUSED: list[tuple[Any, str]] = [
    ([], "the policy: an object is expected"),
    ({}, "policy_id: the field is missing"),
    (policy(policy_id=""), "policy_id: 1 to 64 letters"),
    (policy(policy_id="a b"), "policy_id: 1 to 64 letters"),
    (policy(policy_id="x" * 65), "policy_id: 1 to 64 letters"),
    (policy(policy_id=7), "policy_id: 1 to 64 letters"),
    (policy(rules=[]), "rules: there is no such field; there are policy_id, watch, wager"),
    # Sections
    (policy(watch=[]), "watch: an object is expected"),
    (policy(watch={}), "watch.default: the field is missing"),
    (policy(wager={"default": "block"}), "wager.default: 'block' is none of allow, deny"),
    (policy(watch={"default": "deny", "rules": {}}), "watch.rules: a list is expected"),
    (policy(watch=section(*[rule()] * (MAX_RULES + 1))), "watch.rules: a policy has at most 200 rules"),
    (policy(watch=section(*[rule()] * 150), wager=section(*[rule()] * 51)), "wager.rules: a policy has at most 200"),
    # Rules
    (policy(watch=section("r")), "watch.rules[0]: an object is expected"),
    (policy(watch=section(rule(), {"name": "r"})), "watch.rules[1].effect: the field is missing"),
    (policy(watch=section(rule(name=""))), "watch.rules[0].name: a text of 1 to 64"),
    (policy(watch=section(rule(name="a\nb"))), "watch.rules[0].name: a text of 1 to 64"),
    (policy(watch=section(rule(effect="block"))), "watch.rules[0].effect: 'block' is none of allow, deny"),
    (policy(watch=section(rule(unknown=None))), "watch.rules[0].unknown: None is none of apply, skip"),
    (policy(wager=section(rule(where={"polygon": [BOX[:4]]}))), "wager.rules[0].where.polygon[0]: the ring is not"),
    (policy(watch=section(rule(were=US))), "watch.rules[0].were: there is no such field"),
    # Networks
    (policy(networks={"vpn": "deny"}), "networks.vpn: 'deny' is none of block, warn, allow"),
    (policy(networks={"starlink": "warn"}), "networks.starlink: there is no such field; there are vpn, proxy, tor"),
    (policy(vpn_policy="deny"), "vpn_policy: 'deny' is none of"),
    (policy(vpn_policy="block", networks={}), "vpn_policy: it stands for all of `networks`; write one of them"),
    # Positions
    (policy(gps={"required": "yes"}), "gps.required: true or false is expected"),
    (policy(gps={"max_age_s": 0}), "gps.max_age_s: 0 is out of range"),
    (policy(gps={"tolerance_m": -1}), "gps.tolerance_m: -1 is out of range"),
    (policy(gps={"stale": "deny"}), "gps.stale: 'deny' is none of"),
    (policy(gps={"speed": 1}), "gps.speed: there is no such field"),
    (policy(geo_mismatch_action=True), "geo_mismatch_action: True is none of"),
    # Markets
    (policy(markets=[]), "markets: an object of rings by code is expected"),
    (policy(markets={"999": [BOX]}), "markets: '999' is no television market's code"),
    (policy(markets={"803": BOX}), "markets.803[0]: the list has 2 entries"),
    (policy(markets={803: [BOX]}), "markets: 803 is no television market's code"),
]


@pytest.mark.parametrize(("value", "said"), REFUSED)
def test_what_is_wrong_is_named_by_its_path(value: Any, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_policy(value if isinstance(value, dict) else json.dumps(value))
    assert str(caught.value).startswith(said)


def test_what_stands_twice_is_refused() -> None:
    with pytest.raises(DecodeError, match="'watch' stands twice"):
        read_policy(b'{"policy_id":"p","watch":{"default":"deny"},"watch":{"default":"allow"}}')
