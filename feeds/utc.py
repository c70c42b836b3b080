"""The map between media time and UTC, per timeline.

Theory of operation
-------------------

Media time is counted by the encoder's oscillator, from a number that means nothing. UTC is what vendors date their
facts with. Within a timeline both go straight ahead, so that UTC is an offset plus the media time, and the offset moves
slowly, by the parts in a million that two oscillators differ. Three sources tell the offset, best first:

1. `tfdt`: a fragmented MP4 whose counter stands at the time of day counts UTC itself. It is believed after three
   segments that agree with the time of day within a minute.
2. `pdt`: EXT-X-PROGRAM-DATE-TIME, pinned to the first *video* presentation time of its segment or to what fits better
   (`feeds/anchors.py`). Dates jitter, drift, are set by steps, or are merely computed from media time
   (`feeds/dates_fit.py`), and are held against arrivals (`feeds/drift.py`).
3. `arrival`: when segments came (`feeds/arrivals.py`). No segment arrives before it has happened, so the quickest ones
   bound the offset from above; where there is nothing else, that bound is the offset.

Arrivals are poor at the offset, because the latency is in them, but nobody beats them at the rate: pictures come in
real time. So where dates are there, arrivals are held against them. If over a long time they go apart, by more than the
arrivals' scatter explains, then the dates' clock goes wrong, and the arrivals' rate is taken from where the comparison
began. For computed dates that is the only evidence of drift, and `sigma_ms` says how little is known until it is in.
How wrong the dates were before we came, nobody can tell.

What outlives a timeline: how much dates scatter, the rate of the oscillator, the latency. With them the first segment
after an encoder's restart is known as well as one arrival is; without, only as well as one date.

What is published for a segment stands. The next is published

* as it is believed, in the first minute of a timeline and after a step of the dates that three of them confirmed,
* at most 500 ppm of the time that passed nearer to it, else;
* always later than the one before: where UTC must go back, it goes on at an eighth of its rate until it is right.

`sigma_ms` is one standard deviation of the published time, with the distance to what is believed in it, and half of a
step that is not confirmed yet. A stamp says when the encoder wrote it; the picture is older by the programme delay,
which is subtracted throughout and in no sigma.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from feeds.learned import Learned
from feeds.published import Wall
from feeds.utc_line import Line, Seen
from kernel.pts import Ticks, s_of_ticks

if TYPE_CHECKING:
    from feeds.media import SegmentMedia
    from feeds.timing import Placed

MAX_TIMELINES = 64
"""More than one an advertisement break over a day; the oldest are forgotten."""


class UtcModel:
    """Learn from segments when their pictures were, and answer for any media time.

    Args:
        program_delay_ms: how long after the camera the encoder stamps, in milliseconds.
    """

    def __init__(self, *, program_delay_ms: int = 0) -> None:
        self._delay_s = program_delay_ms / 1000
        self._lines: dict[int, Line] = {}
        self._latest: Line | None = None

    def observe(
        self,
        timeline: int,
        start: Ticks,
        end: Ticks,
        *,
        pdt: float | None,
        arrival: float | None,
        audio_start: Ticks | None = None,
        epoch_s: float | None = None,
    ) -> None:
        """Learn from one segment, and publish its UTC; each of them once, older ones of a list in any order.

        Args:
            timeline: of the segment.
            start: its lowest video PTS, unwrapped; the lowest audio PTS if it has no video.
            end: its end, unwrapped.
            pdt: the date written on this very segment, in Unix seconds.
            arrival: when all of it was here, in Unix seconds; None if that says nothing, as in a VOD.
            audio_start: its lowest audio PTS, on the same unwrapped timeline; None if it holds one kind only.
            epoch_s: the presentation time of `start` in seconds as the container counts it, not reduced; None for
                containers whose counter wraps.
        """
        line = self._lines.get(timeline) or self._begin(timeline)
        seen = Seen(
            start=start,
            duration_s=s_of_ticks(end - start),
            pdt=_finite(pdt),
            arrival=_finite(arrival),
            audio_after_s=None if audio_start is None else s_of_ticks(audio_start - start),
            epoch_s=_finite(epoch_s),
        )
        line.observe(seen)
        self._latest = line

    def observe_media(self, placed: Placed, media: SegmentMedia, *, pdt: float | None, arrival: float | None) -> None:
        """Learn from a segment that was measured and placed; see `observe`."""
        lead = media.lead
        audio = None if lead.kind == "audio" else next((one for one in media.tracks if one.kind == "audio"), None)
        self.observe(
            placed.timeline,
            placed.start,
            placed.end,
            pdt=pdt,
            arrival=arrival,
            audio_start=None if audio is None else Ticks(audio.pts[0] + placed.start - lead.pts[0]),
            # A counter of 33 bits begins anew every 26.5 hours: it cannot be that of 1970.
            epoch_s=None if media.wraps else s_of_ticks(lead.pts[0]),
        )

    def restore(self, timeline: int, start: Ticks, published: Wall, state: dict[str, Any] | None = None) -> None:
        """Take in, after a restart, what was published for a segment; oldest first, before anything is observed.

        Args:
            timeline: of the segment.
            start: as it was observed.
            published: what `wall_at` said of it then.
            state: what `state` said then, None if that is not known.

        Raises:
            KeyError, TypeError, ValueError: the state is something else.
        """
        line = self._lines.get(timeline) or self._begin(timeline)
        learned = None if state is None else Learned.from_json(state)
        line.restore(start, published._replace(wall=published.wall + self._delay_s), learned)
        self._latest = line

    def state(self) -> dict[str, Any] | None:
        """Return what `restore` should know of the newest segment, as plain JSON values; None before the first."""
        return None if self._latest is None else self._latest.learned().as_json()

    def wall_at(self, timeline: int, pts: int) -> Wall | None:
        """Return the UTC of the picture at `pts`, or None where nothing tells it."""
        line = self._lines.get(timeline)
        found = None if line is None else line.published.wall_at(pts)
        return None if found is None else found._replace(wall=found.wall - self._delay_s)

    def pts_at(self, timeline: int, wall: float) -> Ticks | None:
        """Return the media time of the picture of a UTC in Unix seconds, the inverse of `wall_at`.

        A time between two segments, where no picture was, gives the start of the later one.
        """
        line = self._lines.get(timeline)
        return None if line is None else line.published.pts_at(wall + self._delay_s)

    def _begin(self, timeline: int) -> Line:
        # What is corrected at present belongs to the dates of that timeline only.
        learned = Learned() if self._latest is None else replace(self._latest.learned(), wrong_s=0.0)
        line = self._lines[timeline] = Line(learned)
        while len(self._lines) > MAX_TIMELINES:
            del self._lines[min(self._lines)]
        return line


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
