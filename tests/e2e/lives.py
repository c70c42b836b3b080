"""Processes, one after the other, that take in messages, seal them and fan them out, each until it is killed.

`python -m tests.e2e.lives JOURNAL PORT` reads a line `FIRST LAST` for each life: it takes up the log, serves the hub on
PORT, and takes in the messages from FIRST to LAST. A life is a fork of this process: none has to import anything. It
prints a line for each thing that a vendor or a relay would know of:

    life PID         it begins
    epoch EPOCH      of its log
    ack NUMBER       the vendor's message is journaled
    entry MAP        an entry is on the bus, as the invariants know it, and what it says of a market's status
    opened PTS AT    what lies before PTS is out, from AT on (seconds of CLOCK_MONOTONIC)
    done             nothing is owed any more
    ended            it is dead
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from feeds.align import TimedSegment, TimelineMap
from feeds.io.journal import Journal
from feeds.io.log_writer import LogWriter
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sequencer
from feeds.vendors.lockstep import adapt
from hub.io.driver import Hub
from hub.io.socket import Socket
from hub.settings import HubSettings
from kernel.bus import entries_topic, epoch_signal, opened_signal, safety_topic, state_signal, timings_topic
from kernel.cues import Entry
from kernel.decisions import Scope
from kernel.io.memory_bus import MemoryBus
from kernel.io.system_time import new_id, wall
from kernel.pts import Ticks
from kernel.showings import Showing, Source
from lockstep.guard import GuardedHttp
from lockstep.logs import configure_logs
from tests.hub.makers import STREAM, Gate, claims, fact_of, opened, state
from tests.support.playlists import timing

T0 = 1_800_000_000.0
N_SEGMENTS = 500
A_SEGMENT = 5
"""How many messages tell of one segment."""
SHOWING = Showing(STREAM, "http://127.0.0.1:9/index.m3u8", (Source("desk", "lockstep"),))
CLIENTS = 3
TOKEN = "server"


def message(number: int) -> list[dict[str, Any]]:
    """Return what the vendor says in its message of this number: a play each, and now and then a word on a market."""
    at = round((T0 + number * 2 / A_SEGMENT) * 1000)

    def said(id_: str, type_: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": id_, "op": "new", "type": type_, "occurred_at": at, "body": body}

    facts = [said(f"p{number}", "play", {"n": number})]
    if number % 5 in (0, 4):
        facts.append(said(f"a{number}", "market", {"market": {"mid": "a", "st": "open"}}))
    if number == 0:
        price = {"out": [{"oid": "1", "milli": 1850}]}
        facts.append(said("b", "market", {"market": {"mid": "b", "st": "open"}, "price": price}))
    if number % 5 == 2:
        facts.append(said(f"s{number}", "suspend", {"mid": "a"}))
    if number % 5 == 3:
        facts.append(said(f"o{number}", "price", {"mid": "b", "out": [{"oid": "1", "milli": 1850 + number}]}))
    return facts


def _say(*words: object) -> None:
    # A kill may cut a line off: one without its full stop was not said.
    print(*words, ".", flush=True)


class CrowdedHub(Hub):
    """A hub that says when all clients have come back."""

    def start(self) -> None:
        self.crowded = asyncio.Event()
        super().start()

    def message(self, socket: Socket, data: bytes) -> None:
        super().message(socket, data)
        if self.counts()["subscribed"] == CLIENTS:
            self.crowded.set()


class Life:
    """One process's part of the log's history."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.bus = MemoryBus(asyncio.get_running_loop().time)
        segments = TimelineMap()
        for msn in range(N_SEGMENTS):
            told = timing(msn, f"{msn}.ts", wall=T0 + 2 * msn)
            segments.add(TimedSegment(told, tuple(Ticks(told.start + 3600 * index) for index in range(50))))
            self.bus.publish(timings_topic(STREAM), msn, told)
        segments.complete_below = segments.ended = True
        self.writer = LogWriter(
            STREAM, Sequencer(segments, ReleaseSchedule(STREAM)),
            journal=journal, bus=self.bus, wall=wall, new_id=new_id,
        )  # fmt: skip
        settings = HubSettings(min_heartbeat_ms=50, heartbeat_ms=50, hash_interval_s=0.1)
        admit = Gate(server=claims(Scope.SERVER, expires=1 << 40))
        self.hub = CrowdedHub(self.bus, {STREAM: SHOWING}, admit, settings, wall=wall, new_id=new_id)

    async def take_up(self) -> None:
        """Take up the log and refill the bus. Whatever is said here is printed before the hub hears of it."""
        self.bus.listen(epoch_signal(STREAM), lambda epoch: _say("epoch", epoch))
        for topic in (entries_topic, safety_topic):
            self.bus.subscribe(topic(STREAM), lambda _, entry: self._see(entry))
        self.hub.start()
        self.bus.signal(state_signal(STREAM), state())
        record = await self.journal.load(STREAM, since_wall=0.0)
        await self.writer.begin(record)
        await self.writer.restore(record)
        # Before anybody is let in: a suspend that went out and was not yet on disk is said anew by its message.
        for stored in await self.journal.unsettled(["desk"]):
            self._deliver(stored.seq, json.loads(stored.body))

    async def serve(self, port: int) -> None:
        """Let clients in; return when all of them are back."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("no request is meant for the app")

        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, lifespan="off", log_config=None, access_log=False,
            http=GuardedHttp, ws=self.hub.protocol_class(),
        )  # fmt: skip
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        await self.hub.crowded.wait()

    async def take_in(self, first: int, last: int) -> None:
        """Take in the messages from `first` to `last`."""
        self._open(first // A_SEGMENT - 1)
        for number in range(first, last + 1):
            said = message(number)
            body = json.dumps(said).encode()
            kept = await self.journal.append_message("desk", f"m{number}", body, received=wall(), open_facts=len(said))
            if not kept.duplicate:
                self._deliver(kept.seq, said)
            _say("ack", number)
            if number % A_SEGMENT == A_SEGMENT - 1:
                self._open(number // A_SEGMENT)
        await self.writer.seal()
        assert await self.journal.unsettled(["desk"]) == []
        self._open(last // A_SEGMENT)
        _say("done")

    def _deliver(self, seq: int, said: list[dict[str, Any]]) -> None:
        self.writer.deliver(adapt("desk", said).facts, message_seq=seq, received=wall(), live=False)

    def _open(self, msn: int) -> None:
        if msn >= 0:
            out = opened(msn, self.bus.now())
            assert out.upto is not None
            _say("opened", out.upto.pts, self.bus.now())
            self.bus.signal(opened_signal(STREAM), out)

    def _see(self, entry: Entry) -> None:
        told = entry.cue.body.get("market", {})
        _say("entry", json.dumps({**asdict(fact_of(entry, self.bus.now())), "st": told.get("st")}))


async def live(path: Path, port: int, first: int, last: int) -> None:
    """Run one life."""
    life = Life(await Journal.open(path, now=wall))
    await life.take_up()
    sealing = asyncio.create_task(life.writer.run())
    await life.serve(port)
    await life.take_in(first, last)
    await sealing


def main(path: Path, port: int) -> None:
    """Fork a life for each line, and wait for its end."""
    configure_logs("error")
    for line in sys.stdin:
        first, last = map(int, line.split())
        pid = os.fork()
        if pid == 0:
            asyncio.run(live(path, port, first, last))
        _say("life", pid)
        os.waitpid(pid, 0)
        print()
        _say("ended")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
