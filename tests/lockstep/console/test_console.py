from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from lockstep.console import console
from lockstep.console.console import Console, read_console
from relay.blackouts import BlackoutIndex
from relay.operators import Operator, Operators, OperatorScope, digest_of
from relay.quota import Quota
from tests.lockstep.console.rig import ASSETS, KEY, log_in
from tests.lockstep.console.test_map_page import Locator


def make(**more: Any) -> Console:
    operators = Operators([Operator("ops", digest_of(KEY), frozenset(OperatorScope))])
    return Console(
        ASSETS, operators, Quota(), blackouts=BlackoutIndex(), locator=Locator(), showings={}, now=lambda: 0.0, **more
    )


def test_one_logs_in_and_comes_to_the_first_page() -> None:
    browser = TestClient(Starlette(routes=make().routes()))
    page = log_in(browser)
    assert page.status_code == 200
    assert 'aria-current="page"' in page.text
    assert "No showing" in browser.get("/console/map").text


def test_without_its_libraries_there_is_no_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_console() is not None
    read_console.cache_clear()
    monkeypatch.setattr(console, "ui_folder", lambda: tmp_path)
    with capture_logs() as logs:
        assert read_console() is None
    assert logs[0]["event"] == "console.absent"
    read_console.cache_clear()
