"""docs/performance.md is what `python -m bench report` makes of what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench._page import BEGINS, DOCS, ENDS, TITLES, draw, missing, section, table, write
from bench._results import Row, kept_rows, rows_of


def rows(**changes: Any) -> list[Row]:
    told = {
        "what": "a | b", "ours": 12_345, "unit": "us", "yardstick": 7.5, "yardstick_what": "nginx", "ratio": 0.123456,
        "figure": "<= 1 x", "met": True, "machine": "m", "load": "0.4", "date": "2026-11-26T20:00:00+00:00",
    }  # fmt: skip
    return rows_of("relay", {**told, **changes})


def test_the_page_is_what_is_made_of_what_is_kept(tmp_path: Path) -> None:
    kept = kept_rows()
    assert kept
    drawn = draw(kept, tmp_path)
    text = (DOCS / "performance.md").read_text("utf-8")
    made = text.partition(BEGINS)[2].partition(ENDS)[0].strip()
    assert made == section(kept, drawn), "run `python -m bench report`"
    for name in drawn:
        assert (tmp_path / f"{name}.svg").read_text("utf-8") == (DOCS / "plots" / f"{name}.svg").read_text("utf-8")
    assert {path.stem for path in (DOCS / "plots").glob("*.svg")} & set(TITLES) == set(drawn)


def test_a_row_is_a_line() -> None:
    line = table(rows()).splitlines()[-1]
    assert line == (
        r"| a \| b | 12,345 us | nginx: 7.5 us | 0.123 | <= 1 x | met | A, 2026-11-26, load 0.4 "
        "| `python -m bench relay` |"
    )
    assert "| **missed** |" in table(rows(met=False))
    line = table(rows_of("x", {"what": "w", "ours": "all"})).splitlines()[-1]
    assert line == "| w | all |  |  |  |  | A | `python -m bench x` |"


def test_machines_are_told_apart() -> None:
    text = section([*rows(), *rows(machine="n")], [])
    assert "* A: m\n* B: n" in text
    assert "2 of 2 figures are met." in text


def test_what_has_no_figure_stands_by_itself_and_peers_elsewhere() -> None:
    peers = rows_of("peers", {"what": "beside nchan", "ours": 1})
    text = section([*rows(), *rows_of("relay", {"what": "no figure", "ours": 1}), *peers], [])
    assert text.index("| a ") < text.index("Without a figure:") < text.index("no figure")
    assert "nchan" not in text


def test_what_was_not_measured_is_said() -> None:
    assert "relay" not in missing(rows())
    assert "fanout" in missing(rows())
    assert "`python -m bench fanout`" in section(rows(), [])


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Mine\n\n{BEGINS}\nold\n{ENDS}\n\nmine, too\n", "utf-8")
    stale = tmp_path / "plots"
    stale.mkdir()
    (stale / "spreads.svg").write_text("of a former run", "utf-8")
    write(rows(), tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("# Mine\n\n")
    assert text.endswith("\n\nmine, too\n")
    assert "old" not in text
    assert {path.name for path in stale.iterdir()} == {"figures.svg", "yardsticks.svg"}
    page.write_text("no marks", "utf-8")
    with pytest.raises(SystemExit, match="has no lines"):
        write(rows(), tmp_path)
