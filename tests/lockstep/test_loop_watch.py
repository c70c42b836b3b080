from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from lockstep.loop_watch import LoopWatch


class Blocked:
    """A loop of its own in a thread, which can be told to stand still."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.watches: list[LoopWatch] = []
        started = threading.Event()

        def run() -> None:
            self.watches.append(LoopWatch(self.loop, stuck_s=0.05))
            self.loop.call_soon(started.set)
            self.loop.run_forever()
            self.loop.run_until_complete(self.watches[0].aclose())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())

        self.thread = threading.Thread(target=run)
        self.thread.start()
        started.wait()

    def close(self) -> None:
        self.go.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    blocked = Blocked()
    yield blocked
    blocked.close()


def stand_still(go: threading.Event) -> None:
    go.wait()


def test_a_loop_that_stands_still_is_told_with_its_stack(blocked: Blocked) -> None:
    (watch,) = blocked.watches
    with capture_logs() as logs:
        blocked.loop.call_soon_threadsafe(stand_still, blocked.go)
        while not logs:
            time.sleep(0.001)
    line = logs[0]
    assert (line["event"], line["log_level"]) == ("loop.blocked", "warning")
    assert line["ms"] >= 50
    assert any(frame.endswith(" stand_still") for frame in line["frames"])
    assert watch.blocked >= 1


async def test_a_loop_that_turns_is_only_measured() -> None:
    watch = LoopWatch(asyncio.get_running_loop(), stuck_s=5.0)
    around = asyncio.Event()
    around.set()
    with capture_logs() as logs:
        while watch.lag.cumulative()[-1][1] < 2:
            await around.wait()
            around.clear()
            asyncio.get_running_loop().call_later(0.01, around.set)
    await watch.aclose()
    assert logs == []
    assert watch.blocked == 0
    assert not any(thread.name == "loop-watch" for thread in threading.enumerate())
