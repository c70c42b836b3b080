"""How late a cue is, and a suspend, and what frozen readers cost the others: `python -m bench.latency`.

* A cue after its frontier passes: 1,000 live viewers, cues due between two openings at odd instants. The mark in each
  is the instant at which the viewers' frontier passes it; a receiver's delay is measured against that. The yardstick is
  a timer of the same loop, set for the same instants.
* A suspend, from the bus to the last of 2,000 sockets, while 500 prices change 10,000 times a second, conflated at
  250 ms. Each socket follows ten markets, as a page of a betting frontend does.
* The same cues with a tenth of the sockets frozen, against none.

Receivers are one process with raw sockets; a cue has arrived when it is in the receiver's kernel.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from bench._stage import PLAY, TARGET_S, Process, Stage, hub_process, machine, percentile, report, serve
from hub.settings import HubSettings
from kernel.cues import CueType

VIEWERS = 1_000
SUSPENDED = 2_000
SECONDS = 16
CUES_A_SEGMENT = 10
MARKETS = 500
MARKETS_EACH = 10
PRICES_A_S = 10_000
SUSPENDS = 100
STEP_S = 0.01


def commands(stage: Stage) -> dict[str, Any]:
    """Play a game in real time."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def start(segments: int) -> float:
        for _ in range(segments):
            stage.segment()
        return stage.ends_s

    async def play(seconds: float) -> dict[str, Any]:
        """Open a segment every two seconds and seal cues ahead; the marks are the instants, in ns."""
        late.clear()
        viewers = stage.hub._streams["bench"]._shared["viewer", 0]  # noqa: SLF001
        until = time.monotonic() + seconds
        opens_at = time.monotonic()
        sealed = 0
        while time.monotonic() < until:
            stage.segment()
            for number in range(CUES_A_SEGMENT):
                # Pinned well inside what viewers will see within the next segment.
                due = stage.ends_s - 3 * TARGET_S + 0.15 + number * 0.171
                entry = stage.entry(due, {})
                at = viewers.clock.passes_at(entry.due) if entry.due is not None else None
                if at is None or at <= loop.time():
                    continue
                stage.cue(due, {**PLAY, "mark": round(at * 1e9)})
                loop.call_at(at, lambda at=at: late.append(time.monotonic() - at))  # type: ignore[misc]
                sealed += 1
            opens_at += TARGET_S
            await asyncio.sleep(max(0.0, opens_at - time.monotonic()))
        return {"sealed": sealed, "timer_ms": [one * 1e3 for one in late], "counts": dict(stage.hub.counts())}

    async def bet(suspends: int, load: bool) -> dict[str, Any]:  # noqa: FBT001
        """Change prices all the time, and suspend now and then; the marks are when the bus was told, in ns."""
        ver = published = 0
        began, pause_s = time.monotonic(), 0.2
        next_suspend, left = began + 1.0, suspends
        while left:
            now = time.monotonic()
            wanted = int((now - began) * PRICES_A_S) if load else 0
            while published < wanted:
                ver += 1
                mid = f"m{published * 7 % MARKETS}"
                price = {"mid": mid, "ver": ver, "out": [{"oid": "1", "milli": 1_850}, {"oid": "2", "milli": 2_050}]}
                stage.cue(1.0, {"price": price}, type_=CueType.PRICE, id_=f"odds:{mid}/{ver}")
                published += 1
            if now >= next_suspend:
                ver += 1
                mark = time.monotonic_ns()
                stage.cue(None, {"scope": "event", "ver": ver, "mark": mark}, type_=CueType.SUSPEND)
                left -= 1
                next_suspend = now + pause_s
            await asyncio.sleep(STEP_S)
        await asyncio.sleep(0.5)
        return {"prices_a_s": published / (time.monotonic() - began - 0.5), "counts": dict(stage.hub.counts())}

    return {"start": start, "play": play, "bet": bet}


def _listen(sockets: int, subs: list[dict[str, Any]]) -> tuple[Process, Process]:
    hub = hub_process("bench.latency")
    crowd = Process("bench._crowd", str(hub.port))
    crowd.line()
    hub.ask("start", 6)
    crowd.ask("join", sockets, subs)
    return hub, crowd


