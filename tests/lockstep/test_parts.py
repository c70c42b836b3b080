from __future__ import annotations

import asyncio

import pytest

from lockstep import parts as module
from lockstep.parts import Parts


class Part:
    """Count how often it was begun, and fail as often as it is to."""

    def __init__(self, failures: int = 0) -> None:
        self.begun = 0
        self.ended = False
        self.runs = asyncio.Event()
        self._failures = failures

    async def __call__(self) -> None:
        self.begun += 1
        if self.begun <= self._failures:
            raise RuntimeError("a fault")
        self.runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_a_part_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_S", 0.0)
    parts, one, other = Parts(), Part(2), Part()
    parts.start_all({"one": one, "other": other})
    await one.runs.wait()
    assert (one.begun, parts.failures) == (3, {"one": 2, "other": 0})
    await parts.aclose()
    assert (one.ended, other.ended) == (True, True)


async def test_parts_end_by_name_and_may_come_back() -> None:
    parts, one, other = Parts(), Part(), Part()
    parts.start_all({"one": one, "other": other})
    await one.runs.wait()
    await parts.end(["one", "nobody"])
    assert (one.ended, other.ended, parts.failures) == (True, False, {"one": 0, "other": 0})
    again = Part()
    parts.start("one", again)
    await again.runs.wait()
    await parts.end(["one"], forget=True)
    assert parts.failures == {"other": 0}
    await parts.aclose()
