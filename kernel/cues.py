"""From a vendor's fact to the entry in the log: `Fact`, `Cue`, `Entry`, `Position`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from kernel.timeline import MediaTime
from kernel.value import Value

Body = Mapping[str, Any]
"""What a fact says, by its type: plain JSON values, odds as integers."""


class Op(StrEnum):
    """What a vendor's message does to the fact it names."""

    NEW = "new"
    AMEND = "amend"
    RETRACT = "retract"
    CONFIRM = "confirm"


class CueClass(StrEnum):
    """How a cue is delivered: at once, with its picture, or with its picture and only above the floor."""

    SAFETY = "safety"
    LOCKED = "locked"
    REOPEN = "reopen"


class CueType(StrEnum):
    """What a cue is about. Vendors' own kinds are mapped to these by the adapters."""

    PLAY = "play"
    SCORE = "score"
    CLOCK = "clock"
    PERIOD = "period"
    POSSESSION = "possession"
    LINEUP = "lineup"
    REVIEW = "review"
    MARKET = "market"
    PRICE = "price"
    SETTLE = "settle"
    STAT = "stat"
    SUSPEND = "suspend"
    INV = "inv"


class Fact(Value, frozen=True, gc=False):
    """Something that happened, from one vendor message.

    `id` is the vendor's and stable over revisions. `rev` is the vendor's revision number from 1, or None where it
    gives none: the sequencer then counts. `stamp` orders a vendor's revisions (any rising integer, such as the
    edit time in ms); an older one than already known is out of date. `occurred_at` is Unix seconds, None where
    the vendor does not say; `sigma_s` is the uncertainty of that time, one standard deviation.
    """

    source: str
    id: str
    op: Op
    type: CueType
    occurred_at: float | None
    body: Body
    rev: int | None = None
    stamp: int | None = None
    sigma_s: float = 0.0


class Cue(Value, frozen=True, gc=False):
    """A fact pinned to media time; nothing in it differs between subscribers.

    `at` is where its picture shows, None for safety, which is pinned to nothing. `msn` and `off` say the same in
    the relay's playlist: `off` is in ticks after that segment's first video PTS. `wall_ms` is the UTC of the picture.
    `late_ms` is set only if the cue was sealed after its picture was out. `before` is the body it replaces.
    """

    id: str
    rev: int
    op: Op
    type: CueType
    cls: CueClass
    at: MediaTime | None
    msn: int | None
    part: int | None
    off: int | None
    wall_ms: int | None
    sigma_ms: int
    body: Body
    late_ms: int | None = None
    before: Body | None = None

    def __hash__(self) -> int:
        """Hash it by what names it: bodies have no hash."""
        return hash((self.id, self.rev, self.op, self.type, self.at))


class Entry(Value, frozen=True, gc=False):
    """A cue in the log of its stream, with its offset; never changed after it is sealed.

    `due` is the media time from which it may be seen: it goes to a subscriber whose frontier lies beyond. None for
    safety, which goes at once.
    """

    o: int
    cue: Cue
    due: MediaTime | None


class Position(NamedTuple):
    """A place in a stream's log: offsets are comparable within one epoch only."""

    epoch: str
    offset: int
