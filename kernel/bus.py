"""The contract between the houses: retained topics and signals.

What every implementation guarantees:

* A *topic* is ordered. The publisher gives each record its offset, and offsets rise; a record at or below the
  last offset is dropped, so publishing again after a restart is harmless. A subscriber that asks for all after
  offset n gets every retained record beyond n once, in order, then every later one.
* A *signal* reaches those who listen, in order, at most once; the last one of each name is retained and is given to
  whoever begins to listen later.
* `now()` is bus time in seconds: monotonic, the same for all who share the bus, unrelated to wall clocks.
* Records that are published together stay together: a subscriber that names `settled` is given all of them, one after
  the other, and then called once. What came alone is a run of one.
* A topic belongs to one log, named by `begin`. When a publisher names another one, the topic begins anew: what it held
  is forgotten, offsets may be used again, and every subscriber gets what follows from the first record on.
* Nothing is delivered before `publish` was called. Within one process everything is delivered before it returns;
  between processes soon after, to all of them, the publisher's included, in one order. What one publisher sends, on
  whatever topics, arrives such that a receiver who has got something has been able to get all before it.
* A receiver must not block, and an exception of one receiver does not keep the record from the others.
* What a transport loses is put there again by whoever published it, as long as that process lives and has not trimmed
  it; it reaches nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from kernel.blackouts import BlackoutRecord
from kernel.cues import Entry
from kernel.feed_state import FeedProgress, FeedState
from kernel.marks import Opened, ReleaseMark, Served
from kernel.policies import PolicyRecord
from kernel.revocation import RevocationChange
from kernel.timeline import SegmentTiming, StreamState

T = TypeVar("T")

Cancel = Callable[[], None]
"""Call it to stop receiving; calling it again does nothing."""


@dataclass(frozen=True, slots=True)
class Topic(Generic[T]):
    """The name of a retained, ordered sequence of records of one kind."""

    name: str


@dataclass(frozen=True, slots=True)
class Signal(Generic[T]):
    """The name of a message that concerns only the present."""

    name: str


class Bus(Protocol):
    """Carry records between the houses; the module's docstring says what is guaranteed."""

    def now(self) -> float:
        """Return bus time in seconds."""
        ...

    def lag_s(self) -> float:
        """Return for how long something may have been published that has not come here, in seconds.

        0 in one process; else the time since the last proof that nothing is missing, infinite before the first.
        """
        ...

    def begin(self, topic: Topic[T], lineage: str) -> None:
        """Say, before publishing to a topic, which log its offsets count in; saying it again changes nothing."""
        ...

    def head(self, topic: Topic[T]) -> int:
        """Return the last offset of a topic that this process publishes, whoever published it; -1 without any."""
        ...

    def publish(self, topic: Topic[T], offset: int, record: T) -> None:
        """Append a record to a topic at `offset`, which must lie above all before it or is dropped."""
        ...

    def publish_all(self, topic: Topic[T], records: Sequence[tuple[int, T]]) -> None:
        """Append several records, in the order of their offsets, and deliver them as one run."""
        ...

    def subscribe(
        self,
        topic: Topic[T],
        receive: Callable[[int, T], None],
        *,
        after: int = -1,
        settled: Callable[[], None] | None = None,
    ) -> Cancel:
        """Give `receive` every record beyond offset `after`, the retained ones before this returns.

        Args:
            topic: what is subscribed to.
            receive: is given an offset and its record.
            after: the last offset that is known already.
            settled: is called once after each run of records that came together, however many they are.
        """
        ...

    def trim(self, topic: Topic[T], below: int) -> None:
        """Forget the records of a topic whose offset lies below `below`."""
        ...

    def forget(self, topic: Topic[T], offsets: Collection[int]) -> None:
        """Forget single records of a topic, which newer ones have replaced; one that is not there is passed over."""
        ...

    def signal(self, signal: Signal[T], record: T) -> None:
        """Tell a signal to all who listen now."""
        ...

    def listen(self, signal: Signal[T], receive: Callable[[T], None]) -> Cancel:
        """Give `receive` the last record of a signal, if there was one, and every later one."""
        ...


def entries_topic(stream: str) -> Topic[Entry]:
    """Return the log of a stream, all but safety; offsets are the entries' own."""
    return Topic(f"{stream}/entries")


def safety_topic(stream: str) -> Topic[Entry]:
    """Return the safety lane of a stream: it overtakes the log, with offsets of the same numbering."""
    return Topic(f"{stream}/safety")


def timings_topic(stream: str) -> Topic[SegmentTiming]:
    """Return the timings of a stream in the order in which they were measured; offsets count them."""
    return Topic(f"{stream}/timings")


def marks_topic(stream: str) -> Topic[ReleaseMark]:
    """Return the release marks of a stream in the order in which they were given; offsets count them."""
    return Topic(f"{stream}/marks")


def opened_signal(stream: str) -> Signal[Opened]:
    """Return the signal by which a relay says what is out."""
    return Signal(f"{stream}/opened")


def served_signal(stream: str) -> Signal[Served]:
    """Return the signal by which a relay says what of the picture went to which session."""
    return Signal(f"{stream}/served")


def state_signal(stream: str) -> Signal[StreamState]:
    """Return the signal by which feeds says what a stream is."""
    return Signal(f"{stream}/state")


def epoch_signal(stream: str) -> Signal[str]:
    """Return the signal by which feeds names the epoch of a stream's log."""
    return Signal(f"{stream}/epoch")


def feeds_signal(stream: str) -> Signal[tuple[FeedState, ...]]:
    """Return the signal by which feeds says how all sources of a showing are, in the order of the settings."""
    return Signal(f"{stream}/feeds")


def progress_signal(stream: str) -> Signal[FeedProgress]:
    """Return the signal by which feeds says how far a source's data is known complete."""
    return Signal(f"{stream}/progress")


def fixes_signal() -> Signal[list[Any]]:
    """Return the signal by which it is told what a device says of where it is.

    A record is `[session, lon, lat, accuracy_m, at]`: degrees, metres, Unix seconds.
    """
    return Signal("fixes")


def sessions_signal() -> Signal[list[Any]]:
    """Return the signal by which it is told that a session has to go, has left, or was not let in.

    A record is `[kind, account, session, event_id, at_ms, code, key, by, until_ms]`. `kind` is `leaving`: it is cut at
    `at_ms`, Unix milliseconds, and its id refused until `until_ms`; `released`: it has left by itself; or `refused`,
    which only concerns who looks on.
    """
    return Signal("sessions")


def revocations_topic() -> Topic[RevocationChange]:
    """Return all revocations and what undoes them, of all showings; offsets count the changes.

    A record may come again under a higher offset, so that the topic can be trimmed below it.
    """
    return Topic("revocations")


def policies_topic() -> Topic[PolicyRecord]:
    """Return all policies of place, one record each: its newest version, or that it is deleted.

    Versions that newer ones have replaced are forgotten.
    """
    return Topic("policies")


def blackouts_topic() -> Topic[BlackoutRecord]:
    """Return all blackouts of all showings, one record each: the blackout, or that it is deleted."""
    return Topic("blackouts")
