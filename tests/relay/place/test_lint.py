"""What lint says, and that it is never wrong about it."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from relay.place.lint import Kind, findings
from relay.place.model import Fix, IpPlace, NetworkClass, Point, known_place
from relay.place.policy import compile_policy

US, CALIFORNIA, NEVADA, FRANCE = {"country": ["US"]}, {"region": ["US-CA"]}, {"region": ["US-NV"]}, {"country": ["FR"]}
VPN, VPN_OR_TOR = {"network": ["vpn"]}, {"network": ["vpn", "tor"]}
BOX = {"polygon": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
NOW = 1_800_000_000.0


def policy(*written: Any, default: str = "deny", **fields: object) -> dict[str, Any]:
    """Return a policy of (effect, where), named a, b, c... in order."""
    listed = []
    for name, (effect, where, *unknown) in zip("abcdefgh", written, strict=False):
        listed.append({"name": name, "effect": effect, "where": where} | ({"unknown": unknown[0]} if unknown else {}))
    return {"policy_id": "p", "watch": {"default": default, "rules": listed}} | fields


def found(value: dict[str, Any]) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.rule) for finding in findings(compile_policy(value))]


SAID: list[tuple[dict[str, Any], list[tuple[Kind, str]]]] = [
    # Nothing to say
    (policy(("deny", CALIFORNIA), ("allow", US)), []),
    (policy(default="allow"), []),
    (policy(("deny", US), default="allow"), []),
    ({"policy_id": "p"}, []),
    # An allow rule that a deny rule swallows, wherever that stands
    (policy(("allow", FRANCE), ("allow", CALIFORNIA), ("deny", US)), [(Kind.UNREACHABLE, "b")]),
    (policy(("deny", US), ("allow", CALIFORNIA), ("allow", FRANCE)), [(Kind.UNREACHABLE, "b")]),
    (policy(("deny", US), ("allow", US), ("allow", FRANCE)), [(Kind.UNREACHABLE, "b")]),
    (policy(("deny", {"any": [FRANCE, US]}), ("allow", CALIFORNIA)), [(Kind.UNREACHABLE, "b"), (Kind.NOBODY, "")]),
    # Unless it applies where the deny rule is skipped as unknown
    (policy(("deny", US, "skip"), ("allow", US, "apply")), [(Kind.CONTRADICTION, "b")]),
    (policy(("deny", US), ("allow", US, "apply"), ("allow", FRANCE)), [(Kind.UNREACHABLE, "b")]),
    # The same effect twice
    (policy(("allow", US), ("allow", CALIFORNIA)), [(Kind.UNREACHABLE, "b")]),
    (policy(("allow", CALIFORNIA), ("allow", US)), []),
    (policy(("deny", US), ("deny", CALIFORNIA), default="allow"), [(Kind.UNREACHABLE, "b")]),
    (policy(("deny", CALIFORNIA), ("deny", US), default="allow"), []),
    (policy(("deny", US, "skip"), ("deny", CALIFORNIA), default="allow"), [(Kind.CONTRADICTION, "b")]),
    # A polygon in a denied country: nobody knows
    (policy(("deny", US), ("allow", BOX)), []),
    (policy(("deny", BOX), ("allow", BOX)), [(Kind.UNREACHABLE, "b"), (Kind.NOBODY, "")]),
    # Conditions that hold nowhere
    (policy(("allow", US), ("deny", {"any": []})), [(Kind.EMPTY, "b"), (Kind.UNREACHABLE, "b")]),
    (policy(("allow", {"all": []})), [(Kind.EMPTY, "a")]),
    (policy(("allow", {"none": [{"all": []}]})), [(Kind.EMPTY, "a"), (Kind.UNREACHABLE, "a"), (Kind.NOBODY, "")]),
    (policy(("allow", US), ("allow", {"all": [FRANCE, CALIFORNIA]})), [(Kind.UNREACHABLE, "b")]),
    (policy(("allow", US), ("deny", {"all": [FRANCE, CALIFORNIA]})), [(Kind.CONTRADICTION, "b")]),
    # Rules that do as the default does
    (policy(("allow", US), default="allow"), [(Kind.NO_EFFECT, "a")]),
    (policy(("deny", US)), [(Kind.NO_EFFECT, "a"), (Kind.NOBODY, "")]),
    (policy(("deny", FRANCE), ("allow", US)), [(Kind.NO_EFFECT, "a")]),
    (policy(("deny", FRANCE), ("allow", US, "apply")), []),
    (policy(("deny", BOX), ("allow", US)), []),
    # Nobody
    (policy(), [(Kind.NOBODY, "")]),
    # Classes that are blocked before any rule is asked
    (policy(("allow", US), ("deny", VPN, "skip"), networks={"vpn": "block"}), [(Kind.UNREACHABLE, "b")]),
    (policy(("allow", US), ("deny", VPN, "skip"), networks={"vpn": "warn"}), []),
    (policy(("allow", US), ("deny", VPN_OR_TOR, "skip"), networks={"vpn": "block"}), []),
    # Names, markets, positions
    (policy(("allow", US)) | {"wager": policy(("allow", US))["watch"]}, []),
    (policy(("allow", US), markets={"803": BOX["polygon"]}), [(Kind.UNUSED_MARKET, "")]),
    (policy(("allow", {"dma": {"codes": ["803"]}}), markets={"803": BOX["polygon"]}), []),
    (policy(("allow", {"dma": {"codes": ["803"]}}), markets={"825": BOX["polygon"]}), [(Kind.UNUSED_MARKET, "")]),
    (policy(("allow", US), gps={"required": True, "missing": "warn"}), [(Kind.GPS, "")]),
    (policy(("allow", US), gps={"required": True}), []),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), SAID)
def test_what_is_said(value: dict[str, Any], expected: list[tuple[Kind, str]]) -> None:
    assert found(value) == expected


def test_a_name_stands_once_in_a_section_and_findings_say_where() -> None:
    value = policy(("allow", US), ("deny", {"all": [CALIFORNIA, {"all": []}]}))
    value["watch"]["rules"][1]["name"] = "a"
    said = [(finding.kind, finding.path, finding.text) for finding in findings(compile_policy(value))]
    assert said == [
        (Kind.DUPLICATE_NAME, "watch.rules[1]",
         "watch.rules[0] has this name as well: records will not tell which of them decided"),
        (Kind.EMPTY, "watch.rules[1].where.all[1]", "what asks for nothing holds everywhere"),
    ]  # fmt: skip


def ring(*positions: tuple[float, float]) -> list[list[float]]:
    return [list(position) for position in (*positions, positions[0])]


CIRCLE = ring(*((math.cos(n * math.tau / 1_990), math.sin(n * math.tau / 1_990)) for n in range(1_990)))
COMB = ring(*((n / 2, n % 2 * 40 + n / 9) for n in range(300)), (150, -1), (0, -1))
CROSSED: list[list[float]] = [*CIRCLE[:900], [5, 0], [-5, 0.5], *CIRCLE[900:]]
DRAWN: list[tuple[list[list[list[float]]], list[Kind]]] = [
    # Right, either way round, with a hole, large
    ([ring((0, 0), (2, 0), (2, 2), (0, 2))], []),
    ([ring((0, 2), (2, 2), (2, 0), (0, 0))], []),
    ([ring((0, 0), (9, 0), (9, 9), (0, 9)), ring((1, 1), (2, 1), (2, 2))], []),
    ([CIRCLE], []),
    ([COMB], []),
    # A hole that touches its ring; a spike; a corner that stands twice
    ([ring((0, 0), (9, 0), (9, 9), (0, 9)), ring((0, 1), (2, 1), (2, 2))], []),
    ([ring((0, 0), (2, 0), (2, 2), (2, 4), (2, 2), (0, 2))], []),
    ([ring((0, 0), (0, 0), (2, 0), (2, 2), (0, 2))], []),
    # A bow tie; a hole that reaches out; across the antimeridian
    ([ring((0, 0), (2, 2), (2, 0), (0, 2.5))], [Kind.SELF_INTERSECTION]),
    ([ring((0, 0), (9, 0), (9, 9), (0, 9)), ring((8, 1), (11, 1), (11, 2), (8, 2))], [Kind.SELF_INTERSECTION]),
    ([ring((179, 0), (-179, 2), (-179, 0), (179, 2.5))], [Kind.SELF_INTERSECTION]),
    ([CROSSED], [Kind.SELF_INTERSECTION]),
    # No area: a line; a bow tie whose halves are as large
    ([ring((0, 0), (1, 1), (2, 2))], [Kind.ZERO_AREA]),
    ([ring((0.1, 0.1), (0.2, 0.2), (0.3, 0.3))], [Kind.ZERO_AREA]),
    ([ring((0.1, 0.1), (0.2, 0.2), (0.3, 0.30000000000000004))], []),
    ([ring((0, 0), (2, 2), (2, 0), (0, 2))], [Kind.ZERO_AREA, Kind.SELF_INTERSECTION]),
]  # fmt: skip


@pytest.mark.parametrize(("rings", "expected"), DRAWN)
def test_how_polygons_are_drawn(rings: object, expected: list[Kind]) -> None:
    value = policy(("allow", {"polygon": rings}))
    assert [finding.kind for finding in findings(compile_policy(value))] == expected
    drawn = policy(("allow", {"dma": {"codes": ["803"]}}), markets={"803": rings})
    assert [finding.kind for finding in findings(compile_policy(drawn))] == expected


def test_what_takes_too_long_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.place.lint.MAX_PAIRS", 100)
    assert [kind for kind, _ in found(policy(("allow", {"polygon": [COMB]})))] == [Kind.NOT_CHECKED]


class Worlds:
    """Make small policies and places, of few words, so that much coincides."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def condition(self, depth: int = 0) -> dict[str, object]:
        draw = self._draw
        if depth < 2 and draw.random() < 0.4:
            return {draw.choice(("any", "all", "none")): [self.condition(depth + 1) for _ in range(draw.randrange(3))]}
        return draw.choice((self._name, self._name, self._place))()

    def _name(self) -> dict[str, object]:
        kinds: list[dict[str, object]] = [
            {"country": self._some("US", "FR")},
            {"region": self._some("US-CA", "US-NV", "FR-75")},
            {"city": [self._city(region) for region in self._some("US-CA", "US-NV", "FR-75")]},
            {"postcode": [{"country": code, "codes": self._some("1", "2", "3")} for code in self._some("US", "FR")]},
        ]
        return self._draw.choice(kinds)

    def _some(self, *words: str) -> list[str]:
        return self._draw.sample(words, self._draw.randrange(1, 3))

    def _city(self, region: str) -> dict[str, object]:
        city: dict[str, object] = {"country": region[:2], "name": self._draw.choice("xy")}
        return city | ({"region": region} if self._draw.random() < 0.6 else {})

    def _place(self) -> dict[str, object]:
        draw = self._draw
        radius = draw.choice(({}, {"radius_miles": draw.choice((20, 90))}))
        kinds: list[dict[str, object]] = [
            {"circle": {"lon": draw.choice((0, 0.01)), "lat": 0, "radius_m": draw.choice((500, 2_000, 4_000))}},
            {"dma": {"codes": draw.choice((["803"], ["803", "825"]))} | radius},
            {"cidr": draw.choice((["192.0.2.0/24"], ["192.0.2.0/24", "198.51.100.0/24"]))},
            {"network": draw.choice((["vpn"], ["vpn", "tor"]))},
            {"polygon": [ring((0, 0), (draw.choice((1, 2)), 0), (1, 1))]},
        ]
        return draw.choice(kinds)

    def policy(self) -> dict[str, object]:
        draw = self._draw
        written = [
            (draw.choice(("allow", "deny")), self.condition(), *draw.choice(((), (), ("apply",), ("skip",))))
            for _ in range(draw.randrange(2, 6))
        ]
        networks = draw.choice(({}, {"vpn": "block"}, {"vpn": "warn", "tor": "block"}))
        return policy(*written, default=draw.choice(("allow", "deny")), networks=networks, geo_mismatch_action="allow")

    def place(self) -> IpPlace:
        draw = self._draw
        return known_place(
            draw.choice(("192.0.2.7", "198.51.100.7", "10.0.0.1", "nonsense")),
            draw.choice((None, "US", "FR", "DE")),
            # Databases do not contradict themselves; a bad one might.
            draw.choice((None, "US-CA", "US-NV", "FR-75")),
            draw.choice((None, "x", "Y", "z")),
            draw.choice((None, "1", "2", "9")),
            self.point(),
            draw.choice((None, 0, 50_000)),
            draw.choice((None, "803", "825", "501")),
            classes=frozenset(draw.sample(list(NetworkClass)[:3], draw.randrange(3))),
            is_public=draw.random() < 0.9,
        )

    def point(self) -> Point | None:
        draw = self._draw
        where = (Point(0.004, 0), Point(0.02, 0), Point(0.9, 0.1), Point(-118.24, 34.05), Point(-117.2, 33.2))
        return draw.choice((None, *where, Point(draw.uniform(-0.05, 0.05), draw.uniform(-0.05, 0.05))))


