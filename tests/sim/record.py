"""What was recorded of one showing and of each connection: what the judges look at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgpack

from tests.hub.makers import fact_of
from tests.support.invariants import Fact, Place, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kernel.cues import Entry
    from kernel.marks import Opened, ReleaseMark
    from kernel.timeline import SegmentKey, SegmentTiming, StreamState
    from tests.sim.net import SimTransport

NOWHERE: Place = (-(1 << 62), 0)
EVERYWHERE: Place = (1 << 62, 0)


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

    def add(self, entry: Entry, now: float) -> Fact:
        """Take in an entry that is new."""
        fact = fact_of(entry, now)
        self.entries[entry.o], self.facts[entry.o] = entry, fact
        self.versions.setdefault(fact.id, []).append(fact)
        return fact


@dataclass
class Record:
    """What the bus has said of one showing, over all processes."""

    event_id: str
    logs: dict[str, Log] = field(default_factory=dict)
    log: Log = field(default_factory=lambda: Log(""))
    state: StreamState | None = None
    timings: dict[SegmentKey, SegmentTiming] = field(default_factory=dict)
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
    down: dict[str, float] = field(default_factory=dict)
    """Which sources are down, and since when."""

    def open_before(self, when: float) -> Place:
        """Return before which everything was out at a time."""
        return max((upto for at, upto in self.openings if at <= when), default=NOWHERE)

    def frontier(self) -> Place:
        """Return before which everything is out."""
        state = self.state
        if (
            state is not None
            and state.ended
            and self.key is not None
            and (state.last is None or self.key >= state.last)
        ):
            return EVERYWHERE
        return self.upto


@dataclass
class Conn:
    """One connection, as seen from the server's side of the wire."""

    number: int
    who: str
    transport: SimTransport
    began: float
    is_socket: bool = False
    alive: bool = True
    event_id: str = ""
    epoch: str | None = None
    mode: str = ""
    wish: Mapping[str, Any] = field(default_factory=dict)
    subscribed: float | None = None
    sent: int = 0
    offsets: dict[int, float] = field(default_factory=dict)
    may_wager: bool | None = None
    cur: tuple[int, Place] | None = None
    """The cursor that it was told last."""


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
