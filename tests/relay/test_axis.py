from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.playlist import MediaPlaylist, parse_media_playlist
from relay import axis as module
from relay.axis import LeadAxis, PlaylistAxis, find


def segments(body: str, *, first: int = 0) -> MediaPlaylist:
    return parse_media_playlist(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:{first}\n{body}")


def dated(seconds: int) -> str:
    return f"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{seconds:02d}Z\n"


def laid(body: str, *, first: int = 0) -> LeadAxis:
    lead = LeadAxis()
    for segment in segments(body, first=first).segments:
        lead.add(segment, restarted=False)
    return lead


def test_segments_lie_end_to_end_and_carry_their_date_on() -> None:
    axis = PlaylistAxis()
    places = [
        axis.add(segment, restarted=False)
        for segment in segments(
            f"{dated(10)}#EXTINF:2,\na\n#EXTINF:3,\nb\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nc\n"
        ).segments
    ]
    assert [place.at for place in places] == [0, 2, 5]
    assert [place.end for place in places] == [2, 5, 7]
    walls = [place.wall for place in places]
    assert walls[0] is not None
    # A discontinuity says nothing of how much time it stands for.
    assert walls == [walls[0], walls[0] + 2, None]
    assert [place.since for place in places] == [None, None, 0.0]
    assert axis.add(segments("#EXTINF:1,\nd\n").segments[0], restarted=True).since == 0.0


def test_a_date_has_its_place() -> None:
    lead = laid(f"{dated(10)}#EXTINF:2,\na\n#EXTINF:2,\nb\n#EXT-X-DISCONTINUITY\n{dated(30)}#EXTINF:2,\nc\n")
    start = segments(f"{dated(10)}#EXTINF:2,\na\n").segments[0].pdt
    assert start is not None
    assert lead.of_wall(start + 3) == pytest.approx(3)
    # Before everything: as far before.
    assert lead.of_wall(start - 1) == pytest.approx(-1)
    assert laid("#EXTINF:2,\na\n").of_wall(start) is None
    # In the gap between b and c: at the end of b.
    assert lead.of_wall(start + 12) == 4
    # Beyond the newest: as far beyond.
    assert lead.of_wall(start + 25) == pytest.approx(9)


def test_a_discontinuity_is_a_common_point() -> None:
    lead = laid("#EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nb\n")
    assert lead.of_region(1, 0.5) == 2.5
    assert lead.of_region(0, 0.0) is None
    lead.add(segments("#EXTINF:2,\nx\n").segments[0], restarted=True)
    assert lead.of_region(1, 0.0) is None
    assert lead.of_region(0, 1.0) == 5.0


def test_numbers_and_starts_are_remembered() -> None:
    lead = laid("#EXTINF:2,\na\n#EXTINF:2,\nb\n", first=40)
    assert (lead.of_msn(41), lead.of_msn(42), lead.end) == (2, None, 4)
    assert (lead.start_before(3.9), lead.start_before(-1)) == (2, None)


def test_what_tells_best_is_used_first() -> None:
    lead = laid(f"#EXT-X-DISCONTINUITY\n{dated(10)}#EXTINF:2,\na\n#EXTINF:2,\nb\n")
    other = PlaylistAxis()
    by_date, by_region, by_shift = (
        other.add(segment, restarted=False)
        for segment in (
            *segments(f"{dated(12)}#EXTINF:2,\nx\n").segments,
            *segments("#EXT-X-DISCONTINUITY\n#EXTINF:2,\ny\n").segments,
            *segments("#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nz\n").segments,
        )
    )
    assert find(lead, by_date, 100.0) == 2
    assert find(lead, by_region, 100.0) == 0
    assert find(lead, by_shift, 100.0) == 104


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PLACES", 10)
    lead = laid("".join(f"#EXTINF:1,\n{index}\n" for index in range(95)))
    assert len(lead._places) <= 20
    assert len(lead._by_msn) <= 20
    assert lead.end == 95


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 5]), st.booleans()), max_size=12), st.integers(-5, 60))
def test_dates_that_rise_are_searched_as_they_are_walked_through(steps: list[tuple[int, bool]], second: int) -> None:
    body, at = "", 10
    for step, broken in steps:
        at += step
        body += ("#EXT-X-DISCONTINUITY\n" if broken else "") + f"{dated(at)}#EXTINF:2,\na\n"
    searched, walked = laid(body), laid(body)
    assert searched._rising
    walked._rising = False
    start = segments(f"{dated(0)}#EXTINF:2,\na\n").segments[0].pdt
    assert start is not None
    assert searched.of_wall(start + second) == walked.of_wall(start + second)


def test_dates_that_fall_or_are_missing_are_walked_through() -> None:
    lead = laid(f"{dated(30)}#EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n{dated(10)}#EXTINF:2,\nb\n")
    start = segments(f"{dated(10)}#EXTINF:2,\na\n").segments[0].pdt
    assert start is not None
    assert lead.of_wall(start + 21) == pytest.approx(2 + 21)
    undated = laid(f"#EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n{dated(10)}#EXTINF:2,\nb\n")
    assert undated.of_wall(start + 1) == pytest.approx(3)
