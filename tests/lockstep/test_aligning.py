from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feeds.media import SegmentMedia, TrackKey, track_over
from kernel.errors import DecodeError, SettingsError
from kernel.playlist import MediaPlaylist, parse_media_playlist
from lockstep.aligning import PlaylistTimer, align, first_wall, moved, read_feed

T0 = 1_767_297_600.0  # 2026-01-01T20:00:00Z
FRAME = 3_600
SEGMENT = 180_000
NBA = Path(__file__).parents[3] / "shared" / "data" / "nba" / "live_0022000001.json"


def recording(*extra: str, dated: bool = True) -> MediaPlaylist:
    """Five segments of 2 s; `extra` are lines that stand before the last two."""
    date = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T20:00:00Z"
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", *([date] if dated else [])]
    for number in range(5):
        lines += [*(extra if number == 3 else ()), "#EXTINF:2,", f"{number}.ts"]
    return parse_media_playlist("\n".join([*lines, "#EXT-X-ENDLIST"]))


def media(number: int, base: int = 900_000) -> SegmentMedia:
    pts = [base + number * SEGMENT + FRAME * frame for frame in range(50)]
    return SegmentMedia("mpegts", (track_over(TrackKey("video", "h264", 256, 90_000), pts, pts[0] + SEGMENT),))


def timer_of(playlist: MediaPlaylist, *, unreadable: int | None = None, base: int = 900_000) -> PlaylistTimer:
    timer = PlaylistTimer(playlist)
    for number, segment in enumerate(playlist.segments):
        if number == unreadable:
            timer.skip(segment)
        else:
            timer.place(segment, media(number, base))
    return timer


def fact(identifier: str, after_s: float | None = None, **more: Any) -> dict[str, Any]:
    item: dict[str, Any] = {"id": identifier, "op": "new", "type": "play", "body": {"txt": identifier}, **more}
    if after_s is not None:
        item["occurred_at"] = round((T0 + after_s) * 1000)
    return item


def aligned(*items: dict[str, Any], timer: PlaylistTimer | None = None) -> list[dict[str, Any]]:
    segments = (timer or timer_of(recording())).finish()
    return align(segments, read_feed(json.dumps(items).encode(), "lockstep"))


def test_a_fact_stands_at_its_frame() -> None:
    (row,) = aligned(fact("p1", 5.39))
    assert row == {
        "o": 0,
        "id": "feed:p1",
        "rev": 1,
        "kind": "new",
        "cls": "locked",
        "type": "play",
        "tl": 0,
        "pts": 900_000 + 135 * FRAME,
        "msn": 2,
        "off": 35 * FRAME,
        "wall": round((T0 + 5.4) * 1000),
        "sigma_ms": 0,
        "txt": "p1",
    }


@pytest.mark.parametrize(
    ("after_s", "reason"),
    [(-0.01, "before_start"), (10.0, "after_end"), (-100_000.0, "absurd"), (1e7, "absurd"), (9.99, None), (0.0, None)],
)
def test_without_a_picture_there_is_a_reason(after_s: float, reason: str | None) -> None:
    (row,) = aligned(fact("p1", after_s))
    assert row.get("reason") == reason
    assert (row["pts"] is None) == (reason is not None)
    if reason:
        assert row["wall"] == round((T0 + after_s) * 1000)
        assert not {"tl", "msn", "off", "part"} & row.keys()


def test_a_gap_has_no_picture() -> None:
    behind = recording("#EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T20:01:00Z")
    timer = PlaylistTimer(behind)
    for number, segment in enumerate(behind.segments):
        timer.place(segment, media(number, 900_000 if number < 3 else 0))
    rows = aligned(fact("p1", 30.0), fact("p2", 61.0), timer=timer)
    assert [(row["pts"], row.get("reason")) for row in rows] == [(None, "in_gap"), (3 * SEGMENT + 25 * FRAME, None)]
    assert rows[1]["tl"] == 1


def test_a_segment_that_cannot_be_read_is_a_gap() -> None:
    rows = aligned(fact("p1", 3.0), fact("p2", 5.0), timer=timer_of(recording(), unreadable=1))
    assert [row.get("reason") for row in rows] == ["in_gap", None]
    assert rows[1]["pts"] == 900_000 + 125 * FRAME


def test_the_rounding_of_dates_is_no_gap() -> None:
    late = recording("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T20:00:06.001Z")
    (row,) = aligned(fact("p1", 6.0005), timer=timer_of(late))
    assert row["pts"] is not None


