from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.places import make_city
from kernel.errors import SettingsError
from kernel.tokens import Reason
from kernel.value import replace
from lockstep.explaining import explained_lines, explained_map, fix_of, located
from lockstep.settings import PlaceSettings, Settings
from relay.place.explain import Explained, RuleOutcome
from relay.place.model import ClassAction, Fix, IpPlace, NetworkClass, PlaceVerdict, Point, known_place

PLACE = known_place(
    "203.0.113.7",
    "US",
    "US-CA",
    "Pasadena",
    None,
    Point(-118.14, 34.15),
    5_000.0,
    classes=frozenset({NetworkClass.VPN}),
)
TOLD = Explained(
    PlaceVerdict(Reason.GEO_BLOCKED, None, Reason.VPN, "la", "", 300.0),
    {NetworkClass.VPN: ClassAction.WARN},
    None,
    True,
    [RuleOutcome("home", "allow", True, True, True), RuleOutcome("la", "deny", None, True, False)],
    [],
    "deny",
    "allow",
)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("34.05,-118.25", Fix(Point(-118.25, 34.05), 20.0, 5.0)),
        ("34.05,-118.25,7.5", Fix(Point(-118.25, 34.05), 7.5, 5.0)),
    ],
)
def test_positions(text: str, fix: Fix) -> None:
    assert fix_of(text, 5.0) == fix


@pytest.mark.parametrize("text", ["", "1", "91,0", "0,181", "0,0,-1", "0,0,1,2", "nan,0", "0,0,inf", "a,b"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(SettingsError, match="--gps"):
        fix_of(text, 5.0)


def test_lines() -> None:
    assert explained_lines("us", PLACE, "city 1", TOLD) == [
        "policy    us",
        "address   203.0.113.7",
        "place     Pasadena, US-CA, US at 34.1500,-118.1400 within 5000 m",
        "sources   city 1",
        "network   vpn: warn",
        "watch     refused (geo_blocked) by rule 'la'",
        "    allow 'home': true, applies",
        "  * deny 'la': unknown, at the device true",
        "  default deny",
        "wager     admitted",
        "  default allow",
        "warning   vpn",
        "again     a position is asked for again after 300 s",
    ]
    nowhere = IpPlace("10.0.0.1", is_public=False)
    lines = explained_lines("us", nowhere, "", TOLD._replace(flaw=Reason.GPS_STALE, verdict=PlaceVerdict(None, None)))
    assert lines[1:4] == [
        "address   10.0.0.1, which is not of the Internet",
        "place     nowhere that is known",
        "sources   none: set a database in [place]",
    ]
    assert "device    gps_stale" in lines


def test_as_json() -> None:
    told = explained_map("us", PLACE, "city 1", TOLD)
    assert told["watch"]["reason"] == "geo_blocked"
    assert [one["by_address"] for one in told["watch"]["rules"]] == [True, None]
    assert (told["place"]["region"], told["classes"], told["recheck_s"]) == ("US-CA", {"vpn": "warn"}, 300.0)


def test_an_address_is_located_by_the_settings(tmp_path: Path) -> None:
    settings = Settings(place=PlaceSettings(city_database=make_city(tmp_path)))
    place, version = located(settings, "45.16.2.9")
    assert (place.city, version[:4]) == ("Pasadena", "city")
    assert located(Settings(), "45.16.2.9") == (IpPlace("45.16.2.9"), "")
    with pytest.raises(SettingsError, match=r"none\.mmdb"):
        located(replace_city(settings, tmp_path / "none.mmdb"), "45.16.2.9")


def replace_city(settings: Settings, path: Path) -> Settings:
    return settings.model_copy(update={"place": PlaceSettings(city_database=path)})


def test_values_are_values() -> None:
    assert replace(PLACE) == PLACE
