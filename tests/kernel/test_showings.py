"""Showings refuse what would surface as a wrong route later."""

from __future__ import annotations

import pytest

from kernel.errors import SettingsError
from kernel.showings import EVENT_ID, Showing, Source


def test_a_showing_with_its_sources() -> None:
    showing = Showing("game_1-A", "folder", (Source("nba", "nba"), Source("odds-2", "uof", "trading")))
    assert [source.audience for source in showing.sources] == ["public", "trading"]
    assert (showing.hold_s, showing.max_hold_s, showing.program_delay_ms) == (0.0, 15.0, None)


@pytest.mark.parametrize("event_id", ["", "a" * 65, "a.b", "a/b", "a b", "é", "a\n", "../x"])
def test_event_ids_that_no_route_could_tell_apart(event_id: str) -> None:
    with pytest.raises(SettingsError, match="event id"):
        Showing(event_id, "folder")


def test_no_event_id_can_be_taken_for_a_token() -> None:
    assert not EVENT_ID.fullmatch("a.b.c")
    assert EVENT_ID.fullmatch("a" * 64)


@pytest.mark.parametrize("name", ["", "-a", "A", "a" * 33, "a.b", "a/b", "a\n"])
def test_source_names_that_no_route_could_bear(name: str) -> None:
    with pytest.raises(SettingsError, match="source"):
        Showing("game", "folder", (Source(name, "nba"),))


def test_two_sources_of_one_name() -> None:
    with pytest.raises(SettingsError, match="stands twice"):
        Showing("game", "folder", (Source("nba", "nba"), Source("nba", "uof")))


@pytest.mark.parametrize(("hold_s", "max_hold_s", "due_sigma"), [(-1, 15, 1), (0, 0, 1), (0, 15, -1)])
def test_negative_times(hold_s: float, max_hold_s: float, due_sigma: float) -> None:
    with pytest.raises(SettingsError, match="cannot be negative"):
        Showing("game", "folder", hold_s=hold_s, max_hold_s=max_hold_s, due_sigma=due_sigma)


@pytest.mark.parametrize("times", [{"interval_s": 0.0}, {"down_after_s": -1.0}, {"latency_s": -0.1}])
def test_spans_of_a_source(times: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="source 'nba': interval_s, down_after_s and latency_s"):
        Showing("game", "folder", (Source("nba", "nba", **times),))  # type: ignore[arg-type]
