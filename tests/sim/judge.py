"""The invariants, after every step: of what is on the bus, and of every byte that the hub writes.

Each rule names the invariant it stands for. The first violation ends the simulation.
"""

from __future__ import annotations

import zlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from kernel.bus import (
    entries_topic,
    epoch_signal,
    feeds_signal,
    marks_topic,
    opened_signal,
    revocations_topic,
    safety_topic,
    state_signal,
    timings_topic,
)
from kernel.feed_state import Health
from kernel.pts import TICKS_PER_S, WRAP
from tests.sim import promises, sights
from tests.sim.answers import Answers
from tests.sim.course import NOWHERE, Silence
from tests.sim.record import Conn, Log, Record, decoded, frames_in
from tests.sim.trace import ViolationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel.bus import Bus
    from kernel.cues import Entry
    from kernel.feed_state import FeedState
    from kernel.marks import Opened, ReleaseMark
    from kernel.timeline import SegmentTiming, StreamState
    from tests.sim.loop import SimLoop
    from tests.sim.net import SimTransport
    from tests.sim.origin import Made
    from tests.sim.trace import Trace
    from tests.support.invariants import Fact

MAX_BUFFER_BYTES = 256 << 10
SAFETY_S = 0.02
"""How long safety may take from the bus into every socket: it is written within the call that published it."""
PROMPT_S = 0.5
"""How long a cue may take from its opening into the socket of a healthy server."""
WRITTEN_S = 1.0
"""How long after a full disk has had room again, and a moment, all that it had refused may be missing on it."""
STALE_S = 1.0
"""I7: within one second everybody knows that all is suspended."""