def measure_cues(frozen: int = 0) -> tuple[list[float], list[float], dict[str, Any]]:
    """Return the delays of cues to viewers, those of bare timers, both in ms, and what the hub counted."""
    hub, crowd = _listen(VIEWERS, [{"mode": "viewer", "types": ["play"], "heartbeat_ms": 10_000}])
    try:
        crowd.ask("freeze", frozen)
        hub.ask("play", 4)
        crowd.ask("forget")
        played = hub.ask("play", SECONDS)
        delays = [one / 1e6 for one in crowd.ask("delays")]
    finally:
        crowd.end()
        hub.end()
    return delays, played["timer_ms"], played["counts"]


def measure_suspends(*, load: bool) -> tuple[list[float], dict[str, Any]]:
    """Return the delays of suspends to the last of all sockets, in ms."""
    pages = [
        {"mode": "edge", "conflate_ms": 250, "markets": [f"m{first + each}" for each in range(MARKETS_EACH)]}
        for first in range(0, MARKETS, MARKETS_EACH)
    ]
    hub, crowd = _listen(SUSPENDED, pages)
    try:
        told = hub.ask("bet", SUSPENDS, load)
        marks = crowd.ask("marks")
    finally:
        crowd.end()
        hub.end()
    assert all(count == SUSPENDED for _, _, _, count in marks), "a socket has missed a suspend"
    assert len(marks) == SUSPENDS
    return [(last - mark) / 1e6 for mark, _, last, _ in marks], told


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/latency.json`."""
    delays, timers, _ = measure_cues()
    early = sum(one < 0 for one in delays)
    p50, p99 = percentile(delays, 50), percentile(delays, 99)
    frozen_delays, _, counts = measure_cues(VIEWERS // 10)
    frozen_p99 = percentile(frozen_delays, 99)
    suspends, told = measure_suspends(load=True)
    idle, _ = measure_suspends(load=False)
    where = machine()
    return [
        {
            "what": f"cue after its frontier passes, {VIEWERS} sockets, {len(delays)} deliveries, {early} early: p50",
            "unit": "ms",
            "ours": round(p50, 2),
            "figure": "p50 <= 5 ms, none early",
            "met": p50 <= 5 and early == 0,
            "yardstick": round(percentile(timers, 50), 2),
            "yardstick_what": "an asyncio timer",
            "ratio": round(p50 / max(0.001, percentile(timers, 50)), 2),
            **where,
        },
        {
            "what": "the same: p99",
            "unit": "ms",
            "ours": round(p99, 2),
            "figure": "p99 <= 25 ms",
            "met": p99 <= 25,
            "yardstick": round(percentile(timers, 99), 2),
            "yardstick_what": "an asyncio timer",
            "ratio": round(p99 / max(0.001, percentile(timers, 99)), 2),
            **where,
        },
        {
            "what": f"p99 of the others with {VIEWERS // 10} frozen readers ({counts['sockets']} left at the end)",
            "unit": "ms",
            "ours": round(frozen_p99, 2),
            "figure": "<= 1.05 x without",
            "met": frozen_p99 <= 1.05 * p99,
            "yardstick": round(p99, 2),
            "yardstick_what": "without frozen readers",
            "ratio": round(frozen_p99 / p99, 3),
            **where,
        },
        {
            "what": (
                f"suspend, bus to the last of {SUSPENDED} sockets, {told['prices_a_s']:.0f} prices a second of "
                f"{MARKETS} markets, conflated at 250 ms: p99"
            ),
            "unit": "ms",
            "ours": round(percentile(suspends, 99), 2),
            "figure": "p99 <= 100 ms",
            "met": percentile(suspends, 99) <= 100,
            "yardstick": round(percentile(idle, 99), 2),
            "yardstick_what": "without prices",
            "ratio": round(percentile(suspends, 99) / percentile(idle, 99), 2),
            **where,
        },
    ]


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    report("latency", run())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(HubSettings(max_subscribers=2 * SUSPENDED), commands)
    else:
        main()