def test_what_is_called_unreachable_never_decides_and_what_has_no_effect_has_none() -> None:
    worlds, seen = Worlds(7), dict.fromkeys(Kind, 0)
    for _ in range(600):
        value = worlds.policy()
        compiled = compile_policy(value)
        said = findings(compiled)
        if not said:
            continue
        for finding in said:
            seen[finding.kind] += 1
        silent = {finding.rule for finding in said if finding.kind is Kind.UNREACHABLE}
        idle = {finding.rule for finding in said if finding.kind is Kind.NO_EFFECT}
        without = {name: compile_policy(_without(value, name)) for name in idle}
        nobody = any(finding.kind is Kind.NOBODY for finding in said)
        for _ in range(60):
            place, point = worlds.place(), worlds.point()
            fix = None if point is None else Fix(point, 10, NOW)
            verdict = compiled.decide(place, fix, now=NOW)
            assert verdict.watch_rule not in silent, (value, place, fix, said)
            assert not (nobody and verdict.watch is None), (value, place, fix, said)
            for name, other in without.items():
                refused = other.decide(place, fix, now=NOW).watch is not None
                assert refused == (verdict.watch is not None), (name, value, place, fix, said)
    # It would say nothing if lint said nothing.
    for kind in (Kind.UNREACHABLE, Kind.NO_EFFECT, Kind.CONTRADICTION, Kind.NOBODY, Kind.EMPTY):
        assert seen[kind] > 20, seen


def _without(value: dict[str, Any], name: str) -> dict[str, Any]:
    watch = value["watch"]
    return value | {"watch": watch | {"rules": [rule for rule in watch["rules"] if rule["name"] != name]}}
