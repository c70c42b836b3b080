"""Blackouts as they lie on disk and travel, and what gates, playlists and sockets share of them.

The relay knows what a blackout's text means, and who is inside. To whoever it concerns it applies as a `Veil`: during a
window of media there is nothing to be seen of the showing, or another showing in its place.
"""

from __future__ import annotations

from typing import NamedTuple

from kernel.pts import TICKS_PER_S
from kernel.timeline import MediaTime, SegmentTiming
from kernel.value import Value


class BlackoutRecord(Value, frozen=True):
    """A blackout, or that it is deleted. Once made it never changes, but for an earlier end.

    Args:
        blackout_id: its name, `[A-Za-z0-9_-]{1,64}`.
        event_id: the showing that it concerns.
        text: canonical JSON; None: it is deleted.
        made: when, in Unix seconds; of a deletion when that was.
        by: the operator who made it.
    """

    blackout_id: str
    event_id: str
    text: str | None
    made: float
    by: str


class Window(NamedTuple):
    """From when to when it is dark, by the time of the picture or by media time; what is None bounds nothing.

    Without a beginning it is dark at once: all that has not been sent yet, and all there is before it.

    Args:
        start: of the picture's time, in Unix seconds.
        end: the same, exclusive.
        start_media: the first media time that is dark.
        end_media: the first behind it that is not.
    """

    start: float | None = None
    end: float | None = None
    start_media: MediaTime | None = None
    end_media: MediaTime | None = None

    @property
    def at_once(self) -> bool:
        """Return whether it has no beginning."""
        return self.start is None and self.start_media is None

    def covers(self, timing: SegmentTiming) -> bool:
        """Return whether a segment is dark: it is if any picture of it is, or if that is not known.

        So a window begins and ends with whole segments: its start is rounded down, its end up.
        """
        if self.start_media is not None and timing.upto <= self.start_media:
            return False
        if self.end_media is not None and timing.begins >= self.end_media:
            return False
        wall = timing.wall
        if wall is None:
            return True
        if self.start is not None and wall + (timing.end - timing.start) / TICKS_PER_S <= self.start:
            return False
        return self.end is None or wall < self.end


class Veil(NamedTuple):
    """A blackout as it applies to somebody who is inside.

    Args:
        blackout_id: which.
        window: when.
        redirect: the showing that is shown instead; None: nothing is.
        made: when the blackout was made, in Unix seconds.
    """

    blackout_id: str
    window: Window
    redirect: str | None
    made: float


ZoneSet = tuple[Veil, ...]
"""What applies to somebody, the strongest first: of several that cover a segment the first one counts. Empty for who is
inside of none. The same set is equal on every node, and for everybody."""


def veil_over(zones: ZoneSet, timing: SegmentTiming) -> Veil | None:
    """Return what a segment is hidden by, None if it is not."""
    for veil in zones:
        if veil.window.covers(timing):
            return veil
    return None
