"""When a segment may go out, that it is out, and who has been given it."""

from __future__ import annotations

from dataclasses import dataclass

from kernel.timeline import MediaTime, SegmentKey


@dataclass(frozen=True, slots=True)
class ReleaseMark:
    """ "The segment may go out at bus time `at`": a schedule, given by feeds.

    Opening it opens everything before it as well: whoever may see up to `upto` may see all that lies before.
    """

    stream: str
    generation: int
    msn: int
    part: int | None
    upto: MediaTime
    at: float

    @property
    def key(self) -> SegmentKey:
        """Return the address of the segment."""
        return SegmentKey(self.generation, self.msn)


@dataclass(frozen=True, slots=True)
class Opened:
    """ "It is out", said by the relay; the last one is retained.

    `upto` is the media time before which pictures may have been seen from bus time `at` on. None means that the
    segment went out without a mark (the fail-safe): what stands in it is not known, and lockstep is lost until
    a marked segment opens. `epoch` names the log whose media time it is: of another one it says nothing.
    """

    stream: str
    generation: int
    msn: int
    part: int | None
    upto: MediaTime | None
    at: float
    epoch: str | None = None

    @property
    def key(self) -> SegmentKey:
        """Return the address of the segment."""
        return SegmentKey(self.generation, self.msn)


@dataclass(frozen=True, slots=True)
class Served:
    """ "That session has it", said by the relay: body bytes that cover at least half of it went to the session.

    It tells of all segments of the lead rendition from `first_msn` to `last_msn`, both included: a segment of another
    variant may span several. Only what carries the picture counts. `session` is the token's claim `sid`, else its id.
    """

    stream: str
    session: str
    first_msn: int
    last_msn: int
