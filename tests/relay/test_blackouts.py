"""Who is inside of which blackout, what comes first, and what is remembered of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.blackouts import BlackoutRecord, Veil, Window
from kernel.tokens import Reason
from relay import blackouts
from relay.blackouts import (
    KEEP_S,
    MAX_FIX_AGE_S,
    NONE,
    BlackoutIndex,
    Blackouts,
    Concern,
    applying,
    home_of,
    refuses,
    veil_in_force,
)
from relay.fixes import FixBook
from relay.place.model import Fix, IpPlace, NetworkClass, Point, known_place
from tests.relay.test_blackout_text import RING, VERBATIM
from tests.support.tokens import NOW, claims

EVENT = claims().event_id
DOWNTOWN, PASADENA, SAN_DIEGO = Point(-118.2437, 34.0522), Point(-118.1445, 34.1478), Point(-117.1611, 32.7157)
ALL_BLOCK = {"type": "all", "action": "block"}
DOWNTOWNERS = {"postcode": [{"country": "US", "codes": ["90012"]}]}


def at(point: Point, **more: Any) -> IpPlace:
    return known_place("192.0.2.7", country="US", region="US-CA", point=point, accuracy_m=5_000, **more)


class Rig:
    def __init__(self, *said: dict[str, Any] | str) -> None:
        self.version = "v1"
        self.place = at(DOWNTOWN)
        self.located = 0
        self.index, self.fixes = BlackoutIndex(), FixBook()
        self.blackouts = Blackouts(self, self.index, self.fixes)
        for number, one in enumerate(said, 1):
            self.make(f"blk_{number}", one, made=float(number))

    def make(self, name: str, said: dict[str, Any] | str, *, made: float = 1.0) -> str | None:
        text = said if isinstance(said, str) else json.dumps({"event_id": EVENT, **said})
        return self.index.heard(BlackoutRecord(name, EVENT, text, made, "ops"))

    def locate(self, address: str) -> IpPlace:
        self.located += 1
        return self.place

    def applies(self, now: float = NOW, **more: Any) -> list[tuple[str, str | None]]:
        zones = self.blackouts.concern(claims(**more), "192.0.2.7", now=now).zones
        return [(veil.blackout_id, veil.redirect) for veil in zones]


@pytest.mark.parametrize(
    ("point", "inside"),
    [(DOWNTOWN, True), (PASADENA, True), (SAN_DIEGO, False)],
    ids=["downtown", "pasadena", "san_diego"],
)
def test_the_body_as_the_formats_have_it(point: Point, *, inside: bool) -> None:
    rig = Rig(VERBATIM)
    rig.place = at(point)
    assert rig.applies() == ([("blk_1", "local-broadcast-feed")] if inside else [])


def test_who_is_inside_and_who_is_not() -> None:
    def inside(zone: dict[str, Any], place: IpPlace, **more: Any) -> bool:
        rig = Rig({"blackout_zones": [{"action": "block", **zone}]})
        rig.place = place
        return rig.applies(**more) == [("blk_1", None)]

    here = at(DOWNTOWN, postcode="90012")
    # By where they are.
    assert inside({"type": "country", "code": "US"}, here)
    assert not inside({"type": "country", "code": "CA"}, here)
    assert inside({"type": "region", "code": "US-CA"}, here)
    assert not inside({"type": "region", "code": "US-NY"}, here)
    assert inside({"type": "zip", "code": "90012"}, here)
    assert not inside({"type": "zip", "code": "10001"}, here)
    assert inside({"type": "circle", "lon": -118, "lat": 34, "radius_miles": 20}, here)
    assert not inside({"type": "polygon", "ring": RING}, here)
    assert inside({"type": "cidr", "code": "192.0.2.0/24"}, here)
    assert not inside({"type": "cidr", "code": "198.51.100.0/24"}, here)
    # What is not known is inside: an address without a place, and a private one.
    assert inside({"type": "zip", "code": "10001"}, at(DOWNTOWN))
    assert inside({"type": "country", "code": "CA"}, IpPlace("192.0.2.7"))
    assert inside({"type": "country", "code": "CA"}, known_place("10.0.0.1", country="US", is_public=False))
    assert not inside({"type": "cidr", "code": "198.51.100.0/24"}, IpPlace("10.0.0.1", is_public=False))
    # By what rules of place say, whatever it takes.
    but_downtown = {"type": "where", "where": {"all": [{"dma": {"codes": ["803"]}}, {"none": [DOWNTOWNERS]}]}}
    assert inside(but_downtown, at(PASADENA, postcode="91101"))
    assert not inside(but_downtown, here)
    assert not inside(but_downtown, at(SAN_DIEGO, postcode="92101"))
    assert inside(but_downtown, at(PASADENA))
    not_at_home = {"type": "where", "where": {"none": [DOWNTOWNERS]}, "territory": "home"}
    assert inside(not_at_home, here, home="US-10001")
    assert not inside(not_at_home, at(SAN_DIEGO), home="US-90012")
    # By where they are at home, wherever they are.
    home = {"type": "zip", "code": "90012", "territory": "home"}
    assert inside(home, at(SAN_DIEGO), home="US-90012")
    assert not inside(home, here, home="US-10001")
    assert not inside(home, here, home="CA-90012")
    assert inside(home, at(SAN_DIEGO))
    assert inside(home, at(SAN_DIEGO), home="nonsense")


def test_a_device_that_is_inside_counts_and_one_that_is_outside_does_not() -> None:
    rig = Rig(VERBATIM)
    rig.place = at(SAN_DIEGO)
    rig.fixes.take(claims().session, Fix(DOWNTOWN, 10.0, NOW))
    assert rig.applies() == [("blk_1", "local-broadcast-feed")]
    assert rig.applies(now=NOW + MAX_FIX_AGE_S + KEEP_S) == []
    rig.place, rig.version = at(DOWNTOWN), "v2"
    rig.fixes.take(claims().session, Fix(SAN_DIEGO, 10.0, NOW + 1))
    assert rig.applies() == [("blk_1", "local-broadcast-feed")]


def test_a_network_that_hides_its_users() -> None:
    hidden = {"vpn_policy": {"vpn": "block", "tor": "warn"}, "blackout_zones": [{**ALL_BLOCK, "type": "country"}]}
    hidden["blackout_zones"][0]["code"] = "CA"  # type: ignore[index]
    rig = Rig(hidden)
    assert rig.applies() == []
    rig.place, rig.version = at(DOWNTOWN, classes=frozenset({NetworkClass.VPN})), "v2"
    assert rig.applies() == [("blk_1", None)]
    rig.place, rig.version = at(DOWNTOWN, classes=frozenset({NetworkClass.TOR})), "v3"
    concern = rig.blackouts.concern(claims(), "192.0.2.7", now=NOW)
    assert concern == Concern((), Reason.TOR)


def redirect(to: str, **more: Any) -> dict[str, Any]:
    return {"blackout_zones": [{"type": "all", "action": "redirect", "redirect_stream": to}], **more}


def test_what_comes_first() -> None:
    block = {"blackout_zones": [ALL_BLOCK]}
    # The highest precedence, then block before redirect, then the later made.
    rig = Rig(redirect("b"), block, redirect("c"), redirect("d", precedence=7), {**block, "precedence": -1})
    assert rig.applies() == [("blk_4", "d"), ("blk_2", None), ("blk_3", "c"), ("blk_1", "b"), ("blk_5", None)]
    # Of a blackout's own zones the same, and of two redirects the first.
    both = {"blackout_zones": [*redirect("b")["blackout_zones"], *redirect("c")["blackout_zones"]]}
    assert Rig(both).applies() == [("blk_1", "b")]
    assert Rig({"blackout_zones": [*both["blackout_zones"], ALL_BLOCK]}).applies() == [("blk_1", None)]


def test_the_index_follows_the_bus() -> None:
    rig = Rig()
    heard: list[int] = []
    rig.index.listen(lambda: heard.append(rig.index.revision))
    assert rig.blackouts.concern(claims(), "192.0.2.7", now=NOW) is NONE
    assert rig.make("a", redirect("b")) is None
    assert (rig.applies(), len(rig.index), heard) == ([("a", "b")], 1, [1])
    # The same again changes nothing.
    assert rig.make("a", redirect("b")) is None
    assert heard == [1]
    rig.index.heard(BlackoutRecord("a", EVENT, None, 2.0, "ops"))
    rig.index.heard(BlackoutRecord("a", EVENT, None, 2.0, "ops"))
    assert (rig.applies(), len(rig.index), heard) == ([], 0, [1, 2])
    assert rig.index.of(EVENT) == ()


def test_what_is_not_understood_is_dark_for_everybody_at_once() -> None:
    rig = Rig()
    why = rig.make("new", {"blackout_zones": [ALL_BLOCK], "moon": 1})
    assert why is not None
    assert why.startswith("moon: there is no such field")
    zones = rig.blackouts.concern(claims(), "192.0.2.7", now=NOW).zones
    assert zones == (Veil("new", Window(), None, 1.0),)
    assert refuses(zones, NOW)
    assert rig.index.broken() == ["new"]


def test_an_answer_is_kept_until_what_it_came_from_may_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(redirect("b"))
    first = rig.blackouts.concern(claims(), "192.0.2.7", now=NOW)
    assert rig.blackouts.concern(claims(), "192.0.2.7", now=NOW + KEEP_S - 1) is first
    assert rig.located == 1
    # Another session's is the same object.
    assert rig.blackouts.concern(claims(session="other"), "192.0.2.7", now=NOW) is first
    kept, located = rig.blackouts._kept, rig.located
    changes: list[dict[str, Any]] = [
        {"address": "192.0.2.8"}, {"home": "US-1"}, {"now": NOW + KEEP_S + 1}, {"version": "v2"}, {"fix": NOW},
        {"more": redirect("c")},
    ]  # fmt: skip
    for change in changes:
        before = kept[claims().session]
        rig.version = change.get("version", rig.version)
        if "fix" in change:
            rig.fixes.take(claims().session, Fix(SAN_DIEGO, 1.0, change["fix"]))
        if "more" in change:
            rig.make("more", change["more"])
        rig.blackouts.concern(
            claims(home=change.get("home")), change.get("address", "192.0.2.7"), now=change.get("now", NOW)
        )
        now = kept[claims().session]
        assert now is not before, change
        # The address is looked up again only where that may say something else.
        located += (now.address, now.version) != (before.address, before.version)
        assert rig.located == located, change
    monkeypatch.setattr(blackouts, "MAX_SESSIONS", 1)
    rig.blackouts.concern(claims(session="third"), "192.0.2.7", now=NOW)
    rig.blackouts.concern(claims(), "192.0.2.7", now=NOW)
    assert rig.located == located + 2


@pytest.mark.parametrize(
    ("text", "country", "postcode"),
    [("US-90012", "US", "90012"), ("GB-sw1a 1aa", "GB", "SW1A1AA"), ("90012", None, None), ("us-9", None, None),
     ("US-", None, None), ("", None, None), (None, None, None)],
)  # fmt: skip
def test_homes(text: str | None, country: str | None, postcode: str | None) -> None:
    home = home_of(text)
    assert (home.country, home.postcode) == (country, postcode)


def test_whether_it_is_in_force() -> None:
    def veil(redirect: str | None = None, **window: Any) -> Veil:
        return Veil("a", Window(**window), redirect, 1.0)

    now = veil()
    assert veil_in_force((), NOW) is None
    assert veil_in_force((now,), NOW) is now
    later, over = veil(start=NOW + 1.0), veil(end=float(NOW))
    assert veil_in_force((later, over), NOW) is None
    assert veil_in_force((later, now), NOW) is now
    assert veil_in_force((later,), NOW + 1) is later
    # Only what is dark at once is refused altogether, and only while it is.
    assert refuses((now,), NOW)
    assert not refuses((over,), NOW)
    assert not refuses((veil(start=NOW - 1.0),), NOW)
    assert not refuses((veil("b"), now), NOW)
    assert refuses((now, veil("b")), NOW)
    assert not refuses((), NOW)


def test_a_showing_is_told_when_it_is_dark_and_where_its_blackouts_lead() -> None:
    index = BlackoutIndex()
    zones = [{"type": "all", "action": "redirect", "redirect_stream": name} for name in ("a", "b")]
    start = "2026-03-27T19:30:00Z"
    text = json.dumps({"event_id": "game", "blackout_zones": zones, "start": start})
    assert index.heard(BlackoutRecord("blk_1", "game", text, 1.0, "ops")) is None
    # What is not understood is dark at once, and leads nowhere.
    assert index.heard(BlackoutRecord("blk_2", "game", "{}", 1.0, "ops")) is not None
    assert index.windows("game") == {"blk_1": Window(start=1_774_639_800.0), "blk_2": Window()}
    assert index.redirects("game") == {"a", "b"}
    assert index.windows("other") == {}
    assert index.redirects("other") == frozenset()


def test_one_that_is_ended_keeps_its_place_and_has_an_end() -> None:
    index = BlackoutIndex()
    zones = [{"type": "all", "action": "redirect", "redirect_stream": "a"}]
    for name in ("blk_1", "blk_2"):
        index.heard(BlackoutRecord(name, "game", json.dumps({"event_id": "game", "blackout_zones": zones}), 1.0, "ops"))
    before = index.revision
    text = json.dumps({"event_id": "game", "blackout_zones": zones, "end": "2026-03-27T19:30:00Z"})
    assert index.heard(BlackoutRecord("blk_1", "game", text, 1.0, "ops")) is None
    assert index.revision == before + 1
    assert list(index.windows("game").items()) == [("blk_1", Window(end=1_774_639_800.0)), ("blk_2", Window())]


def test_of_one_that_is_over_nobody_is_warned() -> None:
    said = {"vpn_policy": {"tor": "warn"}, "blackout_zones": [ALL_BLOCK], "end": "2100-01-01T00:00:00Z"}
    rig = Rig(said)
    rig.place = at(DOWNTOWN, classes=frozenset({NetworkClass.TOR}))
    assert rig.blackouts.concern(claims(), "192.0.2.7", now=NOW).warning is Reason.TOR
    assert rig.blackouts.concern(claims(), "192.0.2.7", now=4_102_444_800.0).warning is None


def test_each_zone_says_whether_somebody_is_known_to_be_inside() -> None:
    rig = Rig({"blackout_zones": [
        {"type": "dma", "code": "803", "action": "block"},
        {"type": "zip", "code": "90012", "action": "block"},
        {"type": "country", "code": "CA", "action": "block"},
        {"type": "zip", "code": "90012", "territory": "home", "action": "block"},
    ]})  # fmt: skip
    (one,) = rig.index.of(EVENT)
    nowhere = IpPlace("")
    assert [held for _, held in one.judged(at(DOWNTOWN), None, nowhere)] == [True, None, False, None]
    assert [held for _, held in one.judged(at(SAN_DIEGO), None, home_of("US-10001"))] == [False, None, False, False]
    fix = Fix(DOWNTOWN, 0.0, NOW)
    assert next(held for _, held in one.judged(at(SAN_DIEGO), fix, nowhere)) is True
    assert not one.hides(at(DOWNTOWN))
    # The same judgement as that by which they are refused.
    assert [pair[0] for pair in applying([one], at(DOWNTOWN), None, nowhere)] == [one]
    assert applying([one], at(SAN_DIEGO, postcode="92101"), None, home_of("US-10001")) == []


def test_a_network_that_hides_is_said_to() -> None:
    rig = Rig({"blackout_zones": [{"type": "dma", "code": "501", "action": "block"}], "vpn_policy": "block"})
    (one,) = rig.index.of(EVENT)
    assert one.hides(at(DOWNTOWN, classes=frozenset({NetworkClass.VPN})))
    assert not one.hides(at(DOWNTOWN))
