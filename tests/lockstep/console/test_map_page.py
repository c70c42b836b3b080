from __future__ import annotations

import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from kernel.blackouts import BlackoutRecord
from kernel.errors import DecodeError
from lockstep.console.map_page import MapPage, point_of, time_of
from relay.blackouts import BlackoutIndex
from relay.operators import OperatorScope
from relay.place.model import IpPlace, NetworkClass, Point, known_place
from tests.lockstep.console.rig import Rig, log_in

LA: dict[str, Any] = {"type": "dma", "code": "803", "name": "Los Angeles", "radius_miles": 75, "action": "block"}
NOWHERE = "10.0.0.1"


class Locator:
    version = "v1"

    def locate(self, address: str) -> IpPlace:
        if address == NOWHERE:
            return known_place(address, country="US", point=Point(-118.24, 34.05), is_public=False)
        return known_place(
            address, country="US", region="US-CA", city="Pasadena", postcode="91101", point=Point(-118.1445, 34.1478),
            accuracy_m=5_000.0, classes=frozenset({NetworkClass.VPN}) if address.endswith(".9") else frozenset(),
        )  # fmt: skip


class Map:
    def __init__(self, *scopes: OperatorScope) -> None:
        self.rig = Rig(*scopes)
        self.index = BlackoutIndex()
        showings: Any = {"game": object(), "other": object()}
        page = MapPage(self.rig.door, self.index, Locator(), showings, wall=lambda: self.rig.now)
        self.browser: TestClient = self.rig.browser(page.routes())
        log_in(self.browser)

    def make(self, *zones: dict[str, Any], name: str = "blk_1", event: str = "game", **more: Any) -> None:
        text = json.dumps({"event_id": event, "blackout_zones": list(zones), **more})
        assert self.index.heard(BlackoutRecord(name, event, text, 0.0, "ops")) is None

    def see(self, **asked: str) -> str:
        answer = self.browser.get("/console/map", params=asked)
        assert answer.status_code == 200
        return answer.text


def dots(page: str, shade: str) -> set[str]:
    return set(re.findall(rf'data-shade="{shade}" data-market="(\d+)"', page))


def test_without_a_blackout_all_markets_are_clear() -> None:
    page = Map().see()
    assert len(dots(page, "clear")) == 210
    assert "<b>0</b> of 210 markets are dark" in page
    assert "There is none." in page


def test_a_dark_market_its_circle_and_its_blackout_are_shown() -> None:
    one = Map()
    one.make(LA)
    page = one.see()
    assert dots(page, "dark") == {"803"}
    assert 'clip-path="url(#clip-lower)"' in page
    assert "market 803 Los Angeles, and within 75 miles of its city → block" in page


def test_the_time_is_now_or_a_chosen_one() -> None:
    one = Map()
    one.make(LA, start="2026-10-01T00:00:00Z", end="2026-10-02T00:00:00Z")
    assert not dots(one.see(), "dark")
    assert dots(one.see(at="2026-10-01T12:00"), "dark") == {"803"}
    assert not dots(one.see(at="2026-10-02T00:00:00"), "dark")
    # Only the map of now looks again by itself.
    assert 'hx-trigger="every 10s"' in one.see()
    assert "every 10s" not in one.see(at="2026-10-01T12:00")


def test_the_event_is_the_chosen_one_or_the_first_with_a_blackout() -> None:
    one = Map()
    one.make({**LA, "action": "redirect", "redirect_stream": "game"}, event="other")
    assert dots(one.see(), "redirect") == {"803"}
    assert not dots(one.see(event="game"), "redirect")


def test_the_world_has_the_same_markets() -> None:
    one = Map()
    one.make(LA)
    page = one.see(view="world")
    assert dots(page, "dark") == {"803"}
    assert "land.svg#world" in page
    assert "clip-earth" in page


