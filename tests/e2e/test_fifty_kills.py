"""kill -9 in ingest, sealing and fan-out, fifty times on one journal: one log, and clients that miss nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from hub.io.client import Client
from hub.subscriber import Format
from tests.e2e.lives import CLIENTS, TOKEN
from tests.e2e.stage import PATIENCE_S, ROOT
from tests.hub.makers import STREAM
from tests.support import invariants
from tests.support.invariants import Fact, Place, Wire
from tests.support.ports import HeldPort

KILLS = 50
SEED = 20_260_327
BEYOND: Place = (1 << 62, 0)


class Witness:
    """All that the vendor and the relay of all lives knew, and what must be true of it."""

    def __init__(self) -> None:
        self.epochs: set[str] = set()
        self.acked: set[int] = set()
        self.by_offset: dict[int, tuple[Fact, str | None]] = {}
        self.log: dict[int, Fact] = {}
        """The log as this life knows it: refilled from disk, then added to."""
        self.suspend_vers: list[int] = []
        self.openings: list[tuple[float, Place]] = []

    @property
    def next(self) -> int:
        """Return the number of the first message that the vendor has to send."""
        return max(self.acked, default=-1) + 1

    def hear(self, line: str) -> None:
        """Take in one line of a life."""
        kind, _, rest = line.partition(" ")
        if kind == "epoch":
            self.epochs.add(rest)
            self.log = {}
        elif kind == "ack":
            self.acked.add(int(rest))
        elif kind == "opened":
            pts, at = rest.split()
            self.openings.append((float(at), (0, int(pts))))
        elif kind == "entry":
            self._see(json.loads(rest))

    def _see(self, told: dict[str, Any]) -> None:
        st, due = told.pop("st"), told.pop("due")
        fact = Fact(due=tuple(due) if due is not None else None, **told)
        # I4: an offset is assigned once. What is told again after a restart is the same.
        same = (replace(fact, at=0.0), st)
        assert self.by_offset.setdefault(fact.o, same) == same
        self.log[fact.o] = fact
        if fact.due is None and fact.ver not in self.suspend_vers:
            # The floor never falls, though the suspend that set it may not have been on disk yet.
            assert fact.ver > max(self.suspend_vers, default=0)
            self.suspend_vers.append(fact.ver)

    def frontier(self, at: float) -> Place:
        """Return what was out at an instant: a picture once out is out, whoever was killed since."""
        return max((upto for since, upto in self.openings if since <= at), default=(-1, 0))

    def judge(self) -> None:
        """Check the log as a whole."""
        assert len(self.epochs) == 1
        held = {o: known for o, known in self.by_offset.items() if known[0].due is not None}
        plays = [fact.id for fact, _ in held.values() if fact.id.startswith("desk:p")]
        # I2, I3: what was acknowledged is there, once; what was on the bus is there for good.
        assert {f"desk:p{number}" for number in self.acked} <= set(plays)
        assert len(plays) == len(set(plays))
        assert held.keys() <= self.log.keys()
        # I6: both markets end as their vendor left them, above the last floor.
        last: dict[str, tuple[int, str]] = {}
        for fact, st in held.values():
            if fact.mid is not None and st is not None:
                last[fact.mid] = max(last.get(fact.mid, (0, "")), (fact.ver, st))
        assert {mid: st for mid, (_, st) in last.items()} == {"a": "open", "b": "open"}
        assert all(ver > max(self.suspend_vers) for ver, _ in last.values())


class Fan:
    """A client that follows the log through all lives."""

    def __init__(self, port: int, format_: Format, **wish: Any) -> None:
        url = f"ws://127.0.0.1:{port}/api/v1/wagering/subscribe?event_id={STREAM}"
        # Back at once, whatever it is told: a life is short.
        self.client = Client(url, lambda: TOKEN, {"mode": "edge", **wish}, lambda: 0.01, format_)
        self.wire = Wire()
        self.wish = wish
        self._grew = asyncio.Condition()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        now, connection = asyncio.get_running_loop().time, 0
        async with contextlib.aclosing(self.client.frames()) as frames:
            async for frame in frames:
                connection += frame["op"] == "hello"
                self.wire.frames.append((now(), connection, frame))
                self.wire.shown.append(frame)
                async with self._grew:
                    self._grew.notify_all()

    async def reaches(self, wanted: int) -> None:
        """Wait for a cue."""
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(
                lambda: self._task.done() or any(cue["o"] == wanted for _, _, cue in self.wire.of("cue"))
            )

    async def has_all(self, witness: Witness) -> None:
        """Wait for what the log owes: a price that is conflated may come behind what was due after it."""
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(lambda: self._task.done() or not self.misses(witness))

    def misses(self, witness: Witness) -> list[str]:
        """Return what the log owes and did not come."""
        return invariants.lost(self.wire, witness.log, self.wants, BEYOND, conflates="conflate_ms" in self.wish)

    async def end(self) -> None:
        """Leave."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def wants(self, fact: Fact) -> bool:
        """Return whether a fact passes this client's filter."""
        types = self.wish.get("types")
        return types is None or fact.due is None or fact.type in types

    def judge(self, witness: Witness) -> None:
        """Hold what came over the wire against what was sealed and out."""
        wire = self.wire
        # I1 to I6, I13. Anything that was ever on the bus may have come; what the last life knows must have.
        ever = {o: fact for o, (fact, _) in witness.by_offset.items()}
        assert invariants.early(wire, ever, witness.frontier) == []
        assert self.misses(witness) == []
        assert invariants.repeated(wire) == []
        assert invariants.dishonest(wire) == []
        assert invariants.below_floor(wire) == []
        assert invariants.foreign(wire, event_id=STREAM) == []
        # Whole each time: nobody had to begin anew.
        subs = [frame for _, _, frame in wire.of("sub")]
        assert [frame["resumed"] for frame in subs] == [False] + [True] * (len(subs) - 1)
        assert len(subs) > KILLS // 2
        # The hash of what it makes of all that is the server's.
        assert self.client.session.mismatches == 0


