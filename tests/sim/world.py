"""One simulation: a seed in, a verdict and the trace's hash out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from kernel.errors import JournalError
from kernel.pts import TICKS_PER_S
from kernel.revocation import SubjectKind
from tests.sim import final
from tests.sim.cheats import Cheat
from tests.sim.couch import Couch
from tests.sim.dark import Blackouts
from tests.sim.disk import Disk
from tests.sim.judge import Judge
from tests.sim.loop import BEGINS_AT, SimLoop, StandstillError
from tests.sim.net import Net
from tests.sim.operator import Operator, subject_of
from tests.sim.origin import SimOrigin, encode
from tests.sim.plan import GAME_S, T0, Darkness, Plan, Subscription, Trouble, make_plan
from tests.sim.process import Process
from tests.sim.trace import Trace, ViolationError
from tests.sim.vendor import INTERVAL_S, Vendors
from tests.sim.viewers import Player, Viewer

if TYPE_CHECKING:
    from collections.abc import Coroutine, MutableMapping

    from tests.sim.record import Conn

HEAL_S = 45.0
"""By when after the last fault everybody has come back: a silence of ten seconds is noticed, then the client waits for
up to half a minute by its back-off."""

_SHARED_MEMORY = Path("/dev/shm")
_OURS = frozenset(
    {
        "journal.failed",
        "journal.batch_failed",
        "webhook.not_journaled",
        "log.end_lost",
        "operators.not_written",
        "cuts.not_kept",
    }
)
"""What the houses log as errors, and rightly so, when a disk is full or a journal is put back."""


@dataclass(frozen=True)
class Result:
    """What came of a seed."""

    seed: int
    violation: str | None
    deliveries: int
    digest: str
    lines: int
    tail: tuple[str, ...]
    counts: Counter[str]
    """What happened how often: cues by class (`cue safety`), faults by kind (`fault kill`), and what else there is."""


class World:
    """Everything of one simulation."""

    def __init__(self, seed: int, loop: SimLoop, plan: Plan, folder: Path) -> None:
        self.seed = seed
        self.loop = loop
        self.plan = plan
        self.dice = random.Random(f"{seed}/world")
        self.trace = Trace(loop.time)
        self.net = loop.net = Net(loop, random.Random(f"{seed}/net"), breaks=plan.breaks)
        self.disk = Disk(loop, folder, random.Random(f"{seed}/disk"), usual_s=plan.disk_s)
        self.origin = SimOrigin(loop, random.Random(f"{seed}/origin"), wall=self.wall, trouble=plan.trouble)
        self.origin.lags_s = plan.lags_s
        self.origin.stale_s, self.origin.fresh_from = plan.stale[0], BEGINS_AT + plan.stale[1]
        self.origin.dropouts = [(T0 + since, T0 + until) for since, until in plan.dropouts]
        self.judge = Judge(loop, self.trace, self.origin.by_uri)
        self.judge.disk_may_take_s = 0.5 + 6 * plan.disk_s
        for event_id, encoder in plan.encoders.items():
            self.origin.add(event_id, encoder, encode(encoder, random.Random(f"{seed}/{event_id}")))
        self.vendors = {
            event_id: Vendors(event_id, script, self.dice, self.wall, self.judge.taken_at)
            for event_id, script in plan.scripts.items()
        }
        self.viewers: dict[str, Viewer] = {}
        self.operator = Operator(self)
        self.blackouts = Blackouts(self)
        self.players = {event_id: Player(self, event_id) for event_id in plan.showings}
        self.cheats = [Cheat(self, one) for one in plan.cheats]
        self.process: Process | None = None
        self.was_put_back = False
        self.healed_at = float("inf")
        self.counts: Counter[str] = Counter()
        self._ids = random.Random(f"{seed}/ids")
        self._tasks: list[asyncio.Task[None]] = []

    def wall(self) -> float:
        """Return the time of day."""
        return T0 + self.loop.time() - BEGINS_AT

    def date(self, wall: float) -> str:
        """Return a time of day as operators write it."""
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def new_id(self, n_bytes: int = 16) -> str:
        """Return a name that nobody else has."""
        return f"{self._ids.getrandbits(8 * n_bytes):x}"

    async def run(self) -> None:
        """Let the game happen and break, heal, and judge what everybody has.

        Raises:
            ViolationError: an invariant did not hold.
        """
        script = asyncio.ensure_future(self._story())
        try:
            await asyncio.wait([script, self.judge.failed], return_when=asyncio.FIRST_COMPLETED)
            if self.judge.violation is None and (error := script.exception()) is not None:
                # As where a server does not start.
                self.judge.fail("simulation", repr(error.__cause__ or error))
            for text in self.loop.faults:
                self.judge.fail("exception", text)
        finally:
            await self._stop(script)
        if self.judge.violation is not None:
            self.judge.failed.exception()
            raise ViolationError(self.judge.violation)

    async def _story(self) -> None:
        self._begin(self._supply())
        self.judge.healthy = frozenset(one.name for one in self.plan.subscriptions if one.healthy)
        await self.start_process()
        for vendor in self.vendors.values():
            self._begin(vendor.run())
        for one in self.plan.subscriptions:
            self._begin(self._arrive(one))
        for player in self.players.values():
            self._begin(player.run())
        self.judge.answers.on_flooded = lambda who: self._begin(self._ban(who))
        for cheat in self.cheats:
            self._begin(cheat.run())
        for darkness in self.plan.blackouts:
            self._begin(self._darken(darkness))
        for trouble in self.plan.troubles:
            await asyncio.sleep(max(0.0, BEGINS_AT + trouble.at - self.loop.time()))
            await self._break(trouble)
        await asyncio.sleep(max(0.0, BEGINS_AT + GAME_S - self.loop.time()))
        self._heal()
        await self.operator.settle()
        await self.blackouts.settle()
        await self._all_back()
        await self._recordings_over()
        await asyncio.sleep(5.0)
        final.judge(self)

    async def start_process(self) -> None:
        """Start the server, on the disk as it is."""
        while True:
            self.trace("process starts")
            self.process = Process(self, self.plan.showings)
            try:
                await self.process.start()
            except JournalError:
                # With a full disk it does not start; who supervises it tries again.
                self.process.kill(silent=False)
                await asyncio.sleep(0.5)
            else:
                self.trace("process serves")
                # What was handed out again waits for pictures that the last process may have let out already.
                self.judge.excused_until = self.loop.time() + 3.0
                return

    def _begin(self, coro: Coroutine[Any, Any, None]) -> None:
        async def watched() -> None:
            try:
                await coro
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self.judge.fail("simulation", f"{error!r}")

        self._tasks.append(asyncio.ensure_future(watched()))

    async def _supply(self) -> None:
        """Look after the vendors' silences: beyond its limit each must be known to all (I7)."""
        for event_id, script in self.plan.scripts.items():
            for source, (since, until) in script.silences.items():
                await asyncio.sleep(max(0.0, since - self.wall()))
                while self.wall() < until:
                    name = f"{event_id}-{source}"
                    last = max(self.vendors[event_id].sent_at.get(name, 0.0), since)
                    limit_s = 2 * INTERVAL_S + 4.0
                    if self.wall() > last + limit_s and self.loop.time() > self.serves_since() + limit_s:
                        self.judge.silent(event_id, name)
                    await asyncio.sleep(0.25)

    def serves_since(self) -> float:
        """Return since when the present process serves; far ahead if none does."""
        return self.process.serves_since if self.process is not None and self.process.alive else float("inf")

    async def _darken(self, one: Darkness) -> None:
        await asyncio.sleep(one.at)
        await self.blackouts.make(one)

    async def _ban(self, who: str) -> None:
        """Revoke somebody who has been sent away for a flood, where an operator does."""
        ban = self.plan.bans.get(who)
        if ban is not None and self.wall() < self.healed_at:
            subject = subject_of(SubjectKind(ban.kind), who, self.viewers[who].seen.event_id)
            await self.operator.revoke(subject, ban.lasts_s, after_s=ban.after_s)

    async def _arrive(self, one: Subscription) -> None:
        await asyncio.sleep(one.comes_at)
        await self.join(one)

    async def join(self, one: Subscription) -> None:
        """Let somebody subscribe, and stay."""
        viewer = (
            Viewer(self, one.name, one.event_id, one.wish, one.format, healthy=one.healthy)
            if one.manner is None
            else Couch(self, one.name, one.event_id, one.wish, one.format, manner=one.manner)
        )
        self.viewers[one.name] = viewer
        self.net.weather(one.name).bytes_per_s = one.bytes_per_s
        await viewer.run()

    async def _break(self, trouble: Trouble) -> None:
        self.trace(f"trouble {trouble.what} {trouble.whom} {trouble.lasts_s:.3f}")
        self.counts[f"fault {trouble.what}"] += 1
        if trouble.what.startswith("revoke "):
            kind = SubjectKind(trouble.what.removeprefix("revoke "))
            event_id = next((one.event_id for one in self.plan.subscriptions if one.name == trouble.whom), trouble.whom)
            self._begin(self.operator.revoke(subject_of(kind, trouble.whom, event_id), trouble.lasts_s))
            return
        if trouble.whom:
            self._hinder(trouble)
            return
        match trouble.what:
            case "dark":
                self.origin.dark_until = self.loop.time() + trouble.lasts_s
            case "outage":
                self.origin.break_down(trouble.lasts_s)
            case "jump":
                self.loop.pass_time(trouble.lasts_s)
                self.judge.busy_until = self.loop.time() + 0.5
            case "full":
                self._fill()
                self.loop.call_later(trouble.lasts_s, self._make_room)
            case "copy":
                self.disk.take_copy()
            case "kill" | "power" | "drain" | "put back" | "back up":
                await self._restart(trouble)

    def _hinder(self, trouble: Trouble) -> None:
        """Let one machine's network, or one viewer, behave badly."""
        weather, viewer = self.net.weather(trouble.whom), self.viewers.get(trouble.whom)
        now = self.loop.time()
        match trouble.what:
            case "reset":
                for link in self.net.links_of(trouble.whom):
                    link.reset()
            case "doom":
                for link in self.net.links_of(trouble.whom):
                    conn = self.judge.conns.get(link.number)
                    link.server.is_doomed = conn is not None and conn.is_socket
            case "stall":
                weather.stalled_until = now + trouble.lasts_s
            case "slow":
                weather.bytes_per_s = 1_000.0 + 500 * trouble.lasts_s
            case "slice":
                weather.slices = 0.8
            case "freeze" if viewer is not None:
                viewer.frozen_until = now + 2 * trouble.lasts_s
                weather.window_bytes = 2_048
            case "pace" if viewer is not None:
                viewer.pace_s = 0.05 * trouble.lasts_s
                weather.window_bytes = 2_048
            case "update" if viewer is not None:
                self._update(viewer)
            case "flood" if viewer is not None:
                viewer.session.to_say += [{"op": "ping", "t": n} for n in range(80)]

    def _fill(self) -> None:
        self.disk.is_full = True
        self.judge.full.append((self.loop.time(), float("inf")))

    def _make_room(self) -> None:
        self.disk.is_full = False
        # What was under way fails yet, and is written again in a second.
        self.judge.full = [(since, min(until, self.loop.time() + 2.0)) for since, until in self.judge.full]
        self.judge.excused_until = self.loop.time() + 3.0

    def _update(self, viewer: Viewer) -> None:
        """Let a viewer change its filter; what it has been promised before is void then."""
        wish: dict[str, Any] = {"types": self.dice.choice([["score"], ["price", "market", "play"], None])}
        if self.dice.random() < 0.5:
            wish = {"conflate_ms": self.dice.choice([0, 250, 5_000])}
        viewer.session.wish.update(wish)
        viewer.session.to_say.append({"op": "update", **wish})

    async def _restart(self, trouble: Trouble) -> None:
        process = self.process
        assert process is not None
        if trouble.what == "drain":
            await process.hub.drain()
        self.judge.excused_until = float("inf")
        self.judge.fell_at = self.loop.time()
        process.kill(silent=trouble.what == "power")
        if trouble.what == "back up":
            self.disk.take_copy()
        if trouble.what == "put back" and self.disk.is_full:
            self._make_room()
        if trouble.what == "put back" and self.disk.put_back():
            self.judge.put_back()
            self.was_put_back = True
        await asyncio.sleep(trouble.lasts_s)
        await self.start_process()
        if trouble.what == "back up":
            self._fill()

    def _heal(self) -> None:
        self.trace("heals")
        self.healed_at = self.wall()
        for weather in self.net.weathers.values():
            weather.bytes_per_s, weather.slices, weather.stalled_until, weather.window_bytes = None, 0.0, 0.0, 32 << 10
        for viewer in self.viewers.values():
            viewer.frozen_until = viewer.pace_s = 0.0
            # A flood that waits for its connection would be one more reason to be sent away.
            viewer.session.to_say = [said for said in viewer.session.to_say if said["op"] != "ping"]
            if isinstance(viewer, Couch):
                viewer.behave()
        self.origin.trouble = self.origin.dark_until = self.origin.lags_s = 0.0
        if self.disk.is_full:
            self._make_room()

    async def _all_back(self) -> None:
        """I15: once nothing breaks any more, everybody comes back."""
        until = self.loop.time() + HEAL_S
        while self.loop.time() < until:
            await asyncio.sleep(0.25)
            if all(viewer.is_caught_up() for viewer in self.viewers.values()):
                return
        away = [viewer.name for viewer in self.viewers.values() if not viewer.is_caught_up()]
        self.judge.fail("I15", f"{away} have not come back")

    async def _recordings_over(self) -> None:
        """Wait until whoever watches a recording has been through it: from its beginning, wherever it was before."""
        until = self.loop.time() + HEAL_S
        while self.loop.time() < until:
            if all(self._is_through(conn) for conn in self.judge.conns.values()):
                return
            await asyncio.sleep(0.25)

    def _is_through(self, conn: Conn) -> bool:
        record = self.judge.records.get(conn.event_id)
        if (
            record is None
            or conn.subscribed is None
            or conn.mode != "viewer"
            or self.plan.encoders[conn.event_id].is_live
        ):
            return True
        begins = max(conn.watches_since, self.loop.time() - (self.wall() - self.healed_at))
        lasts_s = ((record.end_x() or 0) - record.course.begin_x) / TICKS_PER_S
        # A player loads first.
        return self.loop.time() > begins + lasts_s + 3.0

    def counted(self) -> Counter[str]:
        """Return what happened how often."""
        counts = self.counts + self.judge.counts
        counts["connections"] = self.net.opened
        counts["reports of playheads"] = sum(one.reports for one in self.viewers.values() if isinstance(one, Couch))
        counts["revocations acknowledged"] = self.operator.revocations
        counts["segments asked for by cheats"] = sum(one.attempts for one in self.cheats)
        counts["blackouts made"] = self.blackouts.made
        counts["bodies under way when revoked"] = self.judge.answers.bodies_cut
        counts["segments had by players"] = sum(one.segments for one in self.players.values())
        counts["origin's answers spoilt"] = self.origin.spoilt
        counts["processes"] = self.judge.processes
        return counts

    async def _stop(self, script: asyncio.Future[None]) -> None:
        if self.process is not None and self.process.alive:
            self.process.kill(silent=True)
        for task in [script, *self._tasks]:
            task.cancel()
        await asyncio.gather(script, *self._tasks, return_exceptions=True)
        # What killed processes have left behind ends before its loop does: what was shielded, what waits for a lock.
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in sorted(left, key=asyncio.Task.get_name):
                task.cancel()
            await asyncio.wait(left, timeout=1.0)


