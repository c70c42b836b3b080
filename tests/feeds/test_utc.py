"""The model as its callers see it; tests/sim/test_utc.py holds it against the truth."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.media import SegmentMedia, TrackKey, track_over
from feeds.published import Wall
from feeds.timing import Placed
from feeds.utc import MAX_TIMELINES, UtcModel
from kernel.pts import WRAP, Ticks

T0 = 1_700_000_000.684
SEGMENT = 180_000


def model(dates: list[float | None], *, delay_ms: int = 0, timeline: int = 0) -> UtcModel:
    utc = UtcModel(program_delay_ms=delay_ms)
    for index, pdt in enumerate(dates):
        observe(utc, index, pdt, timeline=timeline)
    return utc


def observe(utc: UtcModel, index: int, pdt: float | None, *, arrival: float | None = None, timeline: int = 0) -> None:
    utc.observe(timeline, Ticks(index * SEGMENT), Ticks((index + 1) * SEGMENT), pdt=pdt, arrival=arrival)


def wall_at(utc: UtcModel, pts: int, timeline: int = 0) -> float:
    found = utc.wall_at(timeline, pts)
    assert found is not None
    return found.wall


def test_nothing_is_known_without_date_and_arrival() -> None:
    utc = model([None])
    assert utc.wall_at(0, 0) is None
    assert utc.pts_at(0, T0) is None
    assert utc.wall_at(1, 0) is None
    assert utc.pts_at(1, T0) is None
    assert UtcModel().state() is None


def test_a_date_answers_exactly_for_its_segment_and_at_rate_one_around_it() -> None:
    utc = model([None, T0, None])
    assert utc.wall_at(0, SEGMENT) == Wall(T0, 0.289, "pdt")
    assert wall_at(utc, SEGMENT + 90_000) == T0 + 1
    assert wall_at(utc, 0) == T0 - 2
    assert wall_at(utc, 10 * SEGMENT) == pytest.approx(T0 + 18, abs=1e-6)


def test_start_up_learns_newest_first() -> None:
    utc = UtcModel()
    for index in (2, 1, 0):
        observe(utc, index, T0 + 2 * index)
    assert [wall_at(utc, index * SEGMENT) for index in range(3)] == [T0, T0 + 2, T0 + 4]
    # An older date that would overtake a newer one is not used.
    utc.observe(0, Ticks(-SEGMENT), Ticks(0), pdt=T0 + 1, arrival=None)
    assert wall_at(utc, -SEGMENT) == pytest.approx(T0 - 2, abs=0.001)


def test_timelines_are_apart() -> None:
    utc = model([T0])
    observe(utc, 0, T0 + 100, timeline=1)
    assert (wall_at(utc, 0), wall_at(utc, 0, timeline=1)) == (T0, T0 + 100)


def test_the_programme_delay_is_subtracted() -> None:
    utc = model([T0], delay_ms=4500)
    assert wall_at(utc, 0) == pytest.approx(T0 - 4.5, abs=1e-6)
    assert utc.pts_at(0, T0) == 405_000
    arriving = UtcModel(program_delay_ms=4500)
    observe(arriving, 0, None, arrival=T0)
    assert wall_at(arriving, SEGMENT) == pytest.approx(T0 - 4.5, abs=1e-6)


def test_what_is_no_number_is_not_learnt() -> None:
    utc = UtcModel()
    observe(utc, 0, float("nan"), arrival=float("inf"))
    assert utc.wall_at(0, 0) is None


def test_memory_is_bounded() -> None:
    utc = UtcModel()
    for timeline in range(MAX_TIMELINES + 1):
        observe(utc, 0, T0, timeline=timeline)
    assert utc.wall_at(0, 0) is None
    assert utc.wall_at(1, 0) is not None


def test_a_restart_goes_on_where_it_was() -> None:
    utc = model([T0 + 2 * index for index in range(40)], delay_ms=4500)
    state = json.loads(json.dumps(utc.state()))
    again = UtcModel(program_delay_ms=4500)
    for index in range(40):
        found = utc.wall_at(0, index * SEGMENT)
        assert found is not None
        again.restore(0, Ticks(index * SEGMENT), found, state if index == 39 else None)
    observe(again, 40, T0 + 80)
    assert [wall_at(again, index * SEGMENT) for index in range(40)] == [
        wall_at(utc, index * SEGMENT) for index in range(40)
    ]
    assert wall_at(again, 40 * SEGMENT) == pytest.approx(T0 + 80 - 4.5, abs=1e-6)


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        UtcModel().restore(0, Ticks(0), Wall(T0, 1.0, "pdt"), {})


def media(video: int | None, audio: int, *, wraps: bool = True) -> SegmentMedia:
    tracks = [track_over(TrackKey("audio", "aac", 257, 90_000), [audio], audio + SEGMENT)]
    if video is not None:
        tracks.insert(0, track_over(TrackKey("video", "h264", 256, 90_000), [video], video + SEGMENT))
    return SegmentMedia("mpegts" if wraps else "fmp4", tuple(tracks), wraps=wraps)


def test_a_measured_segment_tells_where_its_sound_begins() -> None:
    utc = UtcModel()
    # Beyond the wrap, and the sound's counter does not stand where the timeline does: only the difference counts.
    for index in range(40):
        raw, start = index * SEGMENT, WRAP + index * SEGMENT
        after = 900 if index % 2 else -720
        placed = Placed(0, Ticks(start), Ticks(start + SEGMENT), (Ticks(start),), None)
        pdt = T0 + 2 * index + after / 90_000
        utc.observe_media(placed, media(raw, raw + after), pdt=pdt, arrival=None)
    assert wall_at(utc, WRAP + 39 * SEGMENT) == pytest.approx(T0 + 78, abs=0.001)


def test_an_unbounded_counter_may_be_the_time_of_day() -> None:
    utc, bounded = UtcModel(), UtcModel()
    epoch = round(T0 * 90_000)
    placed = Placed(0, Ticks(epoch % WRAP), Ticks(epoch % WRAP + SEGMENT), (), None)
    utc.observe_media(placed, media(epoch, epoch + 5, wraps=False), pdt=None, arrival=None)
    found = utc.wall_at(0, placed.start)
    assert found is not None
    assert (found.method, found.sigma_ms) == ("tfdt", 1.0)
    assert found.wall == pytest.approx(T0, abs=1e-5)
    bounded.observe_media(placed, media(None, epoch), pdt=None, arrival=None)
    assert bounded.wall_at(0, placed.start) is None


@given(
    steps_ms=st.lists(st.integers(-5000, 9000), min_size=1, max_size=80),
    late_ms=st.lists(st.integers(0, 20_000), min_size=80, max_size=80),
    dated=st.sampled_from([(True, True), (True, False), (False, True)]),
    delay_ms=st.integers(0, 60_000),
)
def test_wall_time_rises_strictly_and_has_an_inverse(
    steps_ms: list[int], late_ms: list[int], dated: tuple[bool, bool], delay_ms: int
) -> None:
    """Invariant I16, whatever dates and arrivals say; and what was published stands."""
    utc, at, said = UtcModel(program_delay_ms=delay_ms), T0, []
    for index, step in enumerate(steps_ms):
        arrival = T0 + 2 * index + late_ms[index] / 1000 if dated[1] else None
        observe(utc, index, at if dated[0] else None, arrival=arrival)
        said.append(wall_at(utc, index * SEGMENT))
        at += step / 1000
    assert [wall_at(utc, index * SEGMENT) for index in range(len(said))] == said
    points = sorted({index * SEGMENT // 3 + more for index in range(3 * len(said) + 3) for more in (0, 1)})
    walls = [wall_at(utc, pts) for pts in points]
    assert all(earlier < later for earlier, later in pairwise(walls))
    assert [utc.pts_at(0, wall) for wall in walls] == points
