from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.stage import FIXTURES, Stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in Path(item.fspath).parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    assert FIXTURES.exists(), "run `make setup`: it makes the fixtures"
    stage = Stage(tmp_path)
    yield stage
    await stage.aclose()
