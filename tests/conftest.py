"""What holds for every test: a blocking call of ours on the event loop is a failure, and logs begin anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

# The same examples each time, however busy the machine is. `pytest --hypothesis-profile=search` draws others.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", parent=settings.get_profile("suite"), derandomize=False, max_examples=1_000)
settings.load_profile("suite")

OURS = ["kernel", "feeds", "hub", "relay", "lockstep"]


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> Iterator[None]:
    watch = BlockBuster(scanned_modules=OURS)
    for function in watch.functions.values():
        # Printing a traceback reads source files; it happens when something has gone wrong already.
        function.can_block_in("linecache.py", {"checkcache", "updatecache"})
        # A command that answers and ends has nobody to keep waiting.
        function.can_block_in("lockstep/commands/probe.py", {"_probe", "_playlist_rows"})
        function.can_block_in("lockstep/commands/align.py", {"_align"})
    watch.activate()
    yield
    watch.deactivate()


@pytest.fixture(autouse=True)
def _logs_begin_anew() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
