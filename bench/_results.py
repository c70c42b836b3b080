"""What was measured and is kept: the JSON of `bench/results`, row by row, whichever bench wrote it.

A bench writes a row or a list of them. A row has `what`, `ours` and `unit`; most have `figure` and `met`, and
`yardstick`, `yardstick_what` and `ratio` (ours by the yardstick's); `machine`, `load` and `date` say where and when,
and `spread`, if it is there, how the values are spread. Whatever else stands there is the bench's own affair.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

OUT = Path(__file__).with_name("out")
RESULTS = Path(__file__).with_name("results")

FIRST = (
    "fanout", "sockets", "reconnect", "tokens", "relay", "timing", "readers", "beside", "latency", "vendor", "webhooks",
    "redis", "revocation", "slowloris", "playheads",
)  # fmt: skip
"""In the order of the design's figures; other benches come behind, by name."""

_FIGURE = re.compile(r"(<=|>=)\s*(\d[\d,.]*)\s*(\w*)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_BYTES = {"bytes": 1, "KiB": 1 << 10, "KB": 1_000, "MB": 1_000_000, "MiB": 1 << 20}


@dataclass(frozen=True)
class Spread:
    """How values are spread, at some percentiles; both in the row's unit."""

    of: str
    percent: tuple[float, ...]
    ours: tuple[float, ...]
    yardstick: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One thing that was measured."""

    bench: str
    what: str
    ours: object
    unit: str
    yardstick: object
    yardstick_what: str
    ratio: float | None
    figure: str
    met: bool | None
    machine: str
    load: str
    date: str
    command: str
    spread: Spread | None

    @property
    def used(self) -> float | None:
        """Return how much of its figure is used: 1 is just met, less is better; None where it is not so simple."""
        found = _FIGURE.search(self.figure)
        if found is None or self.met is None:
            return None
        limit = float(found[2].replace(",", "").rstrip("."))
        value = self.ratio if found[3] == "x" else _converted(self.ours, self.unit, found[3])
        if value is None or value <= 0 or limit <= 0:
            return None
        used = value / limit if found[1] == "<=" else limit / value
        # A figure may ask for more than its number; and what is printed is rounded.
        return used if (used <= 1) == self.met or abs(used - 1) < 0.01 else None

    @property
    def cost(self) -> float | None:
        """Return what it costs beside its yardstick, where less is better whatever is counted."""
        if self.ratio is None or self.ratio <= 0:
            return None
        return 1 / self.ratio if self.figure.lstrip().startswith(">=") or "a second" in self.unit else self.ratio


def rows_of(bench: str, told: object) -> list[Row]:
    """Return the rows of one bench's JSON; what has neither `what` nor `ours` is none."""
    each = told if isinstance(told, list) else [told]
    return [_row(bench, one) for one in each if isinstance(one, dict) and "what" in one and "ours" in one]


def kept_rows(folder: Path = RESULTS) -> list[Row]:
    """Return all that is kept, in the order in which it is shown."""
    names = sorted((path.stem for path in folder.glob("*.json")), key=lambda name: (_place(name), name))
    return [row for name in names for row in rows_of(name, json.loads((folder / f"{name}.json").read_text("utf-8")))]


def take_up(names: list[str], *, out: Path = OUT, results: Path = RESULTS) -> None:
    """Keep what some benches measured last.

    Raises:
        SystemExit: one of them has measured nothing.
    """
    for name in names:
        path = out / f"{name}.json"
        if not path.exists():
            raise SystemExit(f"there is no {path.name} in {out.name}/: run `python -m bench {name}` first")
        results.mkdir(exist_ok=True)
        shutil.copy(path, results / path.name)


def _place(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)


def _row(bench: str, told: dict[str, Any]) -> Row:
    unit, figure, ratio = str(told.get("unit", "")), told.get("figure", ""), told.get("ratio")
    return Row(
        bench=bench,
        what=str(told["what"]),
        ours=told["ours"],
        unit=unit,
        yardstick=told.get("yardstick"),
        yardstick_what=str(told.get("yardstick_what", "")),
        ratio=float(ratio) if _is_number(ratio) else None,
        figure=f"<= {figure:g} {unit}" if _is_number(figure) else str(figure),
        met=bool(told["met"]) if "met" in told else None,
        machine=str(told.get("machine", "")),
        load=str(told.get("load", "")),
        date=str(told.get("date", "")),
        command=str(told.get("command", f"python -m bench {bench}")),
        spread=_spread(told.get("spread")),
    )


def _spread(told: object) -> Spread | None:
    if not isinstance(told, dict):
        return None
    lists = [tuple(map(float, told.get(name, ()))) for name in ("percent", "ours", "yardstick")]
    percent, ours, yardstick = lists
    if not percent or len(ours) != len(percent) or len(yardstick) not in (0, len(percent)):
        return None
    return Spread(str(told.get("of", "")), percent, ours, yardstick)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _converted(value: object, unit: str, wanted: str) -> float | None:
    """Return a number in the unit that a figure names, None where they have nothing to do with each other."""
    if not isinstance(value, int | float):
        return None
    own = unit.split(" ", 1)[0]
    if own == wanted or not wanted:
        return float(value)
    for units in (_SECONDS, _BYTES):
        if own in units and wanted in units:
            return float(value) * units[own] / units[wanted]
    return None
