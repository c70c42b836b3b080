"""A recording as a live stream: which segments of a recorded list are out at a given moment, and under which names.

How time runs. Every segment of the recording has a date: its own, or its predecessor's plus that one's duration. A
segment is listed when its last picture "happens": at its date plus its duration. When the stream starts, a whole
window has just happened, so that a player can begin at once. At speed 1 all dates are moved so that this is true of
the wall clock; at other speeds the recorded dates stand. A further loop goes on where the one before it ended, with
dates advanced by the recording's length, behind EXT-X-DISCONTINUITY, under names of its own (`{loop}/{name}`).

Renditions of one presentation play in step: the same loop, the same head start, the window of the leading one.

All of it is arithmetic on `now`: nothing is kept between two questions.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kernel.attributes import attribute_list, with_attribute, with_iv
from kernel.dates import format_date, parse_date
from kernel.errors import PlaylistError, SettingsError
from kernel.playlist import MediaPlaylist, PlaylistSegment, parse_media_playlist
from kernel.variables import NO_VARIABLES, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_US = 1_000_000

_ROUNDING_US = 10_000
"""Dates have milliseconds, and renditions are cut at frames of their own: what overlaps by less lies apart."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded media playlist with its segments in a folder.

    Args:
        list: what the playlist says.
        dates_us: the date of each segment, in microseconds after the first one's.
        ends_us: when each segment has happened, in microseconds after the first one's date; never falls.
        first_date: Unix seconds, None where nothing in the recording is dated.
        folder: where the playlist lies.
        names: everything the list names in it, with the number of the first segment that needs it.
    """

    list: MediaPlaylist
    dates_us: tuple[int, ...]
    ends_us: tuple[int, ...]
    first_date: float | None
    folder: Path
    names: Mapping[str, int]

    @classmethod
    def read(cls, text: str, folder: Path, *, imported: Variables = NO_VARIABLES) -> Recording:
        """Read a recording.

        Args:
            text: its media playlist.
            folder: where the playlist lies. Nothing is read from it here.
            imported: the variables of the multivariant playlist that names it.

        Raises:
            PlaylistError: the text is no media playlist, holds no segment, or names what does not lie in the folder.
        """
        recorded = parse_media_playlist(text, imported=imported)
        if not recorded.segments:
            raise PlaylistError("the recording holds no segment")
        first_date, dates_us = _dates(recorded.segments)
        durations_us = [round(segment.duration_s * _US) for segment in recorded.segments]
        ends = (date + duration for date, duration in zip(dates_us, durations_us, strict=True))
        ends_us = tuple(accumulate(ends, max))
        if ends_us[-1] <= 0:
            raise PlaylistError("the recording lasts no time at all: its EXTINF are 0")
        return cls(recorded, dates_us, ends_us, first_date, folder, _names(recorded.segments))

    @property
    def target_duration_s(self) -> int:
        """Return the recording's target duration, raised to what RFC 8216, 4.3.3.1 asks where it is too low."""
        longest_s = max(int(segment.duration_s + 0.5) for segment in self.list.segments)
        return max(self.list.target_duration_s, longest_s)

    def beside(self, lead: Recording) -> Recording:
        """Return the recording with its dates counted from the first one of another rendition."""
        offset_us = 0
        if self.first_date is not None and lead.first_date is not None:
            offset_us = round((self.first_date - lead.first_date) * _US)
        return replace(
            self,
            dates_us=tuple(date_us + offset_us for date_us in self.dates_us),
            ends_us=tuple(end_us + offset_us for end_us in self.ends_us),
            first_date=self.first_date if lead.first_date is None else lead.first_date,
        )


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A recording that plays as live from `started_at` on.

    Args:
        recording: what is played.
        started_at: Unix seconds.
        loop: begin anew at the end, for ever; otherwise the list ends.
        window: how many segments are listed.
        speed: how fast it plays; 2 is twice as fast.
        period_us: how long a loop lasts; None: as long as the recording.
        head_start_us: how much has happened at the start; None: the first window.
    """

    recording: Recording
    started_at: float
    loop: bool = False
    window: int = 6
    speed: float = 1.0
    period_us: int | None = None
    head_start_us: int | None = None

    def __post_init__(self) -> None:
        """Check what would otherwise surface as an empty list."""
        if self.window < 1 or not 0 < self.speed <= 1000:
            raise SettingsError("a rehearsal lists 1 segment or more, at a speed above 0 and up to 1000")

    @property
    def period(self) -> int:
        """Return how long a loop lasts, in microseconds."""
        return self.recording.ends_us[-1] if self.period_us is None else self.period_us

    @property
    def head_start(self) -> int:
        """Return how much of the stream has happened when it starts, in microseconds: the first window."""
        if self.head_start_us is not None:
            return self.head_start_us
        return self._end_us((self.window if self.loop else min(self.window, len(self.recording.ends_us))) - 1)

    def window_start_us(self, now: float) -> int:
        """Return where the first of the listed segments begins, in microseconds after the stream's zero."""
        loop, index = divmod(max(0, self._count(now) - self.window), len(self.recording.ends_us))
        return loop * self.period + self.recording.dates_us[index]

    def playlist(self, now: float, *, since_us: int | None = None) -> str:
        """Return the media playlist at `now`, in Unix seconds.

        Args:
            now: Unix seconds.
            since_us: segments that end before are not listed, but for the last; None: the window.
        """
        recorded = self.recording.list
        count = self._count(now)
        first = max(0, count - self.window)
        if since_us is not None:
            first = max(0, min(count - 1, self._happened(since_us + _ROUNDING_US)))
        own = self._discontinuous(first)
        lines = [
            "#EXTM3U",
            f"#EXT-X-VERSION:{max(3, recorded.version)}",
            f"#EXT-X-TARGETDURATION:{self.recording.target_duration_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities(first) - own}",
        ]
        if recorded.independent_segments:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        # START counts from the ends of the recorded list, not of this one.
        lines += [line for line in recorded.header if not line.startswith("#EXT-X-START")]
        former = _State()
        for number in range(first, count):
            if self._discontinuous(number):
                lines.append("#EXT-X-DISCONTINUITY")
            state = self._state(number)
            lines += state.after(former)
            former = state
            lines += self._own_lines(number)
        if not self.loop and count == len(recorded.segments):
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    def file(self, path: str, now: float) -> Path | None:
        """Return the file behind a path such as `3/segment.ts`, None if there is none, or not yet."""
        loop_text, _, name = path.partition("/")
        # Of one form only: int() would also take "+3", "0_3" and digits of other scripts.
        if not re.fullmatch(r"0|[1-9][0-9]{0,8}", loop_text) or name not in self.recording.names:
            return None
        number = int(loop_text) * len(self.recording.ends_us) + self.recording.names[name]
        return self.recording.folder / name if number < self._count(now) else None

    def _count(self, now: float) -> int:
        """Return how many segments have been listed from the start up to `now`."""
        elapsed_us = round(max(0.0, now - self.started_at) * self.speed * _US)
        count = self._happened(self.head_start + elapsed_us)
        return count if self.loop else min(count, len(self.recording.ends_us))

    def _happened(self, at_us: int) -> int:
        """Return how many segments have happened at a time after the stream's zero."""
        loops, rest_us = divmod(at_us, self.period)
        return loops * len(self.recording.ends_us) + bisect_right(self.recording.ends_us, rest_us)

    def _end_us(self, number: int) -> int:
        loop, index = divmod(number, len(self.recording.ends_us))
        return loop * self.period + self.recording.ends_us[index]

    def _date(self, number: int) -> float:
        loop, index = divmod(number, len(self.recording.ends_us))
        return self._zero() + (loop * self.period + self.recording.dates_us[index]) / _US

    def _zero(self) -> float:
        """Return the date of the very first segment, in Unix seconds."""
        if self.speed != 1 and self.recording.first_date is not None:
            return self.recording.first_date
        return self.started_at - self.head_start / _US

    def _discontinuous(self, number: int) -> bool:
        loop, index = divmod(number, len(self.recording.ends_us))
        return self.recording.list.segments[index].discontinuity or (index == 0 and loop > 0)

    def _discontinuities(self, number: int) -> int:
        """Return how many EXT-X-DISCONTINUITY stood before or at segment `number` since the start."""
        segments = self.recording.list.segments
        loop, index = divmod(number, len(segments))
        within = [segment.discontinuity for segment in segments]
        further = [True, *within[1:]]
        if loop == 0:
            return sum(within[: index + 1])
        return sum(within) + (loop - 1) * sum(further) + sum(further[: index + 1])

    def _state(self, number: int) -> _State:
        loop, index = divmod(number, len(self.recording.ends_us))
        segment = self.recording.list.segments[index]
        return _State(
            tuple(_moved(with_iv(key, segment.msn), loop) for key in segment.keys),
            None if segment.map_line is None else _moved(segment.map_line, loop),
        )

    def _own_lines(self, number: int) -> list[str]:
        loop, index = divmod(number, len(self.recording.ends_us))
        segment = self.recording.list.segments[index]
        shift_s = self._date(number) - (self.recording.first_date or 0.0) - self.recording.dates_us[index] / _US
        lines = [f"#EXT-X-PROGRAM-DATE-TIME:{format_date(self._date(number))}"]
        for line in segment.lines[:-1]:
            if line.startswith("#EXT-X-DATERANGE:"):
                lines.append(_daterange(line, shift_s, loop))
            elif line.startswith("#EXT-X-BYTERANGE:") and segment.byte_range is not None:
                # With its offset, since the segment before it may have left the window.
                lines.append(f"#EXT-X-BYTERANGE:{segment.byte_range[1]}@{segment.byte_range[0]}")
            elif not line.startswith("#EXT-X-PROGRAM-DATE-TIME"):
                lines.append(line)
        lines.append(f"{loop}/{urlsplit(segment.uri).path}")
        return lines


