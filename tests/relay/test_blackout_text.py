from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.blackouts import Window
from kernel.errors import DecodeError, MessageTooLarge
from kernel.pts import Ticks
from kernel.timeline import MediaTime
from relay.blackout_text import LIMITS, MAX_ZONES, read_blackout
from relay.place.conditions import AllOf, Countries, InCircle, InNetworks, InPolygon, NoneOf, Postcodes, Regions, Zone
from relay.place.model import ClassAction, NetworkClass

VERBATIM = (
    '{"event_id":"game1","blackout_zones":[{"type":"dma","code":"803","name":"Los Angeles","radius_miles":75,'
    '"action":"redirect","redirect_stream":"local-broadcast-feed"}],"vpn_policy":"block",'
    '"start":"2026-03-27T19:30:00Z","end":"2026-03-27T23:00:00Z"}'
)
BLOCK = {"type": "all", "action": "block"}
RING = [[0, 0], [1, 0], [1, 1], [0, 0]]


def body(**changes: Any) -> dict[str, Any]:
    said = {"event_id": "game1", "blackout_zones": [BLOCK], **changes}
    return {name: value for name, value in said.items() if value is not None}


def zone(**fields: Any) -> dict[str, Any]:
    return body(blackout_zones=[{"action": "block", **fields}])


def test_the_body_as_the_formats_have_it() -> None:
    terms = read_blackout(VERBATIM)
    (one,) = terms.zones
    assert isinstance(one.where, Zone)
    assert (one.name, one.where.codes, one.where.radius_miles) == ("Los Angeles", frozenset({"803"}), 75)
    assert (one.redirect, one.home, terms.redirects) == ("local-broadcast-feed", False, ["local-broadcast-feed"])
    assert terms.window == Window(1_774_639_800.0, 1_774_652_400.0)
    assert (terms.event_id, terms.precedence) == ("game1", 0)
    blocked = {network for network, action in terms.actions.items() if action is ClassAction.BLOCK}
    assert blocked == set(NetworkClass) - {NetworkClass.PRIVATE_RELAY}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "all"}, AllOf),
        ({"type": "dma", "codes": ["803", "501"]}, Zone),
        ({"type": "polygon", "ring": RING}, InPolygon),
        ({"type": "polygon", "rings": [RING, RING]}, InPolygon),
        ({"type": "circle", "lon": 1, "lat": 2, "radius_m": 5000}, InCircle),
        ({"type": "circle", "lon": 1, "lat": 2, "radius_miles": 5}, InCircle),
        ({"type": "region", "code": "US-CA"}, Regions),
        ({"type": "country", "codes": ["US", "CA"]}, Countries),
        ({"type": "zip", "code": "90012"}, Postcodes),
        ({"type": "zip", "codes": ["SW1A 1AA"], "country": "GB"}, Postcodes),
        ({"type": "cidr", "codes": ["198.51.100.0/24"]}, InNetworks),
        ({"type": "zip", "code": "90012", "territory": "home"}, Postcodes),
        ({"type": "where", "where": {"none": [{"country": ["US"]}]}}, NoneOf),
        ({"type": "where", "where": {"none": [{"country": ["US"]}]}, "territory": "home"}, NoneOf),
    ],
)
def test_zones_of_every_kind(fields: dict[str, Any], kind: type) -> None:
    (one,) = read_blackout(zone(**fields)).zones
    assert isinstance(one.where, kind)
    assert one.redirect is None
    assert one.home is (fields.get("territory") == "home")


def test_a_circles_radius_may_be_in_miles() -> None:
    (one,) = read_blackout(zone(type="circle", lon=1, lat=2, radius_miles=2)).zones
    assert isinstance(one.where, InCircle)
    assert one.where.circle.radius_m == pytest.approx(3_218.688)


@pytest.mark.parametrize(
    ("times", "window"),
    [
        ({}, Window()),
        ({"end": "2026-03-27T23:00:00+02:00"}, Window(None, 1_774_645_200.0)),
        ({"start": "2026-03-27T19:30:00.25Z"}, Window(1_774_639_800.25)),
        ({"start_media": {"tl": 2, "pts": 90}}, Window(start_media=MediaTime(2, Ticks(90)))),
        (
            {"start_media": {"tl": 2, "pts": 90}, "end_media": {"tl": 3, "pts": 0}},
            Window(start_media=MediaTime(2, Ticks(90)), end_media=MediaTime(3, Ticks(0))),
        ),
    ],
)
def test_windows(times: dict[str, Any], window: Window) -> None:
    assert read_blackout(body(**times)).window == window


