"""A process that takes in messages and publishes what becomes of them, until it is killed: journal, sequencer, bus.

`python -m tests.e2e.log_child JOURNAL FIRST LAST` prints a line for each thing that a vendor or a subscriber would know
of: the epoch, `ack` and the message's number, each entry that reaches the bus, and `done` once nothing is owed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from feeds.align import TimedSegment, TimelineMap
from feeds.io.journal import Journal
from feeds.io.log_writer import LogWriter
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sequencer
from feeds.vendors.lockstep import adapt
from kernel.bus import entries_topic, epoch_signal, safety_topic
from kernel.cues import Entry
from kernel.io.memory_bus import MemoryBus
from kernel.io.system_time import new_id, wall
from kernel.pts import Ticks
from tests.support.playlists import timing

T0 = 1_800_000_000.0
N_SEGMENTS = 500


def message(number: int) -> list[dict[str, Any]]:
    """Return what the vendor says in its message of this number: a play each, and now and then a word on a market."""
    at = round((T0 + number / 10) * 1000)

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
    return facts


def _say(*words: object) -> None:
    print(*words, flush=True)


def _see(entry: Entry) -> None:
    cue = entry.cue
    said = cue.body.get("market", {})
    ver = cue.body.get("ver", said.get("ver"))
    _say("entry", json.dumps([entry.o, cue.id, cue.rev, cue.cls.value, said.get("mid"), said.get("st"), ver]))


async def live(path: Path, first: int, last: int) -> None:
    """Take up the log, then take in the messages from `first` to `last`."""
    journal = await Journal.open(path, now=wall)
    map_ = TimelineMap()
    for msn in range(N_SEGMENTS):
        told = timing(msn, f"{msn}.ts", wall=T0 + 2 * msn)
        map_.add(TimedSegment(told, tuple(Ticks(told.start + 3600 * index) for index in range(50))))
    map_.complete_below = map_.ended = True
    bus = MemoryBus(asyncio.get_running_loop().time)
    sequencer = Sequencer(map_, ReleaseSchedule("game"))
    writer = LogWriter("game", sequencer, journal=journal, bus=bus, wall=wall, new_id=new_id)
    bus.listen(epoch_signal("game"), lambda epoch: _say("epoch", epoch))
    for topic in (entries_topic, safety_topic):
        bus.subscribe(topic("game"), lambda _, entry: _see(entry))
    await writer.restore(await journal.load("game", since_wall=0.0))
    sealing = asyncio.create_task(writer.run())

    def deliver(seq: int, said: list[dict[str, Any]]) -> None:
        writer.deliver(adapt("desk", said).facts, message_seq=seq, received=wall(), live=False)

    for stored in await journal.unsettled(["desk"]):
        deliver(stored.seq, json.loads(stored.body))
    for number in range(first, last + 1):
        said = message(number)
        body = json.dumps(said).encode()
        appended = await journal.append_message("desk", f"m{number}", body, received=wall(), open_facts=len(said))
        if not appended.duplicate:
            deliver(appended.seq, said)
        _say("ack", number)
    await writer.seal()
    assert await journal.unsettled(["desk"]) == []
    _say("done")
    await sealing


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