@dataclass(frozen=True, slots=True)
class _State:
    """The KEY and MAP lines in force at a segment."""

    keys: tuple[str, ...] = ()
    map_line: str | None = None

    def after(self, former: _State) -> list[str]:
        """Return the lines that lead from another state to this one."""
        lines: list[str] = []
        if self.keys != former.keys:
            # RFC 8216, 4.3.2.4: a key stays in force until one of the same KEYFORMAT follows, or METHOD=NONE.
            if len(self.keys) < len(former.keys):
                lines.append("#EXT-X-KEY:METHOD=NONE")
            lines += self.keys
        if self.map_line is not None and self.map_line != former.map_line:
            lines.append(self.map_line)
        return lines


def _dates(segments: Sequence[PlaylistSegment]) -> tuple[float | None, tuple[int, ...]]:
    """Return the first segment's date, and those of all in microseconds after it."""
    dated = next((index for index, segment in enumerate(segments) if segment.pdt is not None), None)
    first: float | None = None
    if dated is not None:
        first = (segments[dated].pdt or 0.0) - sum(segment.duration_s for segment in segments[:dated])
    at_us, dates_us = 0, []
    for segment in segments:
        if segment.pdt is not None and first is not None:
            at_us = round((segment.pdt - first) * _US)
        dates_us.append(at_us)
        at_us += round(segment.duration_s * _US)
    return first, tuple(dates_us)


