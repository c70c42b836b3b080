"""What was recorded of one showing and of each connection: what the judges look at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgpack

from tests.hub.makers import fact_of
from tests.sim.course import EVERYWHERE, NOWHERE, Course, Silence
from tests.sim.promises import Prices
from tests.support.invariants import Fact, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kernel.cues import Entry
    from kernel.marks import Opened, ReleaseMark
    from kernel.timeline import SegmentKey, SegmentTiming, StreamState
    from tests.sim.answers import Asks
    from tests.sim.net import SimTransport
    from tests.sim.sights import Told
    from tests.support.invariants import Place


@dataclass
class Log:
    """One epoch of a showing's log."""

    epoch: str
    entries: dict[int, Entry] = field(default_factory=dict)
    facts: dict[int, Fact] = field(default_factory=dict)
    told: dict[int, None] = field(default_factory=dict)
    """The offsets that the present process has put on its bus."""
    versions: dict[str, list[Fact]] = field(default_factory=dict)
    """By id, in the order in which they came."""
    prices: list[Fact] = field(default_factory=list)

    def add(self, entry: Entry, now: float) -> Fact:
        """Take in an entry that is new."""
        fact = fact_of(entry, now)
        self.entries[entry.o], self.facts[entry.o] = entry, fact
        self.versions.setdefault(fact.id, []).append(fact)
        if fact.type == "price":
            self.prices.append(fact)
        return fact


@dataclass
class Record:
    """What the bus has said of one showing, over all processes."""

    event_id: str
    logs: dict[str, Log] = field(default_factory=dict)
    log: Log = field(default_factory=lambda: Log(""))
    state: StreamState | None = None
    timings: dict[SegmentKey, tuple[SegmentTiming, float]] = field(default_factory=dict)
    """And when each of them was first on a bus."""
    told_timings: set[SegmentKey] = field(default_factory=set)
    """Of which the present process has told."""
    last_mark: ReleaseMark | None = None
    marks: dict[SegmentKey, ReleaseMark] = field(default_factory=dict)
    opened: Opened | None = None
    """The last one of the present process."""
    upto: Place = NOWHERE
    """Before which pictures are out, by what any process has opened."""
    key: SegmentKey | None = None
    auto_hold: bool = False
    media_s: float = 0.0
    """How many seconds of media the present process has marked."""
    openings: list[tuple[float, Place]] = field(default_factory=list)
    has_lost_safety: bool = False
    """Whether floors have been raised of which a crash has left no trace."""
    down: dict[str, float] = field(default_factory=dict)
    """Which sources are down, and since when."""
    course: Course = field(default_factory=Course)
    silence: Silence = field(init=False)
    opened_at: float = 0.0
    """Since when the newest of it is open, in bus time."""
    begun_at: float | None = None
    """Since when the present process knows the stream's beginning and has something open."""
    served: dict[str, set[int]] = field(default_factory=dict)
    """By session the segments of which it has at least half, as the present process has sent them."""
    reached: dict[tuple[str | None, str], Place] = field(default_factory=dict)
    """By epoch and client, before which media time it may have been shown all."""
    told_upto: dict[tuple[str | None, str], Place] = field(default_factory=dict)
    """And the furthest place of the cursors that it was told."""

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        self.silence = Silence(self.course)

    def forget_sights(self) -> None:
        """Forget how far anybody may see: media time begins anew. What was seen in an epoch stays true in it."""
        self.course = Course()
        self.silence = Silence(self.course)
        self.served.clear()

    def open_before(self, when: float) -> Place:
        """Return before which everything was out at a time."""
        return max((upto for at, upto in self.openings if at <= when), default=NOWHERE)

    def is_over(self) -> bool:
        """Return whether the last segment of an ended stream is out."""
        state = self.state
        if state is None or not state.ended or self.key is None:
            return False
        return state.last is None or self.key >= state.last

    def end_x(self) -> int | None:
        """Return where on the course what is open ends."""
        return self.course.end_x(self.key) if self.key is not None else None

    def frontier(self) -> Place:
        """Return before which everything is out."""
        return EVERYWHERE if self.is_over() else self.upto


@dataclass
class Conn:
    """One connection, as seen from the server's side of the wire."""

    number: int
    who: str
    transport: SimTransport
    began: float
    is_socket: bool = False
    greeted_at: float = float("inf")
    alive: bool = True
    event_id: str = ""
    epoch: str | None = None
    mode: str = ""
    wish: Mapping[str, Any] = field(default_factory=dict)
    subscribed: float | None = None
    watches_since: float = 0.0
    """When it subscribed; a change of its filter is answered like a subscription."""
    sent: int = 0
    offsets: dict[int, float] = field(default_factory=dict)
    may_wager: bool | None = None
    heartbeat_s: float | None = None
    """By what it subscribed with, or was told at its last heartbeat."""
    beat_at: float = 0.0
    prices: Prices = field(default_factory=lambda: Prices(0.0))
    cur: tuple[int, Place] | None = None
    """The cursor that it was told last."""
    told: tuple[int, Place] = (-1, NOWHERE)
    """The cursor before that."""
    reports: list[Told] = field(default_factory=list)
    """Those of its player by which the hub may go at the moment."""
    goes_by_reports: bool = False
    reached: Place = NOWHERE
    """Before which media time it may see."""
    asks: Asks | None = None
    """What was asked for over it, and by whom."""


@dataclass
class Seen:
    """What one client was shown over all its connections; a new wire for each epoch."""

    name: str
    event_id: str
    wish: dict[str, Any]
    hidden: frozenset[str]
    is_healthy: bool
    wire: Wire = field(default_factory=Wire)
    wires: list[Wire] = field(default_factory=list)
    based: tuple[Place, int] | None = None
    based_at: float = 0.0
    """When the last snapshot came; safety before it is in its floors."""
    mismatches: int = 0
    conflates: bool = False


def frames_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (opcode, payload) of the unmasked frames that one write consists of (RFC 6455, 5.2)."""
    at = 0
    while at < len(data):
        opcode, size = data[at] & 0x0F, data[at + 1]
        at += 2
        if size == 126:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        elif size == 127:
            size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
        yield opcode, data[at : at + size]
        at += size


@lru_cache(maxsize=2_048)
def decoded(opcode: int, payload: bytes) -> Mapping[str, Any]:
    """Return what stands in a text or binary frame; the same object for the same bytes."""
    value: Mapping[str, Any] = json.loads(payload) if opcode == 1 else msgpack.unpackb(payload)
    return value
