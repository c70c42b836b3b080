"""What lies in the journal, as values: records on their way in and out, without SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from feeds.market_book import Kept
from kernel.cues import Entry
from kernel.marks import ReleaseMark
from kernel.timeline import SegmentTiming
from kernel.value import Record


class Appended(NamedTuple):
    """Where a vendor message stands, and whether it stood there already."""

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A vendor message as it came; `received` is in Unix seconds."""

    seq: int
    source: str
    message_id: str
    received: float
    body: bytes


class SealedRow(Record, gc=False):
    """An entry, what it was made from, and whatever the sequencer wants to know again after a restart.

    `source`, `fact_id` and `rev` name the vendor's fact, `message_seq` the message that brought it; all None for what
    the sequencer said of its own accord. `note` is plain JSON.
    """

    entry: Entry
    source: str | None = None
    fact_id: str | None = None
    rev: int | None = None
    message_seq: int | None = None
    note: Mapping[str, Any] | None = None


class StoredTiming(NamedTuple):
    """The n-th timing of a stream, and the state from which the next segment can be placed."""

    n: int
    timing: SegmentTiming
    state: Mapping[str, Any] | None


class StoredMark(NamedTuple):
    """The n-th release mark of a stream. Its `at` is of a bus that is gone: refilled, it is due now."""

    n: int
    mark: ReleaseMark


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What the journal knows of a stream, each list in order.

    `epoch` is None for a stream never seen. `reserved_o` is the first offset that was not yet promised away, and
    `reserved_ver` the first `ver`, `reserved_timeline` the first timeline: numbering goes on there. `state` is what
    `save_state` was given last. `lost` says that the log once reached further than it does here: it was restored from
    an older copy.
    """

    epoch: str | None
    reserved_o: int
    state: Mapping[str, Any] | None
    entries: Sequence[SealedRow]
    timings: Sequence[StoredTiming]
    marks: Sequence[StoredMark]
    kept: Sequence[Kept] = ()
    reserved_ver: int = 0
    reserved_timeline: int = 0
    lost: bool = False