def test_a_point_inside_and_one_outside() -> None:
    one = Map()
    one.make(LA)
    inside = one.see(lat="34.1478", lon="-118.1445")
    assert "Blocked by blk_1" in inside
    assert "Inside: market 803" in inside
    assert 'class="mark"' in inside
    outside = one.see(lat="32.7157", lon="-117.1611")
    assert "Not blacked out" in outside
    assert "Outside: market 803" in outside


def test_an_address_a_fix_beside_it_and_a_postcode() -> None:
    one = Map()
    one.make({"type": "zip", "code": "91101", "action": "block"})
    assert "Inside: postcode US 91101" in one.see(address="192.0.2.7")
    assert "Not blacked out" in one.see(address="192.0.2.7", postcode="90012")
    assert "Blocked by" in one.see(lat="40", lon="-80", postcode="91 101")
    assert "Not known well enough to say no" in one.see(lat="40", lon="-80")
    one.make({**LA, "code": "501"}, name="blk_2")
    both = one.see(address="192.0.2.7", postcode="90012", lat="40.7", lon="-74.0")
    assert "Blocked by blk_2" in both


def test_networks_that_hide_private_addresses_and_homes() -> None:
    one = Map()
    one.make({**LA, "code": "501"}, vpn_policy="block")
    assert "hides where its user is" in one.see(address="192.0.2.9")
    # An address that is not of the Internet is nowhere: inside.
    assert "Blocked by blk_1" in one.see(address=NOWHERE)
    one.make({"type": "zip", "code": "90012", "territory": "home", "action": "block"}, name="blk_home", precedence=1)
    assert "Blocked by blk_home" in one.see(address="192.0.2.7", home="US-90012")
    assert "Not blacked out" in one.see(address="192.0.2.7", home="US-10001")


def test_a_redirect_and_a_window_by_media_time() -> None:
    one = Map()
    one.make({**LA, "action": "redirect", "redirect_stream": "other"})
    assert "Sees other instead, by blk_1" in one.see(address="192.0.2.7")
    media = Map()
    media.make(LA, start_media={"tl": 0, "pts": 90_000})
    page = media.see(address="192.0.2.7")
    assert "whose window is told by media time" in page
    assert dots(page, "some") == {"803"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"lat": "91", "lon": "0"}, "Latitude: -90 to 90"),
        ({"lat": "nan", "lon": "0"}, "Latitude: -90 to 90"),
        ({"lat": "34"}, "two numbers in degrees"),
        ({"lat": "x", "lon": "y"}, "two numbers in degrees"),
        ({"address": "300.1.1.1"}, "an IPv4 or IPv6 address is expected"),
        ({"at": "yesterday"}, "a UTC time is expected"),
        ({"address": "1" * 65}, "at most 64 characters"),
    ],
)
def test_what_is_wrong_is_said(asked: dict[str, str], words: str) -> None:
    assert words in Map().see(**asked)


def test_nothing_that_is_asked_or_written_becomes_markup() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    one = Map()
    one.make({**LA, "name": evil})
    page = one.see(event=evil, region=evil, home=evil, view=evil, at=evil, lat=evil, lon=evil, address=evil)
    page += one.see(address="192.0.2.7")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_a_part_is_the_map_alone_and_it_takes_the_scope_read() -> None:
    one = Map()
    part = one.browser.get("/console/map", headers={"HX-Request": "true"}).text
    assert part.startswith("<div")
    assert 'id="seen"' in part
    assert Map(OperatorScope.REVOKE).browser.get("/console/map").status_code == 403


def test_times_and_points_as_they_are_written() -> None:
    assert time_of("", 5.0) == 5.0
    assert time_of("1970-01-02T00:00", 5.0) == time_of("1970-01-02T00:00:00Z", 5.0) == 86_400.0
    assert point_of("", "") is None
    assert point_of("1.5", "-2") == Point(-2.0, 1.5)
    with pytest.raises(DecodeError):
        point_of("inf", "0")
