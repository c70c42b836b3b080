from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import DecodeError
from relay.blackout_text import read_blackout
from relay.esni.exporting import export_event
from relay.esni.findings import FindingKind
from relay.esni.importing import import_documents
from relay.esni.values import date_text
from relay.place.markets import MARKETS
from relay.place.policy_text import read_policy

NOW_MS = 1_774_612_800_000
F = FindingKind


def lists(one: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, min_size=least, max_size=3, unique=True)


def coded(kind: str, one: st.SearchStrategy[str], more: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Any]:
    codes = one.map(lambda code: {"code": code}) | lists(one, 2).map(lambda codes: {"codes": codes})
    return st.builds(lambda codes, more: {"type": kind, **codes, **more}, codes, more)


LON, LAT = (st.floats(-most, most).map(lambda degrees: round(degrees, 12)) for most in (179, 89))
MARKET = st.sampled_from(sorted(MARKETS))
COUNTRY = st.sampled_from(["US", "CA", "DE"])
REGION = st.sampled_from(["US-CA", "US-NV", "CA-ON"])
ZIP = st.from_regex(r"[0-9]{5}", fullmatch=True)
POSTAL = st.from_regex(r"[A-Z0-9]{3,6}", fullmatch=True)
CIDR = st.sampled_from(["10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32"])
RADIUS_M = st.floats(1, 1e6)
MILES = st.integers(1, 500) | st.integers(1, 5000).map(lambda tenths: tenths / 10)
RING = st.tuples(st.integers(-170, 170), st.integers(-80, 80), st.integers(1, 5)).map(
    lambda it: [[it[0], it[1]], [it[0] + it[2], it[1]], [it[0] + it[2], it[1] + it[2]], [it[0], it[1]]]
)
NAME = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=("Cc", "Zs", "Cf")), min_size=1)
NAME = NAME.filter(str.isprintable).map(lambda text: text[:64])
EVENT = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})
PLACES = st.one_of(
    NOTHING.map(lambda _: {"type": "all"}),
    coded("dma", MARKET, NOTHING | MILES.map(lambda miles: {"radius_miles": miles})),
    coded("region", REGION, NOTHING),
    coded("country", COUNTRY, NOTHING),
    coded("zip", ZIP, NOTHING | st.just({"territory": "home"})),
    coded("zip", POSTAL, st.just({"country": "CA"})),
    coded("cidr", CIDR, NOTHING),
    st.builds(
        lambda lon, lat, radius: {"type": "circle", "lon": lon, "lat": lat, "radius_m": radius}, LON, LAT, RADIUS_M
    ),
    RING.map(lambda ring: {"type": "polygon", "ring": ring}),
)
FATES = st.just({"action": "block"}) | EVENT.filter(lambda event: event != "final").map(
    lambda event: {"action": "redirect", "redirect_stream": event}
)
NAMED = NOTHING | NAME.map(lambda name: {"name": name})
WHERES = st.deferred(
    lambda: st.builds(lambda one, two: {"type": "where", "where": {"all": [one, {"none": [two]}]}}, LEAVES, LEAVES)
)
ZONES = st.builds(lambda place, name, fate: {**place, **name, **fate}, PLACES | WHERES, NAMED, FATES)
TIMES = st.tuples(st.integers(NOW_MS, NOW_MS + 10**10), st.integers(1, 10**9)).map(
    lambda it: {"start": date_text(it[0]), "end": date_text(it[0] + it[1])}
)
WINDOWS = st.one_of(
    NOTHING, TIMES, TIMES.map(lambda it: {"start": it["start"]}), TIMES.map(lambda it: {"end": it["end"]}),
    st.just({"start_media": {"tl": 0, "pts": 90_000}}), st.just({"end_media": {"tl": 1, "pts": 5}}),
)  # fmt: skip
MORE = st.fixed_dictionaries(
    {},
    optional={
        "precedence": st.integers(-5, 1000),
        "vpn_policy": st.just("block") | st.just({"tor": "block", "vpn": "warn"}),
    },
)
BODIES = st.builds(
    lambda zones, window, more: {"event_id": "final", "blackout_zones": zones, **window, **more},
    st.lists(ZONES, min_size=1, max_size=4, unique_by=repr), WINDOWS, MORE,
)  # fmt: skip
LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    lists(COUNTRY).map(lambda codes: {"country": codes}),
    lists(REGION).map(lambda codes: {"region": codes}),
    lists(CIDR).map(lambda codes: {"cidr": codes}),
    st.builds(
        lambda codes, more: {"dma": {"codes": codes, **more}}, lists(MARKET), NOTHING | st.just({"radius_miles": 75})
    ),
    lists(ZIP).map(lambda codes: {"postcode": [{"country": "US", "codes": codes}]}),
    lists(POSTAL).map(lambda codes: {"postcode": [{"country": "CA", "codes": codes}]}),
    st.builds(lambda lon, lat, radius: {"circle": {"lon": lon, "lat": lat, "radius_m": radius}}, LON, LAT, RADIUS_M),
    RING.map(lambda ring: {"polygon": [ring]}),
)
CONDITIONS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    LEAVES | st.just({"none": []}),
    lambda parts: st.builds(
        lambda word, parts: {word: parts},
        st.sampled_from(["any", "all", "none"]), st.lists(parts, min_size=1, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip
RULES = st.builds(lambda name, where: {"name": name, "effect": "deny", "where": where}, NAME, CONDITIONS)
POLICIES = st.builds(
    lambda name, rules: {"policy_id": name, "watch": {"default": "allow", "rules": rules}},
    EVENT, st.lists(RULES, min_size=1, max_size=3),
)  # fmt: skip


@given(st.lists(BODIES, max_size=3), st.lists(POLICIES, max_size=2, unique_by=lambda one: one["policy_id"]))
def test_what_is_exported_is_imported_again(bodies: list[Any], policies: list[Any]) -> None:
    for body in bodies:
        read_blackout(body)
    written = export_event("final", bodies, policies, updated_ms=NOW_MS)
    told = import_documents([("a.xml", written.document)])
    assert list(told.blackouts) == bodies
    assert list(told.policies) == policies
    assert told.findings == ()
    assert {one.kind for one in written.findings} <= {F.EXTENSION}


def policy(**fields: Any) -> dict[str, Any]:
    return {"policy_id": "p", **fields}


def rule(effect: str, where: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": f"{effect} it", "effect": effect, "where": where, **more}


US, LA, VPN = {"country": ["US"]}, {"dma": {"codes": ["803"]}}, {"network": ["vpn"]}


def watch(default: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return policy(watch={"default": default, "rules": list(rules)})


@pytest.mark.parametrize(
    ("text", "denied", "found"),
    [
        (watch("allow", rule("deny", LA)), [LA], []),
        # Who is allowed nowhere is kept out.
        (watch("deny", rule("allow", US), rule("deny", LA)), [LA, {"none": [US]}], []),
        (watch("deny"), [{"none": []}], []),
        (watch("allow", rule("deny", LA), rule("allow", US)), [LA], [F.NOT_CARRIED]),
        # What audiences cannot say keeps out more, never fewer.
        (watch("allow", rule("deny", VPN)), [{"none": []}], [F.WIDENED]),
        (watch("allow", rule("deny", {"all": [LA, VPN]})), [{"all": [LA]}], [F.WIDENED]),
        (watch("allow", rule("deny", {"none": [US, VPN]})), [{"none": [US]}], [F.WIDENED]),
        (watch("deny", rule("allow", VPN)), [{"none": [{"none": [{"none": []}]}]}], [F.WIDENED]),
        (watch("deny", rule("allow", {"any": [US, VPN]})), [{"none": [{"any": [US]}]}], [F.WIDENED]),
        (watch("allow", rule("deny", LA, unknown="skip")), [LA], [F.WIDENED]),
        # What it does not speak of.
        (watch("allow", rule("deny", LA)) | {"vpn_policy": "block"}, [LA], [F.NOT_CARRIED]),
        (watch("allow", rule("deny", LA)) | {"gps": {}, "wager": {"default": "deny"}}, [LA], [F.NOT_CARRIED] * 2),
    ],
)
def test_policies(text: dict[str, Any], denied: list[dict[str, Any]], found: list[FindingKind]) -> None:
    read_policy(text)
    written = export_event("final", [], [text], updated_ms=NOW_MS)
    assert [one.kind for one in written.findings] == found
    told = import_documents([("a.xml", written.document)])
    assert [one["where"] for one in told.policies[0]["watch"]["rules"]] == denied


BODY: dict[str, Any] = {"event_id": "final", "blackout_zones": [{"type": "all", "action": "block"}]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (BODY | {"event_id": "other"}, "event_id: final is expected"),
        (BODY | {"blackout_zones": None}, "blackout_zones: a list is expected"),
        (BODY | {"blackout_zones": [1]}, r"blackout_zones\[0\]: a zone is expected"),
        (BODY | {"note": 1}, "'note' is no field"),
        (BODY | {"blackout_zones": [{"type": "all", "note": 1}]}, "'note' is no field"),
        (BODY | {"start": "soon"}, "start: 'soon' is no date"),
        (BODY | {"start": "2026-03-27T12:00:00Z", "end": "2026-03-27T12:00:00Z"}, "end: it is not behind start"),
    ],
)
def test_what_is_no_blackout(body: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        export_event("final", [body], [], updated_ms=NOW_MS)


def test_what_the_standard_does_not_know_is_an_extension() -> None:
    written = export_event("final", [BODY | {"vpn_policy": "block", "precedence": -1}], [], updated_ms=NOW_MS)
    assert [(one.kind, one.at.path) for one in written.findings] == [
        (F.EXTENSION, "blackout[0].vpn_policy"),
        (F.EXTENSION, "blackout[0].precedence"),
    ]
