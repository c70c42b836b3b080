"""What is kept running in a process, part by part: a fault in one ends none of the others, and it is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import structlog

log = structlog.get_logger("lockstep")

RESTART_S = 1.0
"""How long a part that failed unexpectedly rests before it is started again."""

Run = Callable[[], Coroutine[Any, Any, None]]


class Parts:
    """Keep parts running, by name, until they are ended."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failures: dict[str, int] = {}
        """How often each failed."""

    def start(self, name: str, run: Run) -> None:
        """Run a part again and again."""
        assert name not in self._tasks
        self.failures.setdefault(name, 0)
        self._tasks[name] = asyncio.create_task(self._keep(name, run), name=name)

    def start_all(self, parts: Mapping[str, Run]) -> None:
        """Run several."""
        for name, run in parts.items():
            self.start(name, run)

    async def end(self, names: Iterable[str], *, forget: bool = False) -> None:
        """End parts; one that does not run is passed over.

        Args:
            names: which.
            forget: whether they will not come back: then their failures are not counted any more.
        """
        tasks = [task for name in names if (task := self._tasks.pop(name, None)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if forget:
            for task in tasks:
                self.failures.pop(task.get_name(), None)

    async def aclose(self) -> None:
        """End all of them."""
        await self.end(list(self._tasks))

    async def _keep(self, name: str, run: Run) -> None:
        while True:
            try:
                await run()
            except Exception:
                # A fault of ours in one showing must not end the others; the log says that it is one.
                log.exception("part.failed", part=name)
                self.failures[name] += 1
            await asyncio.sleep(RESTART_S)
