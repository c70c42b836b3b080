from __future__ import annotations

import json
from typing import Any

import pytest

from feeds.lag import MAX_HOLD_S
from kernel.errors import DecodeError
from kernel.showings import Showing, Source
from lockstep.settings import ShowingSettings
from lockstep.showings.words import (
    MadeShowing,
    ShowingBody,
    ShowingChange,
    ShowingFields,
    fields_of,
    set_told,
    showing_of,
)
from relay.api import read_as

CUP: dict[str, Any] = {"event_id": "cup", "origin": "https://o.test/i.m3u8"}
FULL: dict[str, Any] = {
    "sources": {"desk": {"vendor": "lockstep", "interval_s": 2.5, "binds": "own"}},
    "hold_s": "auto",
    "allowed_origins": ["https://player.test", "http://localhost:3000", "https://[::1]:8443"],
    "place_policy": "west",
    "program_delay_ms": 40,
}


def made(**more: Any) -> MadeShowing:
    fields = ShowingFields.model_validate(more)
    return MadeShowing(7, "cup", 3, "https://u:p@o.test/i.m3u8?token=secret", fields, 1.5, 2.25, "ops")


def test_what_is_told_to_the_bus_is_the_showing() -> None:
    record = json.loads(json.dumps(made(**FULL).to_record()))
    expected = Showing(
        "cup", "https://u:p@o.test/i.m3u8?token=secret",
        (Source("desk", "lockstep", interval_s=2.5, binds="own"),),
        hold_s=MAX_HOLD_S, auto_hold=True, program_delay_ms=40, place_policy="west",
        allowed_origins=("https://player.test", "http://localhost:3000", "https://[::1]:8443"),
    )  # fmt: skip
    assert showing_of(record) == ("cup", expected)
    gone = MadeShowing(7, "cup", 4, "o", None, 1.5, 2.25, "ops")
    assert showing_of(gone.to_record()) == ("cup", None)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"event_id": "cup", "origin": 5, "showing": None},
        {"event_id": "../x", "origin": "o", "showing": None},
        {"event_id": None, "origin": "o", "showing": None},
        {"event_id": "cup", "origin": "o", "showing": []},
        {"event_id": "cup", "origin": "o", "showing": {"colour": "red"}},
        {"event_id": "cup", "origin": "o", "showing": {"sources": {"desk": {"vendor": "nobody"}}}},
    ],
)
def test_a_record_that_is_none_is_said(record: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="showing"):
        showing_of(record)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({**CUP, "event_id": "a.b"}, "event_id: String should match"),
        ({"event_id": "cup"}, "origin: Field required"),
        ({**CUP, "origin": ""}, "origin: String should have at least 1"),
        ({**CUP, "origin": "x" * 2_049}, "origin: String should have at most"),
        ({**CUP, "colour": "red"}, "colour: there is no such field"),
        ({**CUP, "local_dir": "/"}, "local_dir: there is no such field"),
        ({**CUP, "hold_s": -1}, "hold_s"),
        ({**CUP, "hold_s": "2"}, "hold_s"),
        ({**CUP, "hold_s": "never"}, "hold_s"),
        ({**CUP, "due_sigma": float("inf")}, "due_sigma"),
        ({**CUP, "price_invalidation": 1}, "price_invalidation"),
        ({**CUP, "allowed_origins": ["https://a.test/path"]}, "allowed_origins.0"),
        ({**CUP, "allowed_origins": ["https://a.test"] * 101}, "allowed_origins"),
        ({**CUP, "sources": {"Desk": {"vendor": "lockstep"}}}, "sources.Desk"),
        ({**CUP, "sources": {"desk": {}}}, "sources.desk.vendor: Field required"),
        ({**CUP, "sources": {"desk": {"vendor": "lockstep", "secret": "x"}}}, "sources.desk.secret"),
        ({**CUP, "sources": {f"d{n}": {"vendor": "lockstep"} for n in range(17)}}, "sources"),
        ({**CUP, "place_policy": "a b"}, "place_policy"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError) as raised:
        read_as(ShowingBody, body)
    assert str(raised.value).startswith(says)


def test_what_is_left_out_of_a_change_takes_its_default() -> None:
    assert fields_of(read_as(ShowingChange, {})) == ShowingFields()
    assert fields_of(read_as(ShowingBody, {**CUP, "hold_s": 2})) == ShowingFields(hold_s=2)


def test_operators_are_told_no_secret_but_those_that_are_new() -> None:
    told = json.loads(made(**FULL).told().model_dump_json(exclude_unset=True, by_alias=True))
    assert (told["from"], told["version"], told["made"], told["changed"], told["by"]) == ("api", 3, 1500, 2250, "ops")
    assert told["origin"] == "https://o.test/i.m3u8"
    assert (told["hold_s"], told["place_policy"], told["sources"]["desk"]["binds"]) == ("auto", "west", "own")
    assert "secrets" not in told
    assert made().told({"desk": "whsec_x"}).secrets == {"desk": "whsec_x"}


def test_those_of_the_settings_are_told_alike() -> None:
    told = set_told("game", "https://o.test/i.m3u8?k=1", ShowingSettings(origin="x", hold_s=2))
    assert (told.source_of, told.version, told.origin, told.hold_s) == ("settings", None, "https://o.test/i.m3u8", 2)
