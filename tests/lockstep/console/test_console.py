from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from kernel.io.memory_bus import MemoryBus
from lockstep.console import console
from lockstep.console.console import Console, read_console
from relay.blackouts import BlackoutIndex
from relay.io.session_keeper import SessionKeeper
from relay.operators import Operator, Operators, OperatorScope, digest_of
from relay.quota import Quota
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Limit, Order, Wish
from relay.sessions.policies import SessionPolicies
from tests.lockstep.console.rig import ASSETS, KEY, log_in
from tests.lockstep.console.test_map_page import Locator


def make(bus: MemoryBus, keeper: SessionKeeper) -> TestClient:
    operators = Operators([Operator("ops", digest_of(KEY), frozenset(OperatorScope))])
    console = Console(
        ASSETS, operators, Quota(), bus=bus, keeper=keeper, policies=SessionPolicies(), blackouts=BlackoutIndex(),
        locator=Locator(), showings={}, now=lambda: 0.0,
    )  # fmt: skip
    return TestClient(Starlette(routes=console.routes()))


def test_one_comes_to_the_sessions_and_the_page_hears_the_bus() -> None:
    bus = MemoryBus(lambda: 0.0)
    keeper = SessionKeeper(MemoryBook(wall=lambda: 1_000.0), bus, wall=lambda: 1_000.0, now=lambda: 0.0)
    browser = make(bus, keeper)

    async def watch() -> None:
        limit = Limit("event:game", 1, Order.REJECT)
        for session in ("s1", "s2"):
            await keeper.admit(Wish("ann", session, "game", (limit,), 2_000_000, 30_000, {}))
        await asyncio.sleep(0)

    asyncio.run(watch())
    page = log_in(browser).text
    assert 'href="/console/sessions" aria-current="page"' in page
    assert 'data-session="s1"' in page
    # By the usual policy of events the oldest goes first.
    assert "first<br>" in page
    assert "more sessions than are allowed at a time" in page
    assert "No showing" in browser.get("/console/map").text


def test_without_its_libraries_there_is_no_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_console() is not None
    read_console.cache_clear()
    monkeypatch.setattr(console, "ui_folder", lambda: tmp_path)
    with capture_logs() as logs:
        assert read_console() is None
    assert logs[0]["event"] == "console.absent"
    read_console.cache_clear()
