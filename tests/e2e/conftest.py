from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, Stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in Path(item.fspath).parts:
            item.add_marker(pytest.mark.e2e)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_shapes"):
        metafunc.parametrize("shape", ["embedded", "apart"])


@pytest.fixture
def shape() -> str:
    return "embedded"


@pytest.fixture
async def stage(tmp_path: Path, shape: str) -> AsyncIterator[Stage]:
    assert FIXTURES.exists(), "run `make setup`: it makes the fixtures"
    stage = Stage(tmp_path) if shape == "embedded" else ApartStage(tmp_path)
    yield stage
    await stage.aclose()
