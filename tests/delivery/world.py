"""A hub without sockets: the pure stream, the pure clients, and a record of all that went between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.client import Session
from hub.close_codes import Bye
from hub.cohort import Delivery
from hub.cursor import read_cursor
from hub.dialogue import Dialogue
from hub.guard import Guard
from hub.messages import cue_map
from hub.settings import HubSettings
from hub.snapshot import Message
from hub.stream import Stream
from hub.subscriber import Subscriber
from kernel import value
from kernel.cues import CueClass, CueType, Entry, Op
from kernel.decisions import Scope
from kernel.marks import Opened, Served
from kernel.timeline import BEGINNING, END, MediaTime, SegmentTiming, StreamState
from kernel.tokens import Claims
from tests.hub.makers import SHOWING, STREAM, Gate, at, claims, entry, fact_of, opened, state, timing
from tests.support.invariants import Fact, Place, Wire

WALL = 1_000.0


class Viewer:
    """A client: its session, its wire, and its present connection, if it has one."""

    def __init__(self, name: str, wish: dict[str, Any]) -> None:
        self.name = name
        self.session = Session(wish)
        self.wire = Wire()
        self.subscriber: Subscriber | None = None
        self.connection = 0
        self.paused = False
        self.flushes: list[list[dict[str, Any]]] = []
        self.based: tuple[Place, int] | None = None
        self.reports = False
        self.reported: float | None = None
        # How far it might have seen at a time: by what was served to it, and had it never reported.
        self.allowed: list[tuple[float, Place]] = []


class World:
    """One showing. `now` is bus time; the log, timings and openings outlive the hub, which may be restarted."""

    def __init__(self, settings: HubSettings | None = None, *, first_state: StreamState | None = None) -> None:
        self.settings = settings or HubSettings()
        self.now = 0.0
        self.epoch = "e1"
        self.entries: list[Entry] = []
        self.log: dict[int, Fact] = {}
        self.state = first_state or state()
        self.timings: list[SegmentTiming] = []
        self.openings: list[Opened] = []
        self.viewers: list[Viewer] = []
        self._number = 0
        self._ver = 0
        self._connections: dict[int, Viewer] = {}
        self.start()

    # The hub.

    def start(self) -> None:
        """Start a hub and refill it, as a restarted process does."""
        self.stream = Stream(SHOWING, self.settings)
        self.guard = Guard()
        self.gate = Gate(**{viewer.name: _everything(viewer.name) for viewer in self.viewers})
        self.dialogue = Dialogue({STREAM: self.stream}, self.gate, self.settings, "node")
        self.stream.set_epoch(self.epoch)
        self.guard.note_state(self.state)
        self.stream.set_state(self.state, self.now)
        for one in self.timings:
            self.stream.add_timing(one, self.now)
        for each in self.entries:
            self.stream.add_entry(each, self.now)
        # The relay opens anew what its marks say, then goes on where it was.
        marked = [one for one in self.openings if one.upto is not None]
        for last in [*marked[-1:], *self.openings[-1:]]:
            again = replace(last, at=self.now)
            self.guard.note_opened(again)
            self.stream.open(again, self.now)
        self.flush()

    def restart(self) -> None:
        """Kill -9 and a new process; clients come back by themselves when told to."""
        for viewer in self.viewers:
            viewer.subscriber = None
            viewer.paused = False
        self._connections.clear()
        self.start()

    # What happens.

    def open(self, msn: int, *, marked: bool = True, one: SegmentTiming | None = None) -> None:
        """Open a segment now."""
        if marked:
            one = one or timing(msn)
            self.timings.append(one)
            self.stream.add_timing(one, self.now)
        what = opened(msn, self.now, marked=marked, upto=one.upto if one is not None else None)
        self.openings.append(what)
        self.guard.note_opened(what)
        self.stream.open(what, self.now)
        self.flush()

    def end(self, last: int) -> None:
        """End the stream with a segment."""
        self.state = state(live=self.state.live, ended=True, last=last)
        self.guard.note_state(self.state)
        ends = {one.msn: _place(one.upto) for one in self.timings}
        for viewer in self.viewers:
            if ends[last] in [place for _, place in viewer.allowed]:
                viewer.allowed.append((self.now, _place(END)))
        self.stream.set_state(self.state, self.now)
        self.flush()

    def seal(self, due: MediaTime | None, **more: Any) -> Entry:
        """Seal an entry with the next offset."""
        op = more.pop("op", None)
        made = entry(len(self.entries), due, **more)
        if op is not None:
            made = value.replace(made, cue=value.replace(made.cue, op=op))
        self.entries.append(made)
        self.log[made.o] = fact_of(made, self.now)
        self.stream.add_entry(made, self.now)
        self.flush()
        return made

    def ver(self) -> int:
        """Return the next number of a market change."""
        self._ver += 1
        return self._ver

    def market(self, due: MediaTime, mid: str = "m1", st: str = "open", milli: int | None = None) -> int:
        """Say how a market stands."""
        ver = self.ver()
        body: dict[str, Any] = {"market": {"mid": mid, "st": st, "ver": ver}}
        if milli is not None:
            body["price"] = {"mid": mid, "ver": ver, "out": [{"oid": "1", "milli": milli}]}
        cls = CueClass.REOPEN if st == "open" else CueClass.LOCKED
        self.seal(due, id=f"odds:{mid}", rev=ver, type=CueType.MARKET, cls=cls, body=body)
        return ver

    def price(self, due: MediaTime, mid: str = "m1", milli: int = 1_850) -> int:
        """Say a price."""
        ver = self.ver()
        body = {"price": {"mid": mid, "ver": ver, "out": [{"oid": "1", "milli": milli}]}}
        self.seal(due, id=f"odds:price/{mid}/{ver}", type=CueType.PRICE, body=body)
        return ver

    def suspend(self, mid: str | None = None) -> int:
        """Suspend one market, or all."""
        ver = self.ver()
        body: dict[str, Any] = {"scope": "event", "ver": ver} if mid is None else {"market": {"mid": mid}, "ver": ver}
        self.seal(None, id="odds:~suspend", rev=ver, type=CueType.SUSPEND, body=body)
        return ver

    def invalidate(self, mid: str = "m1") -> int:
        """Kill the bet slips of a market."""
        ver = self.ver()
        body = {"inv": {"mid": mid, "min_ver": ver}}
        self.seal(None, id=f"odds:~inv/{mid}", rev=ver, type=CueType.INV, body=body)
        return ver

    def score(self, due: MediaTime, home: int, id_: str | None = None, rev: int = 1, op: Op | None = None) -> Entry:
        """Say the score, or take it back."""
        body = {"score": {"home": home, "away": 0}} if op is not Op.RETRACT else {}
        return self.seal(due, id=id_ or f"nba:{len(self.entries)}", rev=rev, type=CueType.SCORE, body=body, op=op)

    def wait(self, seconds: float) -> None:
        """Let time pass; timers fire when they are due."""
        until = self.now + seconds
        for _ in range(100_000):
            deadline = self.stream.next_deadline()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.stream.timer(self.now)
            self.flush()
        else:
            raise AssertionError("a deadline came again and again")
        self.now = until

    # Clients.

    def viewer(
        self, mode: str = "viewer", *, reports: float | None = None, served: tuple[int, int] | None = None, **wish: Any
    ) -> Viewer:
        """Return a new client, connected; one that `reports` says where it is before it subscribes."""
        viewer = Viewer(f"v{len(self.viewers)}", {"mode": mode, **wish})
        viewer.reported = reports
        if served is not None:
            self.serve(viewer, *served)
        self.viewers.append(viewer)
        self.gate.tokens[viewer.name] = _everything(viewer.name)
        self.connect(viewer)
        return viewer

    def connect(self, viewer: Viewer) -> None:
        """Connect, or come back."""
        self._number += 1
        one = Subscriber(self._number, STREAM, self.settings, self.now)
        viewer.subscriber = one
        viewer.connection += 1
        self._connections[one.number] = viewer
        for reply in self.dialogue.greet(one, viewer.name, None, wall=WALL):
            self._hear(viewer, reply)
        if viewer.reported is not None:
            self.report(viewer, viewer.reported)
        self.say(viewer, viewer.session.connected())

    def say(self, viewer: Viewer, message: dict[str, Any]) -> None:
        """Let a client say something, and be sent what it is owed."""
        one = viewer.subscriber
        assert one is not None
        if message["op"] == "update":
            viewer.session.wish.update({name: value for name, value in message.items() if name != "op"})
        for reply in self.dialogue.receive(one, json.dumps(message).encode(), now=self.now, wall=WALL):
            self._hear(viewer, reply)
        self.flush()
        self.catch_up(viewer)

    def serve(self, viewer: Viewer, first: int, last: int | None = None) -> None:
        """Serve segments to a client's session."""
        last = first if last is None else last
        ends = {one.msn: _place(one.upto) for one in self.timings}
        over = self.state.ended and self.state.last is not None and last >= self.state.last.msn
        viewer.allowed.append((self.now, _place(END) if over else ends[last]))
        self.stream.serve(Served(STREAM, viewer.name, first, last), self.now)
        self.flush()

    def report(self, viewer: Viewer, seconds: float, *, tl: int = 0, rate: float = 1.0, stalled: bool = False) -> None:
        """Let a client say where its player is."""
        viewer.reports = True
        self.say(
            viewer, {"op": "pos", "tl": tl, "pts": at(seconds, tl).pts, "rate": rate, "stalled": stalled}
        )  # fmt: skip

    def allowed_to(self, viewer: Viewer) -> Callable[[float], Place]:
        """Return how far a client that reports might have seen at a time, whatever it said."""
        return lambda when: max((place for moment, place in viewer.allowed if moment <= when), default=(-(1 << 62), 0))

    def drop(self, viewer: Viewer) -> None:
        """Lose a connection."""
        if viewer.subscriber is not None:
            self.stream.leave(viewer.subscriber)
            self._connections.pop(viewer.subscriber.number, None)
            viewer.subscriber = None
            viewer.paused = False

    def pause(self, viewer: Viewer) -> None:
        """Let a socket fill up."""
        if viewer.subscriber is not None and not viewer.paused:
            viewer.paused = True
            self.stream.fall_behind(viewer.subscriber)

    def resume(self, viewer: Viewer) -> None:
        """Let a socket drain."""
        viewer.paused = False
        self.catch_up(viewer)

    def catch_up(self, viewer: Viewer) -> None:
        """Write to somebody who is behind what it is owed."""
        one = viewer.subscriber
        while one is not None and one.behind is not None and not viewer.paused:
            item = self.stream.next_owed(one, self.now)
            if item is None:
                break
            if isinstance(item, Message):
                self._hear(viewer, item.map)
            else:
                self._check(item.entries, one)
                one.sent += len(item.entries)
                for each in item.entries:
                    self._hear(viewer, cue_map(each))
        self.flush()

    def beat(self, viewer: Viewer) -> dict[str, Any]:
        """Send a heartbeat with the hash."""
        assert viewer.subscriber is not None
        message = self.dialogue.heartbeat(viewer.subscriber, now=self.now, wall=WALL, hashed=True)
        self._hear(viewer, message)
        return message

    # Between them.

    def flush(self) -> None:
        """Bring what the stream delivers to the clients."""
        for delivery in self.stream.take_deliveries():
            self._deliver(delivery)
        for subscriber in self.stream.take_recalled():
            if (viewer := self._connections.get(subscriber.number)) is not None:
                self.catch_up(viewer)

    def frontier_of(self, viewer: Viewer) -> Place:
        """Return how far a client may see."""
        assert viewer.subscriber is not None
        return _place(self.stream.frontier_of(viewer.subscriber))

    def opened_at(self, when: float) -> Place:
        """Return what was open at a time, by the record of openings."""
        if self.state.ended:
            return (1 << 62, 0)
        return _place(max((one.upto for one in self.openings if one.upto and one.at <= when), default=BEGINNING))

    def _deliver(self, delivery: Delivery) -> None:
        for subscriber in delivery.to:
            viewer = self._connections.get(subscriber.number)
            if viewer is None:
                continue
            self._check(delivery.entries, subscriber, safety=delivery.safety)
            flush = [cue_map(each) for each in delivery.entries]
            viewer.flushes.append(flush)
            subscriber.sent += len(flush)
            for cue in flush:
                self._hear(viewer, cue)

    def _check(self, entries: tuple[Entry, ...], one: Subscriber, *, safety: bool = False) -> None:
        fault = self.guard.fault_in(
            entries, self.stream.frontier_of(one), trading=one.mode == "realtime", safety=safety
        )
        assert fault is None, fault

    def _hear(self, viewer: Viewer, frame: Any) -> None:
        assert not isinstance(frame, Bye), frame
        # As it is on the wire: what is sent is not shared with what is kept.
        frame = json.loads(json.dumps(frame))
        viewer.wire.frames.append((self.now, viewer.connection, frame))
        if frame["op"] == "cue":
            viewer.allowed.append((self.now, _place(self.stream._cohorts.live.frontier(self.now))))
        if frame["op"] == "snap":
            told = read_cursor(frame["cur"])
            assert told is not None
            as_of = frame["as_of"]
            viewer.based = (
                (as_of["tl"], as_of["pts"]) if as_of is not None else _place(told.cursor.upto),
                told.cursor.o,
            )
        if viewer.session.receive(frame, self.now):
            viewer.wire.shown.append(frame)


def _everything(session: str) -> Claims:
    return claims(Scope.WATCH, Scope.WAGER, Scope.SERVER, Scope.TRADING, expires=1 << 40, session=session)


def _place(when: MediaTime) -> Place:
    return (when.timeline, when.pts)
