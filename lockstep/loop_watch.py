"""Whether the loop keeps its time: its lag as a histogram, and a thread that says what blocked it.

The probe is one timer: how late it fires is how late everything else on this loop is. The thread looks at the probe's
last sign of life; a loop that is stuck cannot tell by itself, but its stack can be read from outside.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback

import structlog

from kernel.histogram import Histogram
from kernel.io.system_time import monotonic

log = structlog.get_logger("lockstep")

PROBE_S = 0.1
"""How often the loop is probed: ten timers a second cost nothing, and a stall of 0.25 s cannot hide between two."""

STUCK_S = 0.25
"""From when on the loop counts as blocked; suspends must be out within 100 ms, so this is a fault."""

SAY_S = 10.0
"""How often the log hears of it."""

MAX_FRAMES = 25
"""Frames of the stack that are logged, innermost last."""

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopWatch:
    """Probe a loop, and watch it from a thread.

    Args:
        loop: the running one, of the calling thread.
        stuck_s: from when on it counts as blocked, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, stuck_s: float = STUCK_S) -> None:
        self.lag = Histogram(BOUNDS_S)
        self.blocked = 0
        """How often the loop was found blocked."""
        self._loop = loop
        self._stuck_s = stuck_s
        self._thread_id = threading.get_ident()
        self._ended = threading.Event()
        self._alive_at = monotonic()
        self._due = loop.time() + PROBE_S
        self._timer = loop.call_at(self._due, self._probe)
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the probe, and tell the thread to end."""
        self._timer.cancel()
        self._ended.set()

    async def aclose(self) -> None:
        """End both; the thread is gone when this returns."""
        self.stop()
        await asyncio.to_thread(self._thread.join)

    def _probe(self) -> None:
        now = self._loop.time()
        self.lag.add(now - self._due)
        self._alive_at = monotonic()
        self._due = now + PROBE_S
        self._timer = self._loop.call_at(self._due, self._probe)

    def _watch(self) -> None:
        said_for, said_at, looked_at = 0.0, float("-inf"), monotonic()
        while not self._ended.wait(self._stuck_s / 2):
            now = monotonic()
            # Late ourselves: the whole process stood still (a suspended machine, SIGSTOP), not the loop.
            paused, looked_at = now - looked_at > self._stuck_s, now
            alive_at = self._alive_at
            if paused or now - alive_at < PROBE_S + self._stuck_s or alive_at == said_for:
                continue
            said_for = alive_at
            self.blocked += 1
            if now - said_at >= SAY_S:
                said_at = now
                log.warning("loop.blocked", ms=round((now - alive_at - PROBE_S) * 1000), frames=self._stack())

    def _stack(self) -> list[str]:
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - there is no public way
        summary = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=MAX_FRAMES, lookup_lines=False)
        return [f"{one.filename}:{one.lineno} {one.name}" for one in reversed(summary)]
