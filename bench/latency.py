"""How late a cue is, and a suspend, and what frozen readers cost the others: `python -m bench.latency`.

* A cue after its frontier passes: 1,000 live viewers, cues due between two openings at odd instants. The mark in each
  is the instant at which the viewers' frontier passes it; a receiver's delay is measured against that. The yardstick is
  a timer of the same loop, set for the same instants.
* A suspend, from the bus to the last of 2,000 sockets, while 500 prices change 10,000 times a second, conflated at
  250 ms. Each socket follows ten markets, as a page of a betting frontend does. `bench.vendor` is the same from the
  vendor's first byte.
* The same cues with a tenth of the sockets frozen, against none: rounds in turn. The hub is told not to let go of who
  does not read, as it otherwise would after two seconds.

Receivers are one process with raw sockets; a cue has arrived when it is in the receiver's kernel.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from typing import Any, NamedTuple

from bench._stage import EVENT, PLAY, TARGET_S, Process, Stage, hub_process, machine, percentile, report, serve, spread
from bench._stage import at as at_media
from hub.messages import cue_map, frame
from hub.settings import HubSettings
from kernel.bus import entries_topic
from kernel.cues import CueType, Entry
from kernel.pts import TICKS_PER_S

VIEWERS = 1_000
SUSPENDED = 2_000
FROZEN = VIEWERS // 10
TURNS = (False, True, True, False, True, False, False, True, False, True, True, False, True, False, False, True)
ROUND_S = 6
SECONDS = 16
"""How long a run without turns goes on: `bench.beside`."""
CUES_A_SEGMENT = 10
BARE_CUES = 60
MARKETS = 500
MARKETS_EACH = 10
PRICES_A_S = 10_000
WITNESSES = 50
"""Sockets that are read at once, so that what follows a suspend is not taken for it."""
SUSPENDS = 100
RETAINED = 20_000
STEP_S = 0.01


class Game:
    """What the hub's process does when it is told to."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ver = 0

    async def start(self, segments: int) -> float:
        """Open some segments at once."""
        for _ in range(segments):
            self.stage.segment()
        return self.stage.ends_s

    async def play(self, seconds: float) -> dict[str, Any]:
        """Open a segment every two seconds and seal cues ahead; the marks are the instants, in ns."""
        opens_at = time.monotonic()
        until = opens_at + seconds
        while opens_at < until:
            self.stage.segment()
            self._seal_ahead()
            opens_at += TARGET_S
            await asyncio.sleep(max(0.0, opens_at - time.monotonic()))
        return {"counts": dict(self.stage.hub.counts())}

    def _seal_ahead(self) -> None:
        """Seal what viewers will see before the next segment opens."""
        stage = self.stage
        clock = stage.hub._streams["bench"]._cohorts.live  # noqa: SLF001
        position = clock.position(asyncio.get_running_loop().time())
        assert position is not None  # segments are open
        for number in range(CUES_A_SEGMENT):
            # One timeline that begins at 0: where the player is, is what it shows.
            due = position / TICKS_PER_S + 0.15 + number * 0.171
            at = clock.passes_at(at_media(due))
            if at is not None:
                stage.cue(due, {**PLAY, "mark": round(at * 1e9)})

    async def bare(self, cues: int) -> int:
        """Do without a hub: at so many instants a timer and a bare `write(2)` loop to the same sockets."""
        loop = asyncio.get_running_loop()
        sockets = self.stage.hub.sockets.values()
        files = [one.transport.get_extra_info("socket").fileno() for one in sockets]

        def write(data: bytes, written: asyncio.Future[None]) -> None:
            for file in files:
                os.write(file, data)
            written.set_result(None)

        for _ in range(cues):
            at, written = loop.time() + 0.171, loop.create_future()
            data = frame(cue_map(self.stage.entry(0.0, {**PLAY, "mark": round(at * 1e9)})))
            loop.call_at(at, write, data, written)
            await written
        return len(files)

    async def fill(self) -> dict[str, int]:
        """Send so much that who does not read is paused: 100 KB, at a pace that readers keep up with."""
        for _ in range(25):
            self.stage.cue(1.0, {**PLAY, "txt": "x" * 4_000})
            await asyncio.sleep(0.05)
        return dict(self.stage.hub.counts())

    async def bet(self, suspends: int, *load: bool) -> dict[str, Any]:
        """Change prices all the time, and suspend now and then; the marks are when the bus was told, in ns."""
        published, began = 0, time.monotonic()
        next_suspend, left = began + 1.0, suspends
        while left:
            now = time.monotonic()
            wanted = int((now - began) * PRICES_A_S) if load else 0
            self._prices(published, wanted)
            published = wanted
            if now >= next_suspend:
                self.ver += 1
                mark = time.monotonic_ns()
                self.stage.cue(None, {"scope": "event", "ver": self.ver, "mark": mark}, type_=CueType.SUSPEND)
                left -= 1
                next_suspend = now + 0.2
            await asyncio.sleep(STEP_S)
        rate = published / (time.monotonic() - began)
        await asyncio.sleep(0.5)
        return {"prices_a_s": rate, "counts": dict(self.stage.hub.counts())}

    def _prices(self, first: int, end: int) -> None:
        """Publish prices as one run, as feeds seals what comes together; the bus keeps what the log writer keeps."""
        run = [self._price(f"m{number * 7 % MARKETS}") for number in range(first, end)]
        if run:
            topic = entries_topic(EVENT)
            self.stage.bus.publish_all(topic, [(entry.o, entry) for entry in run])
            self.stage.bus.trim(topic, run[-1].o - RETAINED)

    def _price(self, mid: str) -> Entry:
        self.ver += 1
        price = {"mid": mid, "ver": self.ver, "out": [{"oid": "1", "milli": 1_850}, {"oid": "2", "milli": 2_050}]}
        return self.stage.entry(1.0, {"price": price}, type_=CueType.PRICE, id_=f"odds:{mid}/{self.ver}")


