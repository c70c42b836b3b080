"""The encoder's live playlist (RFC 8216): a window that moves, and goes on where the encoder before it was cut off."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from kernel.dates import format_date

PLAYLIST = "index.m3u8"
SEGMENT_S = 2
WINDOW = 15
"""Segments that are listed: 30 s, room for a viewer who is 17 s behind."""

_MS = 1000
_SEQUENCE = re.compile(r"#EXT-X-MEDIA-SEQUENCE:(\d+)\n#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)\n")
_SEGMENT = re.compile(r"(#EXT-X-DISCONTINUITY\n)?#EXT-X-PROGRAM-DATE-TIME:(\S+)\n#EXTINF:2\.000,\n(\S+)\n")


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment in the list; `date` as it stands there."""

    name: str
    date: str
    discontinuity: bool


class LiveList:
    """Keep the list. `next_msn` is the number of the segment that is listed next."""

    def __init__(self) -> None:
        self._segments: deque[Listed] = deque()
        self._first_msn = 0
        self._discontinuities = 0

    @classmethod
    def read(cls, text: str) -> LiveList:
        """Read a list of ours.

        Args:
            text: what `text()` returned; anything else gives a list without segments.
        """
        found = cls()
        if head := _SEQUENCE.search(text):
            found._first_msn, found._discontinuities = int(head[1]), int(head[2])
        found._segments.extend(Listed(match[3], match[2], bool(match[1])) for match in _SEGMENT.finditer(text))
        return found

    @property
    def next_msn(self) -> int:
        """Return the number of the segment that is listed next."""
        return self._first_msn + len(self._segments)

    def add(self, name: str, date_ms: int, *, discontinuity: bool) -> list[str]:
        """List a segment, and return the names of those that have left the window.

        Args:
            name: of its file.
            date_ms: of its first picture, Unix milliseconds.
            discontinuity: whether its timestamps go on from nowhere.
        """
        self._segments.append(Listed(name, format_date(date_ms / _MS), discontinuity))
        gone = []
        while len(self._segments) > WINDOW:
            leaving = self._segments.popleft()
            # RFC 8216, 4.3.3.3: a tag that leaves the list counts.
            self._discontinuities += leaving.discontinuity
            self._first_msn += 1
            gone.append(leaving.name)
        return gone

    def text(self) -> str:
        """Return the playlist."""
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{SEGMENT_S}",
            f"#EXT-X-MEDIA-SEQUENCE:{self._first_msn}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities}",
        ]
        for segment in self._segments:
            lines += ["#EXT-X-DISCONTINUITY"] if segment.discontinuity else []
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{segment.date}", f"#EXTINF:{SEGMENT_S:.3f},", segment.name]
        return "\n".join(lines) + "\n"
