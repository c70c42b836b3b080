"""docs/metrics.md says what there is to measure, in the words of the measures themselves."""

from __future__ import annotations

from pathlib import Path

from lockstep.measures.catalogue import ALL, tables

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_has_every_measure() -> None:
    text = PAGE.read_text("utf-8")
    assert tables() in text, "put what `python -m lockstep.measures.catalogue` prints into docs/metrics.md"


def test_a_row_says_what_a_measure_is() -> None:
    rows = [line for line in tables().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(measures) for measures in ALL.values())
    assert "| `lockstep_hub_cut_total` | counter |  |" in "\n".join(rows)