def test_classes_one_by_one() -> None:
    terms = read_blackout(body(vpn_policy={"vpn": "block", "tor": "warn"}))
    assert terms.actions == {NetworkClass.VPN: ClassAction.BLOCK, NetworkClass.TOR: ClassAction.WARN}
    assert read_blackout(body(precedence=-5)).precedence == -5


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (body(event_id=None), "event_id: the field is missing"),
        (body(event_id="a/b"), "event_id: an event id is expected"),
        (body(zones=[]), "zones: there is no such field"),
        (body(blackout_zones=[]), "blackout_zones: the list has 0 entries"),
        (body(blackout_zones=[BLOCK] * (MAX_ZONES + 1)), f"at most {MAX_ZONES}"),
        (body(blackout_zones=["all"]), r"blackout_zones\[0\]: an object is expected"),
        (body(blackout_zones=[BLOCK, {"action": "block"}]), r"blackout_zones\[1\].type: None is none of dma"),
        (zone(type="all", code="1"), r"blackout_zones\[0\].code: there is no such field"),
        (body(blackout_zones=[{"type": "all"}]), r"blackout_zones\[0\].action: the field is missing"),
        (body(blackout_zones=[{"type": "all", "action": "hide"}]), "'hide' is none of block, redirect"),
        (zone(type="all", redirect_stream="b"), "redirect_stream: it goes with the action redirect"),
        (zone(type="all", action="redirect"), "redirect_stream: an event id is expected"),
        (zone(type="all", action="redirect", redirect_stream="game1"), "it is the showing that is blacked out"),
        (zone(type="dma", code="999"), "'999' is no television market's code"),
        (zone(type="dma"), "exactly one of code and codes"),
        (zone(type="dma", code="803", codes=["803"]), "exactly one of code and codes"),
        (zone(type="polygon", ring=RING[:3]), "polygon"),
        (zone(type="circle", lon=1, lat=2), "exactly one of radius_m and radius_miles"),
        (zone(type="circle", lon=1, lat=91, radius_m=5), "lat: 91 is out of range"),
        (zone(type="region", code="CA"), "a code such as 'US-CA'"),
        (zone(type="cidr", code="10.0.0.0/33"), "cidr"),
        (zone(type="dma", code="803", territory="home"), "territory: of a home its postcode is known"),
        (zone(type="zip", code="90012", territory="away"), "'away' is none of present, home"),
        (zone(type="where"), r"blackout_zones\[0\].where: the field is missing"),
        (zone(type="where", where={"moon": 1}), r"blackout_zones\[0\].where.moon: there is no such field"),
        (zone(type="where", where={"all": [{"dma": {"codes": ["999"]}}]}), r"where.all\[0\].dma"),
        (
            zone(type="where", where={"none": [{"dma": {"codes": ["803"]}}]}, territory="home"),
            r"where.none\[0\].dma: of a home its postcode is known; use country, postcode",
        ),
        (body(vpn_policy="deny"), "vpn_policy: 'deny' is none of block, warn, allow"),
        (body(vpn_policy={"moon": "block"}), "vpn_policy.moon: there is no such field"),
        (body(start="2026-03-27T19:30:00"), "start: a date with its zone"),
        (body(start=1), "start: a date with its zone"),
        (body(start="2026-13-27T19:30:00Z"), "start: .*no date"),
        (body(start="2026-03-27T19:30:00Z", end="2026-03-27T19:30:00Z"), "end: it lies behind start"),
        (body(start="2026-03-27T19:30:00Z", end_media={"tl": 0, "pts": 0}), "not both"),
        (body(start_media={"tl": 0}), "start_media.pts: the field is missing"),
        (body(start_media={"tl": 0, "pts": 1.5}), "start_media.pts: a whole number"),
        (body(start_media={"tl": True, "pts": 1}), "start_media.tl: a number is expected"),
        (body(start_media={"tl": 1, "pts": 1}, end_media={"tl": 1, "pts": 1}), "end_media: it lies behind"),
        (body(precedence=1.0), "precedence: a whole number"),
        (body(precedence=10**9), "precedence: .*out of range"),
    ],
)
def test_what_is_wrong_is_named(said: dict[str, Any], why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        read_blackout(json.dumps(said))


def test_texts_are_limited() -> None:
    with pytest.raises(MessageTooLarge):
        read_blackout(" " * (LIMITS.max_bytes + 1))
    with pytest.raises(DecodeError, match="the body is an object"):
        read_blackout("[]")
    with pytest.raises(DecodeError):
        read_blackout('{"event_id":"a","event_id":"b"}')


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*body(), "vpn_policy", "start", "end", "start_media", "end_media", "precedence"]), _JSON)
def test_whatever_stands_in_a_field_it_is_read_or_named(name: str, value: object) -> None:
    # Whatever else it raised would be a fault.
    with suppress(DecodeError):
        read_blackout(body() | {name: value})


@given(st.sampled_from(["type", "code", "codes", "radius_miles", "name", "territory", "action"]), _JSON)
def test_whatever_stands_in_a_zone_it_is_read_or_named(name: str, value: object) -> None:
    with suppress(DecodeError):
        read_blackout(body(blackout_zones=[{"type": "dma", "action": "block", "code": "803", name: value}]))
