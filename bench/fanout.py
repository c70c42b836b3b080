"""CPU per delivery to 2,000 live sockets, one cue a flush and ten: `python -m bench.fanout`.

The yardstick is a bare `write(2)` loop of the same bytes to the same sockets from the same process, in turns with ours:
whatever the machine does meanwhile, it does to both.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from bench._stage import PLAY, Process, Stage, hub_process, machine, report, serve
from hub.messages import cue_map, frame
from hub.settings import HubSettings

SOCKETS = 2_000
ROUNDS = 60
PER_FLUSH = 10
PAUSE_S = 0.03
"""Between two flushes the receivers read what came: a full socket would be measured as something else."""


def commands(stage: Stage) -> dict[str, Any]:
    """Measure in the hub's own process: only it knows what it has used."""

    def sockets() -> list[int]:
        return [one.transport.get_extra_info("socket").fileno() for one in stage.hub.sockets.values()]

    def bare(data: bytes, files: list[int]) -> float:
        began = time.process_time()
        for file in files:
            os.write(file, data)
        return time.process_time() - began

    async def fan(rounds: int) -> dict[str, float]:
        files = sockets()
        spent = {"ours": 0.0, "bare": 0.0, "joined": 0.0, "bare_joined": 0.0}
        for _ in range(rounds):
            made = stage.entry(0.5, PLAY)
            data = frame(cue_map(made))
            await asyncio.sleep(PAUSE_S)
            spent["bare"] += bare(data, files)
            await asyncio.sleep(PAUSE_S)
            began = time.process_time()
            stage.cue(0.5, PLAY)
            spent["ours"] += time.process_time() - began
            await asyncio.sleep(PAUSE_S)
            for number in range(PER_FLUSH):
                stage.cue(stage.ends_s + number / 10, PLAY)
            began = time.process_time()
            stage.segment()
            spent["joined"] += time.process_time() - began
            await asyncio.sleep(PAUSE_S)
            spent["bare_joined"] += bare(data * PER_FLUSH, files)
        counts = stage.hub.counts()
        assert counts["behind"] == 0, "a receiver was too slow: the figures mean nothing"
        return {**spent, "sockets": float(len(files)), "sent": float(counts["cues_sent"])}

    async def segment() -> float:
        return stage.segment()

    return {"fan": fan, "segment": segment}


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/fanout.json`."""
    hub = hub_process("bench.fanout")
    crowd = Process("bench._crowd", str(hub.port))
    try:
        crowd.line()
        hub.ask("segment")
        crowd.ask("join", SOCKETS, [{"mode": "edge", "types": ["play"], "heartbeat_ms": 30_000}])
        hub.ask("fan", 5)
        spent = hub.ask("fan", ROUNDS)
    finally:
        crowd.end()
        hub.end()
    deliveries = ROUNDS * spent["sockets"]
    ours, bare = spent["ours"] / deliveries * 1e6, spent["bare"] / deliveries * 1e6
    joined = spent["joined"] / deliveries / PER_FLUSH * 1e6
    bare_joined = spent["bare_joined"] / deliveries / PER_FLUSH * 1e6
    shared = {"unit": "us of CPU", "yardstick": round(bare, 2), "yardstick_what": "a bare write(2) loop", **machine()}
    return [
        {
            "what": f"fan-out of one cue to {SOCKETS} live sockets, per delivery",
            "ours": round(ours, 2),
            "figure": "<= 1.15 x the yardstick",
            "ratio": round(ours / bare, 3),
            "met": ours <= 1.15 * bare,
            **shared,
        },
        {
            "what": f"the same, {PER_FLUSH} cues in one flush, per cue (bare: {bare_joined:.2f})",
            "ours": round(joined, 2),
            "figure": "<= 0.25 x the yardstick of one cue",
            "ratio": round(joined / bare, 3),
            "met": joined <= 0.25 * bare,
            **shared,
        },
    ]


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    report("fanout", run())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(HubSettings(max_subscribers=2 * SOCKETS), commands)
    else:
        main()