class Judge:
    """Watch one simulation.

    Args:
        loop: the simulation's.
        trace: where what happens is written down.
        made: by URI what the encoders made.
    """

    def __init__(self, loop: SimLoop, trace: Trace, made: dict[str, Made]) -> None:
        self._loop = loop
        self._trace = trace
        self._made = made
        self.records: dict[str, Record] = {}
        self.conns: dict[int, Conn] = {}
        self.deliveries = 0
        self.counts: Counter[str] = Counter()
        self.processes = 0
        self.violation: str | None = None
        self.failed = loop.create_future()
        self.busy_until = 0.0
        """Until when the whole process has an excuse: it stood still."""
        self.taken_at: dict[str, float] = {}
        """When a vendor was told that a fact was taken in, by the fact's id."""
        self.excused_until = 0.0
        """Until when a process or a disk was of no use."""
        self._shapes: dict[tuple[str, int, int], int] = {}
        self._timelines: dict[tuple[str, int], int] = {}
        self._lost: set[tuple[str, int]] = set()
        self.full: list[tuple[float, float]] = []
        """When the disk was full."""
        self.fell_at = 0.0
        self._walls: dict[tuple[str, int], list[tuple[int, float]]] = {}
        self.disk_may_take_s = 0.5
        """From when a message is acknowledged until what it says is on disk and on the bus."""
        self.healthy: frozenset[str] = frozenset()
        self.answers = Answers(self)
        self.now, self.call_later = loop.time, loop.call_later

    def note(self, text: str) -> None:
        """Write down what happens."""
        self._trace(text)

    def fail(self, invariant: str, text: str) -> None:
        """Note a violation; the first one counts."""
        if self.violation is None:
            self.violation = f"{invariant} at {self._loop.time():.6f}: {text}"
            self._trace(f"VIOLATION {self.violation}")
            if not self.failed.done():
                self.failed.set_exception(ViolationError(self.violation))

    # The bus.

    def watch(self, bus: Bus, event_id: str, is_alive: Callable[[], bool], *, auto_hold: bool) -> None:
        """Follow a showing on the bus of a new process; call it before anybody else listens."""
        record = self.records.setdefault(event_id, Record(event_id))
        record.opened = record.last_mark = record.begun_at = None
        record.auto_hold, record.media_s = auto_hold, 0.0
        record.state = None
        record.down.clear()
        record.served.clear()
        record.told_timings.clear()

        def while_alive(call: Callable[..., None]) -> Callable[..., None]:
            return lambda *said: call(record, *said) if is_alive() else None

        bus.listen(epoch_signal(event_id), while_alive(self._on_epoch))
        bus.listen(state_signal(event_id), while_alive(self._on_state))
        bus.listen(feeds_signal(event_id), while_alive(self._on_feeds))
        bus.subscribe(timings_topic(event_id), while_alive(self._on_timing))
        bus.subscribe(safety_topic(event_id), while_alive(self._on_entry))
        bus.subscribe(entries_topic(event_id), while_alive(self._on_entry))
        bus.subscribe(marks_topic(event_id), while_alive(self._on_mark))
        bus.listen(opened_signal(event_id), while_alive(self._on_opened))

    def watch_grants(self, bus: Bus, is_alive: Callable[[], bool]) -> None:
        """Follow the revocations on the bus of a new process; call it before anybody else listens."""
        self.processes += 1
        self.answers.watch(bus, revocations_topic(), is_alive)
        self.answers.dark.watch(bus, is_alive)

    def put_back(self) -> None:
        """Forget what the journal, put back from an older copy, knows nothing of."""
        for record in self.records.values():
            record.timings.clear()
            record.openings.clear()
            record.marks.clear()
            record.upto, record.key = NOWHERE, None
            record.forget_sights()
        for known in (self._shapes, self._timelines, self._walls, self._lost):
            known.clear()

    def restored(self, event_id: str) -> None:
        """Judge what a new process has put on its bus of the log as it was: all that anybody saw (I2, I4)."""
        self._forget_lost(self.records[event_id])
        log = self.records[event_id].log
        if any(entry.due is None and o not in log.told for o, entry in log.entries.items()):
            # It does not wait for the disk. Its vendor was not answered, and says it again.
            self.records[event_id].has_lost_safety = True
        missing = [o for o, entry in log.entries.items() if o not in log.told and entry.due is not None]
        if missing:
            self.fail("I4", f"{event_id}: {missing[:5]} were on the bus of epoch {log.epoch} and are in it no more")

    def _forget_lost(self, record: Record) -> None:
        """Forget the timings that are on no disk: the disk was full when they went out."""
        n_known = len(record.timings)
        for key in [key for key in record.timings if key not in record.told_timings]:
            timing, at = record.timings.pop(key)
            if not any(since <= at <= until and self.fell_at <= until + WRITTEN_S for since, until in self.full):
                self.fail("I4", f"{timing} was on the bus at {at}, on no disk when the process fell at {self.fell_at}")
            record.course.drop(key)
            record.silence = Silence(record.course, record.silence.reached)
        has_lost = len(record.timings) < n_known
        for stream, timeline in self._timelines:
            if stream == record.event_id:
                walls = [(one.start, one.wall) for one, _ in record.timings.values() if one.timeline == timeline]
                self._walls[stream, timeline] = [(start, wall) for start, wall in walls if wall is not None]
                if has_lost:
                    # A run of the encoder may go on under another number; none means another run.
                    self._lost.add((stream, timeline))

    def _on_epoch(self, record: Record, epoch: str) -> None:
        self._trace(f"epoch {record.event_id} {epoch}")
        record.log = record.logs.setdefault(epoch, Log(epoch))
        record.log.told.clear()

    def _on_state(self, record: Record, state: StreamState) -> None:
        record.state = state
        sights.play_on(record)
        self._begin(record)

    def _begin(self, record: Record) -> None:
        """Take note of when a recording could be seen from its beginning."""
        if record.begun_at is None and record.opened is not None and record.state is not None and record.state.begun:
            record.begun_at = self._loop.time()

    def _on_feeds(self, record: Record, states: tuple[FeedState, ...]) -> None:
        now = self._loop.time()
        for one in states:
            self._trace(f"feed {one.source} {one.state.value}")
            if one.state is Health.DOWN:
                record.down.setdefault(one.source, now)
                self._loop.call_later(STALE_S, self._all_suspended, record, one.source, record.down[one.source])
            else:
                record.down.pop(one.source, None)

    def _on_timing(self, record: Record, _: int, timing: SegmentTiming) -> None:
        self._trace(
            f"timing {record.event_id} {timing.key} {timing.timeline} {timing.start} {timing.end} {timing.wall}"
        )
        known, at = record.timings.get(timing.key, (None, self._loop.time()))
        if known is not None and known != timing:
            self.fail("I4", f"{timing} was {known} before")
        record.timings[timing.key] = timing, at
        record.told_timings.add(timing.key)
        record.course.lay(timing)
        sights.play_on(record)
        made = self._made[timing.uri]
        self._on_timeline(record.event_id, timing, made)
        walls = self._walls.setdefault((record.event_id, timing.timeline), [])
        if timing.wall is not None and known is None:
            for start, wall in walls[-8:]:
                passed, rises_s = timing.start - start, timing.wall - wall
                if (rises_s if passed > 0 else -rises_s) < abs(passed) / (8 * TICKS_PER_S) - 1e-6:
                    self.fail("I16", f"UTC rises by {rises_s} s in {passed} ticks to {timing}")
            walls.append((timing.start, timing.wall))

    def _on_timeline(self, event_id: str, timing: SegmentTiming, made: Made) -> None:
        """I16: one run of the encoder, one timeline, and on it the encoder's own distances."""
        run = self._timelines.setdefault((event_id, timing.timeline), made.run)
        if run != made.run:
            self.fail("I16", f"timeline {timing.timeline} holds segments of the encoder's runs {run} and {made.run}")
        for (stream, timeline), other in self._timelines.items():
            if (
                stream == event_id
                and other == made.run
                and timeline != timing.timeline
                and (stream, timeline) not in self._lost
            ):
                self.fail("I16", f"the encoder's run {made.run} lies on timelines {timeline} and {timing.timeline}")
        offset = timing.start - made.start
        if offset % WRAP or self._shapes.setdefault((event_id, timing.timeline, 0), offset) != offset:
            self.fail("I16", f"{timing.key} stands at {timing.start}, the encoder says {made.start}")
        if timing.end - timing.start != made.end - made.start:
            self.fail("I16", f"{timing.key} lasts {timing.end - timing.start} ticks, not {made.end - made.start}")

    def _on_entry(self, record: Record, o: int, entry: Entry) -> None:
        now, log = self._loop.time(), record.log
        known = log.entries.get(o)
        log.told[o] = None
        if known is not None:
            if known != entry:
                self.fail("I4", f"{record.event_id}: entry {o} of epoch {log.epoch} was {known}, is {entry}")
            return
        self._trace(f"entry {record.event_id} {o} {entry.cue.id} {entry.cue.rev} {entry.cue.op.value} {entry.due}")
        fact = log.add(entry, now)
        if entry.cue.late_ms is not None:
            self._is_rightly_late(record, entry, now - entry.cue.late_ms / 1000)
        self._is_claimed(record, fact)
        if entry.due is None:
            self._loop.call_later(SAFETY_S, self._safety_is_out, record, o, now)
        elif fact.due is not None and fact.due < record.frontier():
            self._loop.call_later(PROMPT_S, self._is_out, record, o, now)

    def _is_claimed(self, record: Record, fact: Fact) -> None:
        """I2: what comes onto the bus now counts as sent for nobody: a resume would pass it over."""
        for conn in self.conns.values():
            if conn.event_id == record.event_id and conn.cur is not None and conn.subscribed is not None:
                o, upto = conn.cur
                if fact.o <= o and (fact.due is None or fact.due < upto):
                    self.fail("I2", f"{conn.who} was told a cursor of {conn.cur}, and now comes {fact}")

    def _is_rightly_late(self, record: Record, entry: Entry, out_since: float) -> None:
        """DESIGN 5.5: what was here in time is on the bus before the mark that lets its picture out."""
        taken_at = self.taken_at.get(entry.cue.id)
        if taken_at is None or entry.cue.rev != 1 or entry.cue.type != "play" or self.excused_until > taken_at:
            return
        if record.begun_at is None or taken_at < record.begun_at:
            return  # a start-up opens everything with its newest segment, and times the older ones behind it
        if taken_at < out_since - self.disk_may_take_s:
            self.fail("late", f"{entry.cue.id} was taken in at {taken_at}, its picture was out at {out_since}")

    def _on_mark(self, record: Record, _: int, mark: ReleaseMark) -> None:
        self._trace(f"mark {record.event_id} {mark.key} {mark.at:.6f}")
        last = record.last_mark
        if last is not None and mark.at < last.at:
            self.fail("I4", f"the mark of {mark.key} is due at {mark.at}, before that of {last.key} at {last.at}")
        timing = record.timings[mark.key][0] if mark.key in record.timings else None
        if timing is not None and record.auto_hold:
            # DESIGN 6: a learned hold begins at nothing and changes by at most a twentieth of media time.
            record.media_s += (timing.end - timing.start) / TICKS_PER_S
            waits_s = mark.at - self._loop.time()
            if waits_s > 0.05 * record.media_s + 0.1:
                self.fail("hold", f"{mark.key} waits for {waits_s} s after {record.media_s} s of media")
        record.last_mark = record.marks[mark.key] = mark

    def _on_opened(self, record: Record, opened: Opened) -> None:
        now = self._loop.time()
        self._trace(f"opened {record.event_id} {opened.key} {opened.upto}")
        if opened.upto is not None:
            mark = record.marks.get(opened.key)
            if mark is None or mark.at > now or mark.upto != opened.upto:
                self.fail("I1", f"{opened.key} was opened, its mark is {mark}")
            record.upto = max(record.upto, (opened.upto.timeline, opened.upto.pts))
            record.openings.append((now, record.upto))
        record.opened = opened
        was, record.key = record.key, opened.key if record.key is None else max(record.key, opened.key)
        sights.opened(record, opened)
        self._begin(record)
        if was != record.key:
            self._loop.call_later(PROMPT_S, self._all_out, record, record.log, now)
        state = record.state
        if state is not None and state.live:
            self._loop.call_later(2 * state.target_duration_s + STALE_S, self._stalled, record, opened)

    # The sockets.

    def accepted(self, transport: SimTransport) -> None:
        """Follow a connection to the server."""
        number = transport.link.number
        conn = self.conns[number] = Conn(number, transport.link.who, transport, self._loop.time())
        transport.tap = partial(self._written, conn)
        transport.gone = partial(self._gone, conn)
        self.answers.accepted(conn, transport.link.client)

    def _gone(self, conn: Conn) -> None:
        conn.alive = False
        if conn.mode == "viewer":
            sights.upto(conn, self.records[conn.event_id], self._loop.time())
        self.conns.pop(conn.number, None)

    def _written(self, conn: Conn, data: bytes) -> None:
        if not conn.is_socket:
            if not data.startswith(b"HTTP/1.1 101"):
                self.answers.answered(conn, data)
                return
            conn.is_socket = True
            # The first frames may stand in the same packet.
            data = data.partition(b"\r\n\r\n")[2]
            if not data:
                return
        # A pong echoes what the client's library has drawn from the machine's own dice.
        mark = 0 if data[0] & 0x0F == 10 else zlib.crc32(data)
        self._trace(f"sent {conn.who} {conn.number} {len(data)} {mark:08x}")
        if conn.transport.get_write_buffer_size() > MAX_BUFFER_BYTES:
            self.fail("I14", f"{conn.who} holds {conn.transport.get_write_buffer_size()} bytes")
        flush: list[tuple[Any, int, str]] = []
        for opcode, payload in frames_in(data):
            if opcode in (1, 2):
                frame = decoded(opcode, payload)
                self._frame(conn, frame, flush)
            elif opcode == 8 and int.from_bytes(payload[:2], "big") == 4432:
                self.fail("I1", f"{conn.who} was closed with 4432: we were about to break a promise")
        ids = [id_ for _, _, id_ in flush if ":~" not in id_]
        if len(ids) != len(set(ids)):
            self.fail("I6", f"{conn.who} was sent two revisions of one fact in one flush: {flush}")
        if flush != sorted(flush):
            self.fail("I4", f"{conn.who} was sent in one flush {flush}")

    def _frame(self, conn: Conn, frame: Any, flush: list[tuple[Any, int, str]]) -> None:
        now, op = self._loop.time(), frame["op"]
        if op == "cue":
            self._cue(conn, frame, flush)
        elif op == "hello":
            conn.event_id, conn.epoch, conn.greeted_at = frame["event_id"], frame["epoch"], now
        elif op == "sub":
            conn.mode, conn.wish, conn.epoch = frame["mode"], frame, frame["epoch"]
            if conn.subscribed is None:
                conn.watches_since = now
            conn.subscribed, conn.goes_by_reports = now, False
        elif op == "snap":
            self._snapshot(conn, frame["state"])
        elif op == "pong" and str(frame["t"]).startswith(sights.PONG):
            number = int(frame["t"].removeprefix(sights.PONG))
            sights.acknowledged(conn, self.records[conn.event_id], number, now)
        elif op == "hb":
            self._heartbeat(conn, frame)
        elif op == "bye":
            self.answers.dismissed(conn, frame["code"])
        if conn.event_id and op in ("hb", "sub", "snap", "bye", "unsub", "resync"):
            for invariant, text in sights.goes_on(conn, self.records[conn.event_id], frame, now):
                self.fail(invariant, text)
            promises.frame(self, conn, frame)
        if op in ("bye", "unsub"):
            conn.subscribed = None

    def _heartbeat(self, conn: Conn, frame: Any) -> None:
        conn.may_wager = frame["may_wager"]
        if frame["sent"] != conn.sent:
            self.fail("hb", f"{conn.who} is told that {frame['sent']} cues were sent, it was {conn.sent}")
        if conn.may_wager and self.records[conn.event_id].down:
            self.fail("I7", f"{conn.who} may wager while {self.records[conn.event_id].down} are down")

    def _cue(self, conn: Conn, cue: Any, flush: list[tuple[Any, int, str]]) -> None:
        """I1, I4, I13: it is in the log, it is due, and its recipient may see it."""
        self.deliveries += 1
        self.counts[f"cue {cue['cls']}"] += 1
        conn.sent += 1
        record = self.records[conn.event_id]
        o, log = cue["o"], record.log
        conn.offsets[o] = self._loop.time()
        fact = log.facts.get(o)
        if fact is None or o not in record.log.told or conn.epoch != record.log.epoch:
            self.fail("I4", f"{conn.who} was sent {cue}, which is in no log of {conn.epoch}")
            return
        if (cue["id"], cue["rev"], cue["type"]) != (fact.id, fact.rev, fact.type):
            self.fail("I4", f"{conn.who} was sent {cue} for {fact}")
        if fact.due is None:
            return
        promises.cue(conn, fact)
        flush.append((fact.due, o, fact.id))
        frontier = sights.frontier(conn, record, self._loop.time())
        if not fact.due < frontier:
            said = f"{conn.who} ({conn.mode}) was sent {o}, due {fact.due}"
            self.fail("I1", f"{said}, when it might see {frontier} and {record.frontier()} was open")
        self.answers.cue(conn, record, fact, late=log.entries[o].cue.late_ms is not None)

    def _snapshot(self, conn: Conn, state: Any) -> None:
        """I1: a snapshot tells nothing that a cue would not."""
        record = self.records[conn.event_id]
        frontier = sights.frontier(conn, record, self._loop.time())
        claims = [claim[2] for slot in state.get("claims", {}).values() for claim in slot]
        told = [o for name in ("markets", "prices") for _, o, _ in state.get(name, {}).values()]
        for o in (*claims, *told):
            fact = record.log.facts.get(o)
            if conn.mode != "realtime" and (fact is None or fact.due is None or not fact.due < frontier):
                self.fail("I1", f"{conn.who} was sent a snapshot with {fact}, and may see {frontier}")
            if fact is not None:
                self.answers.dark.snapshot(conn, record, fact, frontier)

    # What must have happened by a time.

    def _excused(self, conn: Conn, since: float) -> bool:
        """Return whether nothing was promised to a connection since a time."""
        return (
            not conn.alive
            or conn.subscribed is None
            or conn.subscribed >= since
            or self.busy_until >= since
            or conn.transport.is_closing()
        )

    def _safety_is_out(self, record: Record, o: int, since: float) -> None:
        if o not in record.log.told:
            return
        for conn in self.conns.values():
            if conn.event_id == record.event_id and not self._excused(conn, since) and o not in conn.offsets:
                self.fail("safety", f"{conn.who} was not sent {o}, published at {since}")

    def _all_out(self, record: Record, log: Log, since: float) -> None:
        if log is not record.log:
            return
        frontier = record.frontier()
        for fact in list(log.facts.values())[-200:]:
            if fact.due is not None and fact.at <= since and fact.due < frontier:
                self._is_out(record, fact.o, since)

    def _is_out(self, record: Record, o: int, since: float) -> None:
        """Promise 5: nobody's slowness delays another. Judged by what nothing replaces and nobody filters out."""
        fact = record.log.facts.get(o)
        if (
            fact is None
            or o not in record.log.told
            or fact.type != "play"
            or "quant" in fact.id
            or len(record.log.versions[fact.id]) > 1
        ):
            return
        for conn in self.conns.values():
            if (
                conn.who in self.healthy
                and conn.event_id == record.event_id
                and conn.mode == "edge"
                and not self._excused(conn, since)
                and o not in conn.offsets
                and fact.due is not None
                and fact.due < record.frontier()
                and not self._was_told_before(conn, fact.at)
            ):
                self.fail("late", f"{conn.who} was not sent {o} ({fact.id}), due since {since}")

    def _was_told_before(self, conn: Conn, at: float) -> bool:
        """Return whether a fact may have come on an earlier connection, or in a snapshot."""
        return conn.subscribed is None or at <= conn.subscribed + 1.0

    def _stalled(self, record: Record, opened: Opened) -> None:
        state = record.state
        if record.opened is not opened or state is None or record.frontier() > (1 << 61, 0):
            return
        self._suspended(record, opened.at + 2 * state.target_duration_s, f"nothing opened since {opened.at}")

    def _all_suspended(self, record: Record, source: str, since: float) -> None:
        if record.down.get(source) == since:
            self._suspended(record, since, f"{source} is down since {since}")

    def _suspended(self, record: Record, since: float, why: str) -> None:
        """I7: everybody knows that nothing may be wagered."""
        for conn in self.conns.values():
            if conn.event_id == record.event_id and not self._excused(conn, since) and conn.may_wager is not False:
                self.fail("I7", f"{conn.who} may wager, and {why}")

    def silent(self, event_id: str, source: str) -> None:
        """I7, from outside: a vendor says that it has said nothing for longer than it promised."""
        record = self.records[event_id]
        if record.down.get(source) is None and record.state is not None and record.upto != NOWHERE:
            self.fail("I7", f"{source} is silent beyond its limit, and nothing says so")
