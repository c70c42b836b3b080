"""Tests of drivers by a clock that jumps: a minute passes in no time."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any

from tests.sim.loop import SimLoop


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on a loop of its own, whose time passes as fast as nothing happens in it."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=lambda: SimLoop(random.Random(0), hesitation=0.0, lateness=0.0)) as runner:
            runner.run(test(*arguments, **named))

    return run
