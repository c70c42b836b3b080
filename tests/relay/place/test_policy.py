"""What a policy says of places: precedence, classes, what is unknown, positions of devices."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.tokens import Reason
from kernel.value import replace
from relay.place import policy as module
from relay.place.model import Fix, IpPlace, Locality, NetworkClass, PlaceVerdict, Point, known_place
from relay.place.policy import Policy, compile_policy

NOW = 1_800_000_000.0
DOWNTOWN, PASADENA = Point(-118.2437, 34.0522), Point(-118.1445, 34.1478)
DIEGO, TEXAS = Point(-117.1647, 32.7157), Point(-96.8067, 32.7831)
LA = known_place("192.0.2.7", country="US", region="US-CA", city="Los Angeles", point=DOWNTOWN, accuracy_m=20_000)
BESIDE_LA = known_place("192.0.2.7", country="US", region="US-CA", point=PASADENA)
SAN_DIEGO = known_place("192.0.2.8", country="US", region="US-CA", city="San Diego", point=DIEGO, accuracy_m=20_000)
DALLAS = known_place("192.0.2.9", country="US", region="US-TX", city="Dallas", point=TEXAS, accuracy_m=20_000)
PARIS = known_place("192.0.2.10", country="FR", region="FR-75", city="Paris", point=Point(2.3488, 48.8534))
US_ALONE = known_place("192.0.2.11", country="US")
UNKNOWN = IpPlace("192.0.2.12")
PRIVATE = IpPlace("10.0.0.1", is_public=False)
UNREADABLE = IpPlace("not an address", is_public=False)

US_WEST = {
    "policy_id": "us-west",
    "watch": {
        "default": "deny",
        "rules": [
            {"name": "us", "effect": "allow", "where": {"country": ["US"]}},
            {"name": "la-blackout", "effect": "deny", "where": {"dma": {"codes": ["803"], "radius_miles": 75}}},
        ],
    },
    "wager": {"default": "deny", "rules": [{"name": "tx", "effect": "allow", "where": {"region": ["US-TX", "US-NV"]}}]},
    "networks": {"vpn": "block", "tor": "block", "data_centre": "warn"},
}


def of(*classes: NetworkClass, place: IpPlace = DALLAS) -> IpPlace:
    return known_place("192.0.2.9", place.country, place.region, point=place.point, classes=frozenset(classes))


def watched(policy: object, place: IpPlace, fix: Fix | None = None, previous: Fix | None = None) -> PlaceVerdict:
    assert isinstance(policy, dict)
    return compile_policy(policy).decide(place, fix, now=NOW, previous=previous)


def rules(*written: tuple[str, str, object] | tuple[str, str, object, str], default: str = "deny") -> dict[str, object]:
    listed = []
    for name, effect, where, *unknown in written:
        listed.append({"name": name, "effect": effect, "where": where} | ({"unknown": unknown[0]} if unknown else {}))
    return {"policy_id": "p", "watch": {"default": default, "rules": listed}}


CASES: list[tuple[IpPlace, PlaceVerdict]] = [
    # Admitted to watch and to wager
    (DALLAS, PlaceVerdict(None, None, None, "us", "tx")),
    # FORMATS' example: the market and its circle are denied; San Diego is outside
    (LA, PlaceVerdict(Reason.GEO_BLOCKED, Reason.OUTSIDE_TERRITORY, None, "la-blackout", "")),
    (BESIDE_LA, PlaceVerdict(Reason.GEO_BLOCKED, Reason.OUTSIDE_TERRITORY, None, "la-blackout", "")),
    (SAN_DIEGO, PlaceVerdict(None, Reason.OUTSIDE_TERRITORY, None, "us", "")),
    # Abroad
    (PARIS, PlaceVerdict(Reason.OUTSIDE_TERRITORY, Reason.OUTSIDE_TERRITORY)),
    # Where it is not known whether it is denied, or allowed
    (US_ALONE, PlaceVerdict(Reason.LOCATION_UNKNOWN, Reason.LOCATION_UNKNOWN, None, "la-blackout", "")),
    (UNKNOWN, PlaceVerdict(Reason.LOCATION_UNKNOWN, Reason.LOCATION_UNKNOWN, None, "la-blackout", "")),
    (PRIVATE, PlaceVerdict(Reason.LOCATION_UNKNOWN, Reason.LOCATION_UNKNOWN, None, "la-blackout", "")),
    (UNREADABLE, PlaceVerdict(Reason.LOCATION_UNKNOWN, Reason.LOCATION_UNKNOWN, None, "la-blackout", "")),
    # Classes go first; a warning does not refuse; what is not named is allowed; block is stronger than warn
    (of(NetworkClass.VPN), PlaceVerdict(Reason.VPN, Reason.VPN)),
    (of(NetworkClass.TOR, place=LA), PlaceVerdict(Reason.TOR, Reason.TOR)),
    (of(NetworkClass.DATA_CENTRE), PlaceVerdict(None, None, Reason.DATA_CENTRE, "us", "tx")),
    (of(NetworkClass.PRIVATE_RELAY), PlaceVerdict(None, None, None, "us", "tx")),
    (of(NetworkClass.DATA_CENTRE, NetworkClass.VPN), PlaceVerdict(Reason.VPN, Reason.VPN)),
    (of(NetworkClass.DATA_CENTRE, NetworkClass.TOR), PlaceVerdict(Reason.TOR, Reason.TOR)),
]  # fmt: skip


@pytest.mark.parametrize(("place", "expected"), CASES)
def test_a_usual_policy(place: IpPlace, expected: PlaceVerdict) -> None:
    policy = compile_policy(US_WEST)
    assert policy.policy_id == "us-west"
    assert policy.decide(place, None, now=NOW) == expected
    # Whoever asks again gets the same.
    assert policy.decide(place, None, now=NOW + 9_999) == expected


@pytest.mark.parametrize("network", NetworkClass)
def test_each_class_refuses_for_its_own_reason(network: NetworkClass) -> None:
    policy = {"policy_id": "p", "networks": {network.value: "block"}}
    assert watched(policy, of(network)) == PlaceVerdict(Reason(network.value), Reason(network.value))
    warned = {"policy_id": "p", "networks": {network.value: "warn"}}
    assert watched(warned, of(network)) == PlaceVerdict(None, None, Reason(network.value))
    assert watched({"policy_id": "p"}, of(network)) == PlaceVerdict(None, None)
    everything = watched({"policy_id": "p", "vpn_policy": "block"}, of(network))
    assert (everything.watch is None) == (network is NetworkClass.PRIVATE_RELAY)


US, CA, FR = {"country": ["US"]}, {"region": ["US-CA"]}, {"country": ["FR"]}
PRECEDENCE: list[tuple[dict[str, object], IpPlace, Reason | None, str]] = [
    # The default, either way
    (rules(), DALLAS, Reason.OUTSIDE_TERRITORY, ""),
    (rules(default="allow"), DALLAS, None, ""),
    # Deny wins over allow, in whatever order
    (rules(("a", "allow", US), ("d", "deny", CA)), LA, Reason.GEO_BLOCKED, "d"),
    (rules(("d", "deny", CA), ("a", "allow", US)), LA, Reason.GEO_BLOCKED, "d"),
    (rules(("a", "allow", US), ("d", "deny", CA), default="allow"), LA, Reason.GEO_BLOCKED, "d"),
    # Of two that apply the first is named
    (rules(("a", "allow", US), ("b", "allow", US)), LA, None, "a"),
    (rules(("x", "deny", FR), ("b", "deny", CA), ("c", "deny", US)), LA, Reason.GEO_BLOCKED, "b"),
    # What is known to be denied is named before what may be
    (rules(("maybe", "deny", CA), ("sure", "deny", US)), US_ALONE, Reason.GEO_BLOCKED, "sure"),
    (rules(("maybe", "deny", CA), ("too", "deny", CA), ("a", "allow", US)), US_ALONE, Reason.LOCATION_UNKNOWN, "maybe"),
    # Deny rules apply where they do not know, unless they are told to skip; allow rules the other way round
    (rules(("d", "deny", CA), default="allow"), US_ALONE, Reason.LOCATION_UNKNOWN, "d"),
    (rules(("d", "deny", CA, "skip"), default="allow"), US_ALONE, None, ""),
    (rules(("d", "deny", CA, "skip"), ("a", "allow", US)), US_ALONE, None, "a"),
    (rules(("a", "allow", CA)), US_ALONE, Reason.LOCATION_UNKNOWN, ""),
    (rules(("a", "allow", CA, "apply")), US_ALONE, None, "a"),
    (rules(("a", "allow", CA), ("b", "allow", CA, "apply"), ("c", "allow", US)), US_ALONE, None, "b"),
    (rules(("a", "allow", CA), default="allow"), US_ALONE, None, ""),
    # What is known not to hold is not unknown
    (rules(("a", "allow", CA)), PARIS, Reason.OUTSIDE_TERRITORY, ""),
    (rules(("d", "deny", CA), default="allow"), PARIS, None, ""),
    # Nothing is known of a private address, whoever says so; but an operator may name it
    (rules(("a", "allow", US)), known_place("10.0.0.1", country="US", is_public=False), Reason.LOCATION_UNKNOWN, ""),
    (rules(("lan", "allow", {"cidr": ["10.0.0.0/8"]})), PRIVATE, None, "lan"),
    (rules(("lan", "allow", {"cidr": ["10.0.0.0/8"]})), UNREADABLE, Reason.LOCATION_UNKNOWN, ""),
]


@pytest.mark.parametrize(("policy", "place", "reason", "rule"), PRECEDENCE)
def test_precedence(policy: dict[str, object], place: IpPlace, reason: Reason | None, rule: str) -> None:
    verdict = watched(policy, place)
    assert (verdict.watch, verdict.watch_rule) == (reason, rule)
    # Wagering has rules of its own: the same ones give the same.
    again = watched({"policy_id": "p", "wager": policy["watch"]}, place)
    assert (again.wager, again.wager_rule, again.watch) == (reason, rule, None)


def box(west: float, south: float, east: float, north: float) -> dict[str, object]:
    return {"polygon": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


AREAS: list[tuple[dict[str, object], IpPlace, Reason | None, str]] = [
    # Polygons are asked all at once, and named in the order of the rules all the same
    (rules(("a", "allow", box(-120, 30, -115, 36)), ("b", "allow", box(-119, 33, -118, 35))), LA, None, "a"),
    (rules(("b", "allow", box(0, 0, 1, 1)), ("a", "allow", box(-120, 30, -115, 36))), LA, None, "a"),
    (rules(("c", "allow", US), ("a", "allow", box(-120, 30, -115, 36))), LA, None, "c"),
    (rules(("a", "allow", box(-120, 30, -115, 36)), ("c", "allow", US)), LA, None, "a"),
    (rules(("d", "deny", box(-120, 30, -115, 36)), ("a", "allow", US)), LA, Reason.GEO_BLOCKED, "d"),
    (rules(("d", "deny", box(-120, 30, -115, 36)), ("a", "allow", US)), DALLAS, None, "a"),
    # Without a point they are unknown
    (rules(("d", "deny", box(0, 0, 1, 1)), ("a", "allow", US)), US_ALONE, Reason.LOCATION_UNKNOWN, "d"),
    (rules(("d", "deny", box(0, 0, 1, 1), "skip"), ("a", "allow", US)), US_ALONE, None, "a"),
    (rules(("e", "deny", CA), ("d", "deny", box(0, 0, 1, 1))), US_ALONE, Reason.LOCATION_UNKNOWN, "e"),
    (rules(("a", "allow", box(0, 0, 1, 1))), US_ALONE, Reason.LOCATION_UNKNOWN, ""),
    (rules(("a", "allow", box(0, 0, 1, 1), "apply")), US_ALONE, None, "a"),
    (rules(("a", "allow", box(0, 0, 1, 1))), LA, Reason.OUTSIDE_TERRITORY, ""),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "place", "reason", "rule"), AREAS)
def test_rules_that_are_polygons(policy: dict[str, object], place: IpPlace, reason: Reason | None, rule: str) -> None:
    verdict = watched(policy, place)
    assert (verdict.watch, verdict.watch_rule) == (reason, rule)


def at(point: Point, age_s: float = 0, accuracy_m: float = 20) -> Fix:
    return Fix(point, accuracy_m, NOW - age_s)


GPS = {"required": True}
ALLOWED = rules(("us", "allow", US))
POSITIONS: list[tuple[dict[str, object], IpPlace, Fix | None, Fix | None, Reason | None, Reason | None]] = [
    # Missing: only where it is required, or where that has an action of its own
    (ALLOWED, LA, None, None, None, None),
    (ALLOWED | {"gps": GPS}, LA, None, None, Reason.GPS_MISSING, None),
    (ALLOWED | {"gps": GPS | {"missing": "warn"}}, LA, None, None, None, Reason.GPS_MISSING),
    (ALLOWED | {"gps": GPS | {"missing": "allow"}}, LA, None, None, None, None),
    (ALLOWED | {"gps": {"missing": "block"}}, LA, None, None, Reason.GPS_MISSING, None),
    # Stale
    (ALLOWED | {"gps": GPS}, LA, at(DOWNTOWN, 301), None, Reason.GPS_STALE, None),
    (ALLOWED | {"gps": GPS | {"stale": "warn"}}, LA, at(DOWNTOWN, 301), None, None, Reason.GPS_STALE),
    (ALLOWED, LA, at(DOWNTOWN, 301), None, None, None),
    # Implausible: always a reason
    (ALLOWED, LA, at(PASADENA), at(DIEGO, 60), Reason.GPS_IMPLAUSIBLE, None),
    (ALLOWED | {"gps": {"implausible": "warn"}}, LA, at(DOWNTOWN, -99), None, None, Reason.GPS_IMPLAUSIBLE),
    (ALLOWED | {"gps": {"implausible": "allow"}}, LA, at(DOWNTOWN, -99), None, None, None),
    # Far from the address
    (ALLOWED, LA, at(PASADENA), None, None, None),
    (ALLOWED, LA, at(DIEGO), None, Reason.GEO_MISMATCH, None),
    (ALLOWED | {"geo_mismatch_action": "warn"}, LA, at(DIEGO), None, None, Reason.GEO_MISMATCH),
    (ALLOWED | {"geo_mismatch_action": "allow"}, LA, at(DIEGO), None, None, None),
    (ALLOWED | {"gps": {"tolerance_m": 170_000}}, LA, at(DIEGO), None, None, None),
    (ALLOWED, US_ALONE, at(DIEGO), None, None, None),
    # Names are the address': a device in Paris is no reason by itself
    (ALLOWED | {"geo_mismatch_action": "allow"}, LA, at(Point(2.35, 48.85)), None, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "place", "fix", "previous", "reason", "warning"), POSITIONS)
def test_positions_of_devices(
    policy: dict[str, object],
    place: IpPlace,
    fix: Fix | None,
    previous: Fix | None,
    reason: Reason | None,
    warning: Reason | None,
) -> None:
    verdict = watched(policy, place, fix, previous)
    assert (verdict.watch, verdict.warning) == (reason, warning)
    assert verdict.watch_rule == ("us" if reason is None else "")
    assert verdict.wager == reason


BLACKOUT = rules(
    ("us", "allow", US), ("la", "deny", {"circle": {"lon": -118.2437, "lat": 34.0522, "radius_m": 50_000}})
)
TIGHTENING: list[tuple[dict[str, object], IpPlace, Fix | None, Reason | None, str]] = [
    # A device inside what is denied, its address outside, and the other way round: the stricter counts
    (BLACKOUT | {"geo_mismatch_action": "allow"}, SAN_DIEGO, at(PASADENA), Reason.GEO_BLOCKED, "la"),
    (BLACKOUT | {"geo_mismatch_action": "warn"}, SAN_DIEGO, at(PASADENA), Reason.GEO_BLOCKED, "la"),
    (BLACKOUT | {"geo_mismatch_action": "allow"}, LA, at(DIEGO), Reason.GEO_BLOCKED, "la"),
    (BLACKOUT | {"geo_mismatch_action": "block"}, SAN_DIEGO, at(PASADENA), Reason.GEO_MISMATCH, ""),
    # An allowed area that the device has left
    (rules(("in", "allow", box(-119, 33.9, -118.2, 35))), LA, None, None, "in"),
    (rules(("in", "allow", box(-119, 33.9, -118.2, 35))), LA, at(PASADENA), Reason.OUTSIDE_TERRITORY, ""),
    # A position never lets in whom the address keeps out, nor helps where the address has no place
    (rules(("in", "allow", box(-119, 33.9, -118.2, 35))), DALLAS, at(DOWNTOWN), Reason.OUTSIDE_TERRITORY, ""),
    (rules(("in", "allow", box(-119, 33.9, -118.2, 35))), UNKNOWN, at(DOWNTOWN), Reason.LOCATION_UNKNOWN, ""),
    (rules(("in", "allow", box(-119, 33.9, -118.2, 35))), PRIVATE, at(DOWNTOWN), Reason.LOCATION_UNKNOWN, ""),
    # One that cannot be used is not
    (BLACKOUT | {"gps": {"stale": "allow"}}, SAN_DIEGO, at(PASADENA, 999), None, "us"),
    # Classes go before all that
    (BLACKOUT | {"networks": {"vpn": "block"}}, of(NetworkClass.VPN, place=LA), at(DOWNTOWN), Reason.VPN, ""),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "place", "fix", "reason", "rule"), TIGHTENING)
def test_a_position_only_tightens(
    policy: dict[str, object], place: IpPlace, fix: Fix | None, reason: Reason | None, rule: str
) -> None:
    verdict = watched(policy, place, fix)
    assert (verdict.watch, verdict.watch_rule) == (reason, rule)


RECHECKS: list[tuple[dict[str, object], Fix | None, float | None]] = [
    # Not by time: no position, or none that is asked for
    (BLACKOUT, None, None),
    (ALLOWED | {"gps": GPS | {"missing": "warn"}}, None, 300),
    # No boundary at all; in the middle of one; close to it
    (ALLOWED, at(DOWNTOWN), 1_200),
    (BLACKOUT, at(DOWNTOWN), 1_200),
    (BLACKOUT | {"gps": GPS}, at(DOWNTOWN, 100), 180),
    (BLACKOUT, at(Point(-118.2437 - 0.35, 34.0522)), 612),
    (BLACKOUT, at(Point(-118.2437 - 0.5, 34.0522)), 300),
    (BLACKOUT, at(Point(-118.2437 - 0.6, 34.0522)), 300),
    # A market's border
    (rules(("la", "deny", {"dma": {"codes": ["803"]}}), default="allow"), at(DOWNTOWN), 1_200),
]


@pytest.mark.parametrize(("policy", "fix", "expected_s"), RECHECKS)
def test_when_a_position_is_asked_for_again(
    policy: dict[str, object], fix: Fix | None, expected_s: float | None
) -> None:
    allowed = policy | {"geo_mismatch_action": "allow"}
    assert watched(allowed, LA, fix).recheck_s == (expected_s and pytest.approx(expected_s, abs=15))


def test_a_warning_of_the_address_stands_before_that_of_the_device() -> None:
    policy = ALLOWED | {"networks": {"data_centre": "warn"}, "geo_mismatch_action": "warn"}
    place = of(NetworkClass.DATA_CENTRE, place=LA)
    assert watched(policy, place, at(DIEGO)) == PlaceVerdict(None, None, Reason.DATA_CENTRE, "us", "", 1_200)


POINTS = st.builds(Point, st.floats(-125, -110), st.floats(30, 40))


@given(POINTS, st.none() | POINTS, st.sampled_from(["US", "FR", None]), st.booleans())
def test_a_position_never_admits_more(where: Point, device: Point | None, country: str | None, drawn: bool) -> None:
    areas = ("area", "allow", box(-120, 32, -114, 37)), ("la", "deny", box(-119, 33.5, -117.5, 35))
    policy = compile_policy(rules(*areas, ("us", "allow" if drawn else "deny", FR)) | {"geo_mismatch_action": "allow"})
    place = known_place("192.0.2.7", country=country, point=where, accuracy_m=1_000)
    alone = policy.decide(place, None, now=NOW)
    beside = policy.decide(place, None if device is None else at(device), now=NOW)
    assert alone.watch is None or beside.watch is not None


def jagged(draw: random.Random, lon: float, lat: float, corners: int) -> dict[str, object]:
    turns = [math.tau * n / corners for n in range(corners)]
    ring = [[lon + draw.uniform(2, 3) * math.cos(turn), lat + draw.uniform(2, 3) * math.sin(turn)] for turn in turns]
    return {"polygon": [[*ring, ring[0]]]}


def one_by_one(policy: Policy, written: dict[str, object], place: IpPlace) -> tuple[Reason | None, str]:
    """Ask every rule by a policy of its own, and put the answers together by the precedence."""
    listed = written["watch"]["rules"]  # type: ignore[index]
    hits = [
        rule
        for rule in listed
        if watched(rules(("r", "allow", rule["where"])), place).watch is None
    ]  # fmt: skip
    for effect, reason in (("deny", Reason.GEO_BLOCKED), ("allow", None)):
        for rule in hits:
            if rule["effect"] == effect:
                return reason, rule["name"]
    return Reason.OUTSIDE_TERRITORY, ""


def test_many_polygons_say_what_each_says() -> None:
    draw = random.Random(200)
    shapes = [jagged(draw, draw.uniform(-8, 8), draw.uniform(-8, 8), 60) for _ in range(24)]
    listed = [(f"r{n}", draw.choice(("deny", "allow", "allow")), shape) for n, shape in enumerate(shapes)]
    written = rules(*listed, ("fr", "deny", FR))
    policy, seen = compile_policy(written), set()
    assert policy.vertices == 24 * 60
    for _ in range(60):
        place = known_place("", "US", point=Point(draw.uniform(-11, 11), draw.uniform(-11, 11)))
        verdict = policy.decide(place, None, now=NOW)
        assert (verdict.watch, verdict.watch_rule) == one_by_one(policy, written, place)
        seen.add(verdict.watch_rule)
    assert len(seen) > 8


WHERES = st.sampled_from([None, DOWNTOWN, PASADENA, DIEGO, TEXAS, Point(2.3488, 48.8534)])
PLACES = st.builds(
    known_place,
    st.sampled_from(["192.0.2.7", "192.0.2.8"]),
    country=st.sampled_from([None, "US", "FR"]),
    region=st.sampled_from([None, "US-CA", "US-TX"]),
    city=st.sampled_from([None, "Los Angeles", "Dallas"]),
    postcode=st.sampled_from([None, "90012"]),
    point=WHERES,
    accuracy_m=st.sampled_from([None, 1_000.0]),
    metro=st.sampled_from([None, "803", "825"]),
    classes=st.sampled_from([frozenset[NetworkClass](), frozenset({NetworkClass.VPN})]),
    is_public=st.booleans(),
)
ALL_ASKED: list[tuple[str, str, object]] = [
    ("la", "deny", {"dma": {"codes": ["803"]}}),
    ("near", "allow", {"circle": {"lon": -117.0, "lat": 32.7, "radius_m": 80_000}}),
    ("town", "allow", {"city": [{"name": "Dallas", "country": "US"}]}),
    ("post", "deny", {"postcode": [{"country": "US", "codes": ["90012"]}]}),
    ("south", "allow", {"all": [{"region": ["US-CA", "US-TX"]}, {"none": [box(-120, 33, -118, 35)]}]}),
]


@pytest.mark.parametrize("more", [[], [("net", "deny", {"cidr": ["192.0.2.8/32"]})]])
def test_what_is_remembered_is_what_would_be_said_anew(
    more: list[tuple[str, str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    written = rules(*ALL_ASKED, *more)
    policies = [compile_policy(written), compile_policy(rules(*ALL_ASKED[:2])), compile_policy(rules(*ALL_ASKED[2:]))]
    known: dict[Locality, Locality] = {}

    @given(st.lists(PLACES, min_size=2, max_size=24))
    def hold(places: list[IpPlace]) -> None:
        for each in places:
            # As a database has it: all that share a record share what is made of it.
            where = known.setdefault(each.locality, each.locality)
            for policy in policies:
                anew = policy.decide(replace(each, locality=replace(where, verdicts=())), None, now=NOW)
                assert policy.decide(replace(each, locality=where), None, now=NOW) == anew
            assert len(where.verdicts) <= 2

    hold()