async def _life(zygote: Process, last: int, witness: Witness, kill_after: int | None) -> None:
    """Let a process live; kill it after so much news, or else leave it alive once nothing is owed."""
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    zygote.stdin.write(f"{witness.next} {last}\n".encode())
    pid, n_news = 0, 0
    async with asyncio.timeout(PATIENCE_S):
        while (line := (await zygote.stdout.readline()).decode()) != "":
            if not line.endswith(" .\n"):
                continue
            line = line.removesuffix(" .\n")
            kind, _, rest = line.partition(" ")
            if kind == "life":
                pid = int(rest)
            elif kind == "ended":
                assert kill_after is not None, "it has ended by itself"
                return
            elif kind == "done":
                return
            else:
                witness.hear(line)
            # What is told again after a restart does not bring the kill nearer.
            n_news += kind == "ack" or n_news > 0
            if n_news == kill_after:
                os.kill(pid, signal.SIGKILL)
                n_news += 1
    raise AssertionError("the process that lives are forked from has ended")


async def test_fifty_kills_leave_one_log(tmp_path: Path) -> None:
    with HeldPort() as port:
        await _fifty_kills(tmp_path / "journal.sqlite", port.number)


async def _fifty_kills(journal: Path, port: int) -> None:
    random, witness = Random(SEED), Witness()
    zygote = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.lives", str(journal), str(port),
        cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=1 << 20, start_new_session=True,
    )  # fmt: skip
    fans = [
        Fan(port, "json"),
        Fan(port, "msgpack"),
        Fan(port, "json", types=["market", "price", "suspend"], conflate_ms=100),
    ]
    assert len(fans) == CLIENTS
    try:
        for _ in range(KILLS):
            await _life(zygote, 1_000_000, witness, random.randint(1, 40))
        # The last life ends behind an `open`.
        await _life(zygote, (witness.next // 5 + 2) * 5, witness, None)
        witness.judge()
        assert len(witness.acked) > KILLS
        for fan in fans:
            await fan.reaches(max(o for o, fact in witness.log.items() if fact.due is not None and fan.wants(fact)))
            await fan.has_all(witness)
            await fan.end()
            fan.judge(witness)
        # No hash is told while prices wait, or of less than somebody may know: not to each of them in so short a life.
        assert any("hash" in frame for fan in fans for _, _, frame in fan.wire.of("hb"))
    finally:
        for fan in fans:
            await fan.end()
        os.killpg(zygote.pid, signal.SIGKILL)
        await zygote.wait()
