"""The last look before bytes go out (INVARIANTS I1, I4): what must not be sent is not, whatever went wrong before.

It shares nothing with the code that decides what is owed: it keeps its own record of what relays have opened, and looks
at each entry once a flush, not once a subscriber.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.cues import CueClass
from kernel.timeline import BEGINNING, MediaTime, SegmentKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernel.cues import Entry
    from kernel.marks import Opened
    from kernel.timeline import StreamState


class Guard:
    """Say what of one stream must not be sent."""

    def __init__(self) -> None:
        self._opened = BEGINNING
        self._key: SegmentKey | None = None
        self._end: tuple[SegmentKey | None] | None = None

    def note_opened(self, opened: Opened) -> None:
        """Take note of what a relay has opened."""
        if opened.upto is not None:
            self._opened = max(self._opened, opened.upto)
        self._key = opened.key if self._key is None else max(self._key, opened.key)

    def note_state(self, state: StreamState) -> None:
        """Take note of whether the stream has ended, and with which segment."""
        self._end = (state.last,) if state.ended else None

    def fault_in(self, entries: Sequence[Entry], frontier: MediaTime, *, trading: bool, safety: bool) -> str | None:
        """Return why a delivery must not go out, None if it may.

        Args:
            entries: what is about to be sent, in that order.
            frontier: that of the subscribers it goes to.
            trading: whether they see everything at once.
            safety: whether it came on the safety lane.
        """
        last: tuple[MediaTime, int] | None = None
        for entry in entries:
            due = entry.due
            if due is None:
                if entry.cue.cls is not CueClass.SAFETY:
                    return f"entry {entry.o} has no due time and is no safety"
                continue
            if safety:
                return f"entry {entry.o} is held, and came on the safety lane"
            if trading:
                continue
            if due >= frontier:
                return f"entry {entry.o} is due at {due}, the frontier is {frontier}"
            if due >= self._opened and not self._is_over():
                return f"entry {entry.o} is due at {due}, open is what lies before {self._opened}"
            if last is not None and (due, entry.o) <= last:
                return f"entry {entry.o} stands behind a later one"
            last = (due, entry.o)
        return None

    def _is_over(self) -> bool:
        """Return whether the last segment of an ended stream is out: then everything is due."""
        if self._end is None or self._key is None:
            return False
        return self._end[0] is None or self._key >= self._end[0]