def simulate(seed: int) -> Result:
    """Run one seed."""
    plan = make_plan(*[random.Random(f"{seed}/plan{whose}") for whose in ("", " of origins", " of mischief")])
    loop = SimLoop(random.Random(f"{seed}/loop"), hesitation=plan.hesitation, lateness=plan.lateness)
    folder = Path(tempfile.mkdtemp(prefix="lockstep-sim-", dir=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None))
    asyncio.set_event_loop(loop)
    # Nothing of a simulation is garbage before it ends; looking for some costs a fifth of its time.
    gc.collect()
    gc.disable()
    world = World(seed, loop, plan, folder)
    _listen_to_logs(world.judge)
    try:
        loop.run_until_complete(world.run())
    except ViolationError:
        pass
    except StandstillError as error:
        world.judge.fail("standstill", str(error))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        shutil.rmtree(folder)
        gc.enable()
    judge, trace = world.judge, world.trace
    return Result(
        seed, judge.violation, judge.deliveries, trace.digest(), trace.lines, tuple(trace.tail), world.counted()
    )


def _listen_to_logs(judge: Judge) -> None:
    """Take what our own houses log as a fault for one."""

    def judged(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in ("error", "exception", "critical") and event.get("event") not in _OURS:
            raised = sys.exc_info()[1]
            where = traceback.format_exception(raised)[-2:] if raised is not None else ""
            judge.fail("log", f"{event} {where}")
        raise structlog.DropEvent

    structlog.configure(processors=[judged], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
                return  # a request of a process that was killed
            with contextlib.suppress(Exception):
                judge.fail("log", f"{record.name}: {record.getMessage()} {record.exc_info}")

    root = logging.getLogger()
    root.handlers[:] = [Listening(level=logging.ERROR)]
