from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench._results import Spread, kept_rows, rows_of, take_up

ROW = {
    "what": "fan-out", "ours": 8.5, "unit": "us of CPU", "yardstick": 7.9, "yardstick_what": "write(2)", "ratio": 1.076,
    "figure": "<= 1.15 x the yardstick", "met": True, "machine": "m, 2 cores", "load": "0.4", "date": "2026-11-26",
    "rounds": 60,
}  # fmt: skip


def test_a_bench_may_write_a_row_or_many() -> None:
    assert [row.what for row in rows_of("fanout", ROW)] == ["fan-out"]
    assert len(rows_of("fanout", [ROW, ROW])) == 2
    # What is no row is not shown, and fails nobody.
    assert rows_of("fanout", [{"notes": 3}, "text", None, {"what": "half a row"}]) == []
    assert rows_of("fanout", "nothing") == []


def test_a_row_says_how_it_was_measured() -> None:
    (row,) = rows_of("fanout", ROW)
    assert row.command == "python -m bench fanout"
    assert (row.machine, row.load, row.date) == ("m, 2 cores", "0.4", "2026-11-26")
    (row,) = rows_of("frame", {"what": "frames", "ours": "200 of 200", "command": "pytest x"})
    assert (row.command, row.ours, row.figure, row.met, row.ratio) == ("pytest x", "200 of 200", "", None, None)


@pytest.mark.parametrize(
    ("told", "used"),
    [
        # By its ratio, or by its number
        ({}, 1.076 / 1.15),
        ({"figure": "p99 <= 25 ms", "unit": "ms", "ours": 50.0, "met": False}, 2.0),
        ({"figure": "p50 <= 5 ms at 1,000 Mbit/s, none early", "unit": "ms", "ours": 10.0, "met": False}, 2.0),
        ({"figure": "<= 1,000 us", "unit": "us", "ours": 500}, 0.5),
        # In other units
        ({"figure": "<= 8 KiB", "unit": "bytes", "ours": 4096}, 0.5),
        ({"figure": "<= 1 s", "unit": "ms", "ours": 250.0}, 0.25),
        # Where more is better
        ({"figure": ">= 0.7 x", "ratio": 1.4}, 0.5),
        # A figure that is a number is a limit in the row's unit
        ({"figure": 4.0, "unit": "ms", "ours": 2.0}, 0.5),
        # Not so simple: another unit, no number, and a verdict that the number alone does not give
        ({"figure": "<= 8 KiB", "unit": "ms", "ours": 1}, None),
        ({"figure": "all closed within 12 s"}, None),
        ({"figure": "<= that + 5 ms", "unit": "ms"}, None),
        ({"figure": "<= 25 ms, none early", "unit": "ms", "ours": 5.0, "met": False}, None),
        ({"figure": "", "met": True}, None),
    ],
)
def test_how_much_of_a_figure_is_used(told: dict[str, Any], used: float | None) -> None:
    (row,) = rows_of("fanout", {**ROW, **told})
    assert row.used == (None if used is None else pytest.approx(used))


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ({}, 1.076),
        ({"figure": ">= 0.7 x", "unit": "answers a second", "ratio": 0.5}, 2.0),
        ({"figure": "", "unit": "answers a second", "ratio": 0.5}, 2.0),
        ({"ratio": "-"}, None),
        ({"ratio": None}, None),
    ],
)
def test_what_it_costs_beside_its_yardstick(told: dict[str, Any], cost: float | None) -> None:
    (row,) = rows_of("fanout", {**ROW, **told})
    assert row.cost == (None if cost is None else pytest.approx(cost))


def test_a_spread_is_taken_if_it_is_whole() -> None:
    told = {"of": "cues", "percent": [50, 100], "ours": [1, 2], "yardstick": [1, 1.5]}
    (row,) = rows_of("x", {**ROW, "spread": told})
    assert row.spread == Spread("cues", (50, 100), (1, 2), (1, 1.5))
    for broken in ({**told, "ours": [1]}, {**told, "yardstick": [1]}, {"of": "cues"}, [1, 2]):
        (row,) = rows_of("x", {**ROW, "spread": broken})
        assert row.spread is None
    (row,) = rows_of("x", {**ROW, "spread": {**told, "yardstick": []}})
    assert row.spread is not None


def test_what_is_kept_comes_in_the_designs_order(tmp_path: Path) -> None:
    for name in ("zebra", "tokens", "fanout", "apes"):
        (tmp_path / f"{name}.json").write_text(json.dumps(ROW), "utf-8")
    assert [row.bench for row in kept_rows(tmp_path)] == ["fanout", "tokens", "apes", "zebra"]


def test_the_last_run_is_taken_up(tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "results"
    out.mkdir()
    (out / "fanout.json").write_text(json.dumps(ROW), "utf-8")
    take_up(["fanout"], out=out, results=results)
    assert [row.bench for row in kept_rows(results)] == ["fanout"]
    with pytest.raises(SystemExit, match="run `python -m bench tokens` first"):
        take_up(["tokens"], out=out, results=results)