def test_without_dates_nothing_is_pinned() -> None:
    timer = timer_of(recording(dated=False))
    assert first_wall(timer.finish()) is None
    rows = aligned(fact("p1", 1.0), fact("p1", 1.0, rev=2), timer=timer)
    assert [(row["rev"], row["pts"], row["reason"]) for row in rows] == [(1, None, "no_utc"), (2, None, "no_utc")]


def test_a_later_date_tells_of_earlier_segments() -> None:
    timer = timer_of(recording("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T20:00:06Z", dated=False))
    (row,) = aligned(fact("p1", 1.0), timer=timer)
    assert row["pts"] == 900_000 + 25 * FRAME


def test_things_are_told_in_the_order_in_which_they_happened_and_corrections_after() -> None:
    rows = aligned(
        fact("p2", 4.0),
        fact("p1", 1.0),
        {"id": "p2", "op": "amend", "type": "play", "body": {"txt": "other"}},
        {"id": "p1", "op": "retract", "type": "play"},
    )
    assert [(row["id"], row["rev"], row["kind"]) for row in rows] == [
        ("feed:p1", 1, "new"),
        ("feed:p1", 2, "retract"),
        ("feed:p2", 1, "new"),
        ("feed:p2", 2, "amend"),
    ]
    assert rows[3]["pts"] == rows[2]["pts"]
    assert rows[3]["before"] == {"txt": "p2"}


def test_safety_is_pinned_to_nothing() -> None:
    rows = aligned(fact("s1", 2.0, type="suspend", body={"market": {"mid": "m"}}))
    (row,) = [row for row in rows if row["cls"] == "safety"]
    assert (row["pts"], row["reason"]) == (None, "safety")


def test_what_has_no_time_stands_where_it_was_received() -> None:
    at = "2026-01-01T20:00:04.000Z"
    rows = aligned(fact("p0"), fact("p1", at=at), fact("p2"), fact("p3", 6.0), fact("p4"))
    assert [(row["id"], row["pts"] - 900_000) for row in rows] == [
        ("feed:p0", 0),
        ("feed:p1", 100 * FRAME),
        ("feed:p2", 100 * FRAME),
        ("feed:p3", 150 * FRAME),
        ("feed:p4", 150 * FRAME),
    ]


def test_a_feed_is_moved_as_a_whole() -> None:
    items = [fact("p1", 5000.0), fact("p2", 5004.0), fact("p3", at=round((T0 + 5003.0) * 1000)), fact("p4", None)]
    segments = timer_of(recording()).finish()
    start = first_wall(segments)
    assert start == T0
    rows = align(segments, moved(read_feed(json.dumps(items).encode(), "lockstep"), start))
    assert [(row["id"], row["pts"] - 900_000) for row in rows] == [
        ("feed:p1", 0),
        ("feed:p3", 75 * FRAME),
        ("feed:p4", 75 * FRAME),
        ("feed:p2", 100 * FRAME),
    ]


def test_a_feed_without_times_has_nothing_to_move() -> None:
    messages = read_feed(json.dumps(fact("p1")).encode(), "lockstep")
    assert moved(messages, T0) == messages


def test_a_feed_may_stand_one_a_line() -> None:
    lines = "\n".join(json.dumps(fact(f"p{number}", number)) for number in range(3))
    assert [one.facts[0].id for one in read_feed(lines.encode(), "lockstep")] == ["p0", "p1", "p2"]


def test_what_is_no_feed_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="no vendor 'x': use one of lockstep, nba"):
        read_feed(b"[]", "x")
    with pytest.raises(DecodeError, match="read one a line"):
        read_feed(b"{", "lockstep")
    with pytest.raises(DecodeError, match="message 2: 'p': op"):
        read_feed(json.dumps([fact("q"), fact("p", op="x")]).encode(), "lockstep")
    with pytest.raises(DecodeError, match="at: a time such as"):
        read_feed(json.dumps([fact("q", at="x")]).encode(), "lockstep")
    with pytest.raises(DecodeError, match=r"^an action"):
        read_feed(b"{}", "nba")


@pytest.mark.skipif(not NBA.exists(), reason="the shared data are not here")
def test_a_real_game_beside_ten_seconds_of_picture() -> None:
    segments = timer_of(recording()).finish()
    rows = align(segments, moved(read_feed(NBA.read_bytes(), "nba"), T0))
    assert len(rows) == 610
    assert [row["pts"] is not None for row in rows[:3]] == [True, True, False]
    assert {row.get("reason") for row in rows[2:]} == {"after_end"}
