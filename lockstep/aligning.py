"""Align a recorded feed with a recorded playlist, offline: by the code that does it live, all of it at once.

Every fact runs through the vendor's adapter, the sequencer and the map of timed segments. What live would be due with
the first picture, with the next one or at the end, because it has no picture of its own, gets no media time here but
the reason why: who aligns two recordings wants to know whether they are of the same game.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from feeds.align import ABSURD_S, TimedSegment, TimelineMap
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sealed, Sequencer
from feeds.timing import Placed, TimelineTracker
from feeds.utc import UtcModel
from feeds.vendors.registry import ADAPTERS
from feeds.vendors.times import parse_time
from hub.messages import cue_map
from kernel import strict_json
from kernel.errors import DecodeError, SettingsError
from kernel.pts import Ticks
from kernel.timeline import SegmentTiming
from kernel.value import replace
from lockstep.replaying import RECORDING_LIMITS

if TYPE_CHECKING:
    from feeds.media import SegmentMedia
    from kernel.cues import Fact
    from kernel.playlist import MediaPlaylist, PlaylistSegment

Reason = Literal["no_utc", "before_start", "after_end", "in_gap", "absurd", "safety"]
"""Why a cue has no media time: nothing tells the playlist's UTC; it happened before the first picture, after the last,
where the recording has none, or more than a day away from all; or it is pinned to no picture at all."""

MIN_GAP_S = 0.1
"""A shorter time without a picture is the rounding of dates, or a frame that was dropped."""

SOURCE = "feed"
"""The name that the facts' ids begin with, as those of a configured source begin with its own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a recorded feed: its facts, and when it was received, in Unix seconds, as far as that is known."""

    facts: tuple[Fact, ...]
    received: float | None


class PlaylistTimer:
    """Time the segments of one whole playlist, in its order."""

    def __init__(self, playlist: MediaPlaylist) -> None:
        self._target_duration_s = playlist.target_duration_s
        self._tracker = TimelineTracker()
        self._utc = UtcModel()
        self._placed: list[tuple[int, str, Placed]] = []
        self._skipped_s = 0.0
        self._discontinuity = False

    def place(self, segment: PlaylistSegment, media: SegmentMedia) -> None:
        """Take in what was measured in a segment.

        Raises:
            MediaError: it holds neither video nor audio.
        """
        placed = self._tracker.place(
            media,
            discontinuity=segment.discontinuity or self._discontinuity,
            target_duration_s=self._target_duration_s,
            skipped_s=self._skipped_s,
        )
        self._utc.observe_media(placed, media, pdt=segment.pdt, arrival=None)
        self._placed.append((segment.msn, segment.uri, placed))
        self._skipped_s, self._discontinuity = 0.0, False

    def skip(self, segment: PlaylistSegment) -> None:
        """Pass over a segment that cannot be timed."""
        self._skipped_s += segment.duration_s
        self._discontinuity = self._discontinuity or segment.discontinuity

    def finish(self) -> list[TimedSegment]:
        """Return all that was timed; what a later date tells of earlier segments is in it."""
        return [TimedSegment(self._timing(*one), one[2].frames) for one in self._placed]

    def _timing(self, msn: int, uri: str, placed: Placed) -> SegmentTiming:
        found = self._utc.wall_at(placed.timeline, placed.start)
        return SegmentTiming(
            stream="recording",
            generation=0,
            msn=msn,
            part=None,
            uri=uri,
            timeline=placed.timeline,
            start=placed.start,
            end=placed.end,
            wall=None if found is None else found.wall,
            sigma_ms=0.0 if found is None else found.sigma_ms,
            method=None if found is None else found.method,
        )


def read_feed(data: bytes, vendor: str) -> list[Message]:
    """Read a recorded feed: one JSON document, or one message a line.

    An item of Lockstep's own format may say by `at` when it was received.

    Raises:
        SettingsError: there is no such vendor.
        DecodeError: it is no JSON, or not this vendor's; the text says where.
    """
    adapter = ADAPTERS.get(vendor)
    if adapter is None:
        raise SettingsError(f"no vendor {vendor!r}: use one of {', '.join(ADAPTERS)}")
    try:
        documents = [strict_json.decode(data, RECORDING_LIMITS)]
    except DecodeError as error:
        try:
            documents = strict_json.decode_lines(data, RECORDING_LIMITS)
        except DecodeError as in_lines:
            raise DecodeError(f"{error}; read one a line: {in_lines}") from None
    if vendor == "lockstep":
        documents = [item for one in documents for item in (one if isinstance(one, list) else [one])]
    messages = []
    last: float | None = None
    for number, document in enumerate(documents, 1):
        message, received = _received(document) if vendor == "lockstep" else (document, None)
        try:
            facts = adapter(SOURCE, message).facts
        except DecodeError as error:
            raise DecodeError(f"message {number}: {error}" if len(documents) > 1 else str(error)) from None
        times = [fact.occurred_at for fact in facts if fact.occurred_at is not None]
        last = received if received is not None else max(times, default=last)
        messages.append(Message(tuple(facts), last))
    return messages


