"""Each source file has its test file, at the same place below tests/."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("kernel", "feeds", "hub", "relay", "lockstep")
SOURCES = [
    path.relative_to(ROOT)
    for house in HOUSES
    for path in sorted((ROOT / house).rglob("*.py"))
    if path.name != "__init__.py"
]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_source_file_has_its_twin(source: Path) -> None:
    twin = ROOT / "tests" / source.parent / f"test_{source.name}"
    assert twin.exists(), f"{source} has no {twin.relative_to(ROOT)}"
    assert "def test_" in twin.read_text("utf-8")


BEYOND_ONE_FILE = {
    "tests/feeds/test_utc_simulated.py",
    "tests/relay/io/test_hls_seats.py",
    "tests/relay/sessions/test_interleavings.py",
    "tests/relay/test_random_origins.py",
    "tests/relay/test_spliced_sound.py",
}
"""Tests of what several files do together."""


def test_no_twin_outlives_its_source() -> None:
    for house in HOUSES:
        for twin in (ROOT / "tests" / house).rglob("test_*.py"):
            source = ROOT / twin.parent.relative_to(ROOT / "tests") / twin.name.removeprefix("test_")
            name = str(twin.relative_to(ROOT))
            assert source.exists() or name in BEYOND_ONE_FILE, f"{name} tests nothing that is there"
