"""What holds for every test: a blocking call of ours on the event loop is a failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

OURS = ["kernel", "feeds", "hub", "relay", "lockstep"]


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> Iterator[None]:
    watch = BlockBuster(scanned_modules=OURS)
    watch.activate()
    yield
    watch.deactivate()
