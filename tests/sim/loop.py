"""An event loop whose clock jumps to the next timer, and which orders by dice what asyncio leaves open.

What asyncio promises is kept: callbacks in the order in which they were scheduled, no timer early. What it does not
promise is drawn from the seed: how late a timer fires, which of several equal deadlines comes first, and how often a
task is passed over between two of its awaits (`Hesitant`).
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Generator

    from tests.sim.net import Net

BEGINS_AT = 1_000.0
"""The loop's time when a simulation begins, in seconds."""

MAX_ITERATIONS = 3_000_000
"""A simulation of a minute takes some hundred thousand: one that takes more goes round in circles."""

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")
"""On whose behalf code runs: from which machine it connects."""


class StandstillError(Exception):
    """Nothing will ever happen again, or things happen without end while no time passes."""


class _Clock:
    """What a loop has in the place of a selector: instead of waiting it moves the clock."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Let `timeout` seconds pass at once."""
        self._loop.pass_time(timeout)
        return []

    def close(self) -> None:
        """There is nothing to be closed."""


class SimLoop(asyncio.BaseEventLoop):
    """Run everything of one simulation.

    Args:
        dice: decides what asyncio does not promise.
        hesitation: how likely a task is passed over at an await, 0 to 1.
        lateness: how likely a timer is late, 0 to 1.
    """

    net: Net

    def __init__(self, dice: random.Random, *, hesitation: float, lateness: float) -> None:
        super().__init__()
        self._dice = dice
        self._lateness = lateness
        self._time = BEGINS_AT
        self._iterations = 0
        self._selector = _Clock(self)
        self.faults: list[str] = []
        """Exceptions that nobody caught."""
        self.set_exception_handler(self._note)
        if hesitation:
            self.set_task_factory(self._hesitant_task)
        self._hesitation = hesitation

    def time(self) -> float:
        """Return virtual seconds."""
        return self._time

    def pass_time(self, seconds: float | None) -> None:
        """Move the clock; None: nothing is scheduled any more."""
        self._iterations += 1
        if seconds is None or self._iterations > MAX_ITERATIONS:
            raise StandstillError(f"at {self._time:.3f}, after {self._iterations} iterations")
        self._time += seconds

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at `when`, or a little later."""
        if self._dice.random() < self._lateness:
            when += self._dice.expovariate(500)
        return super().call_at(when, callback, *args, context=context)

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], host: str, port: int, **_: Any
    ) -> tuple[asyncio.Transport, Any]:
        """Connect through the simulated network."""
        return await self.net.connect(WHO.get(), host, port, protocol_factory)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do on the loop what would be done in a thread."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _process_events(self, event_list: list[Any]) -> None:
        """There is no I/O."""

    def _write_to_self(self) -> None:
        """There is no other thread to wake us from."""

    def _hesitant_task(self, _: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        return asyncio.Task(Hesitant(coro, self._dice, self._hesitation), loop=self, **more)

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if str(context.get("message")).startswith("Task was destroyed"):
            return  # with its process, which was killed
        self.faults.append(f"{context.get('message')}: {error!r}")


class Hesitant(collections.abc.Coroutine[Any, Any, Any]):
    """A coroutine that now and then lets all others have their turn before it goes on."""

    def __init__(self, coro: Coroutine[Any, Any, Any], dice: random.Random, likely: float) -> None:
        self._coro = coro
        self._dice = dice
        self._likely = likely

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coro.__await__()

    def send(self, value: Any) -> Any:
        """Go on, or be passed over."""
        if self._dice.random() < self._likely:
            return None  # what a bare `yield` gives: the task is scheduled again
        return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception."""
        return self._coro.throw(*error)

    def close(self) -> None:
        """End."""
        self._coro.close()