def commands(stage: Stage) -> dict[str, Any]:
    """Play a game in real time."""
    game = Game(stage)
    return {"start": game.start, "play": game.play, "bet": game.bet, "fill": game.fill, "bare": game.bare}


def _listen(sockets: int, subs: list[dict[str, Any]]) -> tuple[Process, Process]:
    hub = hub_process("bench.latency")
    crowd = Process("bench._crowd", str(hub.port))
    crowd.line()
    hub.ask("start", 6)
    crowd.ask("join", sockets, subs)
    return hub, crowd


class Cues(NamedTuple):
    """What was seen of cues; all delays in ms. Each round is of the same 900 sockets, beside 100 that read or not."""

    plain: list[list[float]]
    frozen: list[list[float]]
    bare: list[float]
    paused: int


def measure_cues() -> Cues:
    """Measure cues to viewers without and with frozen ones, in turns: what else goes on here troubles both alike."""
    viewers = [{"mode": "viewer", "types": ["play"], "heartbeat_ms": 10_000}]
    hub, crowd = _listen(VIEWERS - FROZEN, viewers)
    plain: list[list[float]] = []
    frozen: list[list[float]] = []
    paused = 0
    try:
        hub.ask("play", 4)
        for is_frozen in TURNS:
            others = Process("bench._crowd", str(hub.port), "2")
            others.line()
            others.ask("join", FROZEN, viewers)
            if is_frozen:
                others.ask("freeze", FROZEN)
            # To both alike: it fills the buffers of who does not read.
            hub.ask("fill")
            hub.ask("play", 2)
            crowd.ask("forget")
            played = hub.ask("play", ROUND_S)
            time.sleep(0.5)
            delays = [one / 1e6 for one in crowd.ask("delays")]
            (frozen if is_frozen else plain).append(delays)
            if is_frozen:
                paused = played["counts"]["behind"]
            others.end()
        crowd.ask("forget")
        assert hub.ask("bare", BARE_CUES) >= len(plain[0]) // (ROUND_S // TARGET_S * CUES_A_SEGMENT)
        time.sleep(0.5)
        bare = [one / 1e6 for one in crowd.ask("delays")]
    finally:
        crowd.end()
        hub.end()
    return Cues(plain, frozen, bare, paused)


def measure_suspends(*, load: bool) -> tuple[list[float], dict[str, Any]]:
    """Return the delays of suspends to the last of all sockets, in ms."""
    pages = [
        {"mode": "edge", "conflate_ms": 250, "markets": [f"m{first + each}" for each in range(MARKETS_EACH)]}
        for first in range(0, MARKETS, MARKETS_EACH)
    ]
    hub, crowd = _listen(SUSPENDED - WITNESSES, pages)
    # They have come last, so they are written to last.
    witnesses = Process("bench._crowd", str(hub.port), "2", "witness")
    try:
        witnesses.line()
        witnesses.ask("join", WITNESSES, pages)
        told = hub.ask("bet", SUSPENDS, *([True] if load else []))
        marks, seen = crowd.ask("marks"), witnesses.ask("marks")
    finally:
        for each in (crowd, witnesses, hub):
            each.end()
    assert all(count == SUSPENDED - WITNESSES for _, _, _, count in marks), "a socket has missed a suspend"
    assert all(count == WITNESSES for _, _, _, count in seen), "a socket has missed a suspend"
    assert len(marks) == len(seen) == SUSPENDS
    return [(last - mark) / 1e6 for mark, _, last, _ in seen], told


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/latency.json`."""
    cues = measure_cues()
    delays, bare = [one for each in cues.plain for one in each], cues.bare
    early = sum(one < 0 for one in [*delays, *(one for each in cues.frozen for one in each)])
    p50, p99 = percentile(delays, 50), percentile(delays, 99)
    plain_p99, frozen_p99 = (
        statistics.median(percentile(each, 99) for each in rounds) for rounds in (cues.plain, cues.frozen)
    )
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
            "yardstick": round(percentile(bare, 50), 2),
            "yardstick_what": "a timer of the same loop and a bare write(2) loop to the same sockets",
            "ratio": round(p50 / percentile(bare, 50), 2),
            "spread": spread("a cue", delays, bare),
            **where,
        },
        {
            "what": "the same: p99",
            "unit": "ms",
            "ours": round(p99, 2),
            "figure": "p99 <= 25 ms",
            "met": p99 <= 25,
            "yardstick": round(percentile(bare, 99), 2),
            "yardstick_what": "a timer of the same loop and a bare write(2) loop to the same sockets",
            "ratio": round(p99 / percentile(bare, 99), 2),
            **where,
        },
        {
            "what": (
                f"p99 of {VIEWERS - FROZEN} sockets beside {FROZEN} frozen ones ({cues.paused} paused all the while), "
                f"median of {len(cues.frozen)} rounds"
            ),
            "unit": "ms",
            "ours": round(frozen_p99, 2),
            "figure": "<= 1.05 x without",
            "met": frozen_p99 <= 1.05 * plain_p99 and cues.paused >= FROZEN,
            "yardstick": round(plain_p99, 2),
            "yardstick_what": f"beside {FROZEN} that read, rounds in turn with the others",
            "ratio": round(frozen_p99 / plain_p99, 3),
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
            "spread": spread("a suspend beside prices", suspends, idle),
            **where,
        },
    ]


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    report("latency", run())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(HubSettings(max_subscribers=2 * SUSPENDED, slow_after_s=600), commands)
    else:
        main()