def _names(segments: Sequence[PlaylistSegment]) -> dict[str, int]:
    names: dict[str, int] = {}
    for number, segment in enumerate(segments):
        for line in segment.keys:
            uri = _uri(line)
            # A key may come from a licence server of its own; that stays as it is.
            if _is_local(uri):
                names.setdefault(_name(uri), number)
        if segment.map_line is not None:
            names.setdefault(_name(_uri(segment.map_line)), number)
        names.setdefault(_name(segment.uri), number)
    return names


def _uri(line: str) -> str:
    uri = attribute_list(line.partition(":")[2]).get("URI")
    if uri is None:
        raise PlaylistError(f"{line[:60]!r} names no URI (RFC 8216, 4.3.2.4 and 4.3.2.5)")
    return uri


def _is_local(uri: str) -> bool:
    parts = urlsplit(uri)
    return not parts.scheme and not parts.netloc


def _name(uri: str) -> str:
    name = unquote(urlsplit(uri).path)
    if not _is_local(uri) or name.startswith("/") or not name or ".." in name.split("/") or "\0" in name:
        raise PlaylistError(f"{uri[:80]!r} does not lie in the recording's folder: record it whole, with relative URIs")
    return name


def _moved(line: str, loop: int) -> str:
    uri = _uri(line)
    return with_attribute(line, "URI", f"{loop}/{urlsplit(uri).path}") if _is_local(uri) else line


def _daterange(line: str, shift_s: float, loop: int) -> str:
    """Move a DATERANGE with its segment. RFC 8216, 4.3.2.7: one ID has one START-DATE, so each loop has its own."""
    attributes = attribute_list(line.partition(":")[2])
    for name in ("START-DATE", "END-DATE"):
        if name in attributes:
            line = with_attribute(line, name, format_date(parse_date(attributes[name]) + shift_s))
    return with_attribute(line, "ID", f"{attributes['ID']}-{loop}") if loop and "ID" in attributes else line
