"""The plan of a replay: what to post when, every time moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.vendors.registry import ADAPTERS
from kernel.cues import Fact
from kernel.errors import DecodeError, SettingsError
from lockstep.replaying import Step, plan, read_recording

GAME = Path(__file__).parents[2].parent / "shared/data/nba/live_0022000001.json"
START = 1_774_640_000.0  # 2026-03-27T19:33:20Z


def action(number: int, happened: str, edited: str | None = None) -> dict[str, Any]:
    times = {"timeActual": f"2020-12-23T00:{happened}Z"} | ({"edited": f"2020-12-23T00:{edited}Z"} if edited else {})
    return {"actionNumber": number, **times, "description": f"Play {number}"}


def posted(steps: list[Step], start: float = START) -> list[tuple[float, dict[str, Any]]]:
    return [(round(step.after_s, 6), json.loads(step.rewrite(start))) for step in steps]


def test_an_action_is_posted_when_it_happened_and_again_when_it_was_edited() -> None:
    document = {"game": {"actions": [action(2, "06:19.0", "06:19"), action(4, "06:29.5", "06:39")]}}
    assert posted(plan(document, "nba", 1.0)) == [
        # In the second in which it happened: nothing was edited.
        (0.0, {"actionNumber": 2, "timeActual": "2026-03-27T19:33:20.000Z", "edited": "2026-03-27T19:33:20Z",
               "description": "Play 2"}),
        (10.5, {"actionNumber": 4, "timeActual": "2026-03-27T19:33:30.500Z", "edited": "2026-03-27T19:33:30Z",
                "description": "Play 4"}),
        (20.5, {"actionNumber": 4, "timeActual": "2026-03-27T19:33:30.500Z", "edited": "2026-03-27T19:33:40.500Z",
                "description": "Play 4"}),
    ]  # fmt: skip


def test_speed_shortens_every_gap() -> None:
    steps = plan([action(2, "06:19.0"), action(4, "06:29.0", "06:39")], "nba", 20.0)
    assert [after_s for after_s, _ in posted(steps)] == [0.0, 0.5, 1.025]
    assert posted(steps)[1][1]["timeActual"] == "2026-03-27T19:33:20.500Z"


def test_the_earliest_begins_whatever_stands_first() -> None:
    steps = plan([action(9, "08:00.0"), action(2, "06:00.0")], "nba", 1.0)
    assert [(after_s, message["actionNumber"]) for after_s, message in posted(steps)] == [(0.0, 2), (120.0, 9)]


def test_what_is_edited_before_it_happened_is_posted_once() -> None:
    assert len(plan([action(521, "42:57.1", "42:55")], "nba", 1.0)) == 1


def test_a_recording_is_left_as_it_is() -> None:
    recorded = action(2, "06:19.0", "06:39")
    for step in plan([recorded], "nba", 1.0):
        step.rewrite(START)
    assert recorded == action(2, "06:19.0", "06:39")


@given(st.floats(0.05, 10_000), st.integers(1, 4 * 10**9).map(float), st.integers(1, 5000))
def test_a_revision_is_newer_and_stands_in_the_same_place(speed: float, start: float, later_s: int) -> None:
    minutes, seconds = divmod(later_s % 3000 + 1, 60)
    steps = plan([action(1, "00:00.9", f"{minutes:02}:{seconds:02}")], "nba", speed)
    first, second = (_fact(step, start) for step in steps)
    assert first.occurred_at == second.occurred_at
    assert first.stamp is not None
    assert second.stamp is not None
    if speed <= 100:
        assert first.stamp < second.stamp
    assert first.stamp <= second.stamp


def _fact(step: Step, start: float) -> Fact:
    return ADAPTERS["nba"]("nba", json.loads(step.rewrite(start + 200_000_000))).facts[0]


def test_the_own_format_goes_by_when_it_occurred_or_by_when_it_is_to_be_posted() -> None:
    recording = [
        {"id": "lineup", "op": "new", "type": "lineup", "body": {}},
        {"id": "a", "op": "new", "type": "play", "occurred_at": "2026-01-01T00:00:10.500Z", "body": {}},
        {"id": "b", "op": "new", "type": "play", "body": {}},
        {"id": "a", "op": "retract", "type": "play", "at": "2026-01-01T00:00:30.500Z",
         "occurred_at": "2026-01-01T00:00:10.500Z"},
        {"id": "c", "op": "new", "type": "play", "at": 1_767_225_620_500, "occurred_at": 1_767_225_612_500, "body": {}},
        {"type": "alive", "interval_s": 2, "complete_to": "2026-01-01T00:00:14.500Z"},
    ]  # fmt: skip
    steps = posted(plan(recording, "lockstep", 2.0))
    assert [(after_s, message.get("id"), message.get("occurred_at")) for after_s, message in steps] == [
        (0.0, "lineup", None),
        (0.0, "a", "2026-03-27T19:33:20.000Z"),
        (0.0, "b", None),
        (5.0, "c", "2026-03-27T19:33:21.000Z"),
        (5.0, None, None),
        (10.0, "a", "2026-03-27T19:33:20.000Z"),
    ]
    assert steps[4][1]["complete_to"] == "2026-03-27T19:33:22.000Z"
    assert all("at" not in message for _, message in steps)
    for _, message in steps:
        ADAPTERS["lockstep"]("own", message)


def test_a_time_in_whole_seconds_stands_for_their_middle() -> None:
    fact = {"id": "a", "op": "new", "type": "play", "occurred_at": "2026-01-01T00:00:10Z", "body": {}}
    later = {**fact, "occurred_at": "2026-01-01T00:00:11.000Z"}
    assert [after_s for after_s, _ in posted(plan([fact, later], "lockstep", 1.0))] == [0.0, 0.5]


def test_one_fact_is_a_recording_too() -> None:
    fact = {"id": "a", "op": "new", "type": "play", "occurred_at": 1_767_225_612_500, "body": {}}
    assert len(plan(fact, "lockstep", 1.0)) == 1
    assert plan([], "lockstep", 1.0) == []


def test_a_recording_is_one_document_or_lines() -> None:
    assert read_recording(b"[1,\n2]") == [1, 2]
    assert read_recording(b'{"id":1}\n{"id":2}\n') == [{"id": 1}, {"id": 2}]
    with pytest.raises(DecodeError, match=r"not JSON: .*; read one a line: line 1: not JSON"):
        read_recording(b"{\n1]")


@pytest.mark.parametrize(
    ("document", "vendor", "speed", "error", "says"),
    [
        ([], "nfl", 1.0, SettingsError, "no replay for vendor 'nfl': use one of lockstep, nba"),
        ([], "nba", 0.0, SettingsError, "a speed lies above 0"),
        ([], "nba", float("nan"), SettingsError, "a speed lies above 0"),
        ([], "nba", 1e9, SettingsError, "a speed lies above 0"),
        (7, "nba", 1.0, DecodeError, "an action, a list of actions"),
        ([7], "nba", 1.0, DecodeError, "action 0: a JSON object is expected"),
        ([{"actionNumber": 1}], "nba", 1.0, DecodeError, "action 0: timeActual: a time"),
        ([7], "lockstep", 1.0, DecodeError, "item 0: a JSON object is expected"),
        ([{"id": "a"}], "lockstep", 1.0, DecodeError, "nothing in the recording has a time"),
        ([{"at": "noon"}], "lockstep", 1.0, DecodeError, "item 0: at: a time"),
    ],
)
def test_what_cannot_be_replayed_is_named(
    document: Any, vendor: str, speed: float, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        plan(document, vendor, speed)


@pytest.mark.skipif(not GAME.exists(), reason="the recorded game is not at hand")
def test_a_whole_game() -> None:
    steps = plan(read_recording(GAME.read_bytes()), "nba", 20.0)
    numbers = [json.loads(step.rewrite(START))["actionNumber"] for step in steps]
    # 503 were edited in another second than they happened in, one of them before it happened.
    assert (len(set(numbers)), len(numbers)) == (610, 1112)
    assert [step.after_s for step in steps] == sorted(step.after_s for step in steps)
    assert steps[0].after_s == 0.0