def moved(messages: Sequence[Message], start: float) -> list[Message]:
    """Return a feed with all its times moved so that its first fact happens at `start`, in Unix seconds."""
    times = [fact.occurred_at for one in messages for fact in one.facts if fact.occurred_at is not None]
    if not times:
        return list(messages)
    by_s = start - min(times)
    return [
        Message(
            tuple(
                fact if fact.occurred_at is None else replace(fact, occurred_at=fact.occurred_at + by_s)
                for fact in one.facts
            ),
            None if one.received is None else one.received + by_s,
        )
        for one in messages
    ]


def first_wall(segments: Sequence[TimedSegment]) -> float | None:
    """Return the UTC of the first picture in Unix seconds, None if nothing tells it."""
    return min((one.timing.wall for one in segments if one.timing.wall is not None), default=None)


def align(segments: Sequence[TimedSegment], messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return each cue as it would stand on the wire, in the order in which things happened.

    A cue without a picture has `pts` None, the `reason`, and as `wall` the UTC of the fact itself.
    """
    spans = _Spans(segments)
    pictures = TimelineMap()
    for segment in segments if spans.starts else [_NOWHERE]:
        pictures.add(segment)
    pictures.complete_below = pictures.ended = True
    sequencer = Sequencer(pictures, ReleaseSchedule("recording"))
    # What has no time at all stands with what was received before it, else with the first picture.
    before = spans.starts[0] if spans.starts else 0.0
    sealed: list[Sealed] = []
    for number, message in enumerate(messages):
        received = before if message.received is None else message.received
        sealed += sequencer.offer(list(message.facts), message_seq=number, received=received, live=False).safety
        sealed += sequencer.seal(now=0.0)[0]
    # A correction has the time of what it corrects, and the higher offset.
    sealed.sort(key=lambda one: (_when(one, before), one.entry.o))
    return [_row(one, spans, before) for one in sealed]


class _Spans:
    """The runs of pictures, in UTC."""

    def __init__(self, segments: Sequence[TimedSegment]) -> None:
        self.starts: list[float] = []
        self.ends: list[float] = []
        timed = [one for one in segments if one.timing.wall is not None]
        for one in sorted(timed, key=lambda one: one.timing.wall or 0.0):
            start, end = one.timing.wall, one.ends_wall
            assert start is not None
            assert end is not None
            if self.ends and start - self.ends[-1] < MIN_GAP_S:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.starts.append(start)
                self.ends.append(end)

    def reason(self, wall: float) -> Reason | None:
        """Return why there is no picture of a UTC, None if there is one."""
        if not self.starts:
            return "no_utc"
        if not self.starts[0] - ABSURD_S <= wall <= self.ends[-1] + ABSURD_S:
            return "absurd"
        if wall < self.starts[0]:
            return "before_start"
        if wall >= self.ends[-1]:
            return "after_end"
        return None if wall < self.ends[bisect_right(self.starts, wall) - 1] else "in_gap"


_NOWHERE = TimedSegment(SegmentTiming("recording", 0, 0, None, "", 0, Ticks(0), Ticks(1), 0.0, 0.0, None), ())
"""Where facts are pinned while nothing tells the UTC of any picture, so that they are numbered all the same."""

_PLACES = ("tl", "msn", "part", "off")


def _when(sealed: Sealed, before: float) -> float:
    """Return when it happened, in Unix seconds; what the sequencer says by itself has only its picture's time."""
    cue = sealed.entry.cue
    told = sealed.note.get("wall", before if cue.wall_ms is None else cue.wall_ms / 1000)
    return float(told)


def _row(sealed: Sealed, spans: _Spans, before: float) -> dict[str, Any]:
    row = cue_map(sealed.entry)
    del row["op"]
    wall, sigma_s = _when(sealed, before), sealed.note.get("sigma_s", 0.0)
    reason = "safety" if sealed.entry.due is None else spans.reason(wall)
    if reason is None:
        return row
    row = {name: value for name, value in row.items() if name not in _PLACES}
    return {**row, "pts": None, "reason": reason, "wall": round(wall * 1000), "sigma_ms": round(sigma_s * 1000)}


def _received(item: Any) -> tuple[Any, float | None]:
    """Take `at`, which is ours and not the format's, off an item."""
    if not isinstance(item, dict) or item.get("at") is None:
        return item, None
    return {name: value for name, value in item.items() if name != "at"}, parse_time(item["at"], "at").unix_s
