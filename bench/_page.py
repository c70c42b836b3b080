"""Make docs/performance.md and its drawings of what is kept: `python -m bench report [NAME...] [--all]`.

A NAME is a bench whose last run is taken up from bench/out into bench/results before; `--all` takes up all that are
there. Without either the page is made anew of what is kept. The page's own words, outside the marks, stay as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import _plots as plots
from bench._results import FIRST, OUT, RESULTS, Row, kept_rows, take_up
from bench.peers import page as peers

DOCS = Path(__file__).parents[1] / "docs"
BEGINS, ENDS = "<!-- made by python -m bench report -->", "<!-- end of what python -m bench report makes -->"
HEAD = "| what | ours | yardstick | ratio | figure | | measured | command |\n|---|---|---|---|---|---|---|---|"

ELSEWHERE = frozenset({"peers"})
"""Benches whose rows stand in a section of their own."""


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table of Markdown; a machine is a letter, explained by `machines`."""
    letters = _letters(rows)
    return "\n".join([HEAD, *(_line(row, letters[row.machine]) for row in rows)])


def machines(rows: Sequence[Row]) -> str:
    """Return which letter is which machine."""
    return "\n".join(f"* {letter}: {machine or 'unknown'}" for machine, letter in _letters(rows).items())


def missing(rows: Sequence[Row]) -> list[str]:
    """Return the benches with figures of which nothing is kept."""
    kept = {row.bench for row in rows}
    return [name for name in FIRST if name not in kept]


def section(rows: Sequence[Row], drawn: Sequence[str]) -> str:
    """Return all that is made, without its marks.

    Args:
        rows: what is kept.
        drawn: the names of the drawings in docs/plots.
    """
    here = [row for row in rows if row.bench not in ELSEWHERE]
    judged, others = [row for row in here if row.figure], [row for row in here if not row.figure]
    met = sum(row.met is True for row in judged)
    parts = [f"{met} of {len(judged)} figures are met."]
    parts += [f"![{TITLES[name]}](plots/{name}.svg)" for name in drawn]
    parts.append(table(judged))
    if others:
        parts += ["Without a figure:", table(others)]
    parts.append(f"Measured on, with the load of the minute before its end:\n\n{machines(here)}")
    if absent := missing(rows):
        commands = ", ".join(f"`python -m bench {name}`" for name in absent)
        parts.append(f"Of these no result is kept yet: {commands}.")
    return "\n\n".join(parts)


TITLES = {
    "figures": "How much of each figure is used",
    "yardsticks": "Cost beside the yardsticks",
    "spreads": "How late cues are, by percentile",
}


def draw(rows: Sequence[Row], folder: Path) -> list[str]:
    """Draw all there is to draw, and return the names; a drawing that has become empty goes."""
    made = {
        "figures": plots.figures(rows),
        "yardsticks": plots.yardsticks(rows),
        "spreads": plots.spreads([row.spread for row in rows if row.spread is not None]),
    }
    folder.mkdir(exist_ok=True)
    for name, text in made.items():
        path = folder / f"{name}.svg"
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, "utf-8")
    return [name for name, text in made.items() if text is not None]


def write(rows: Sequence[Row], docs: Path = DOCS) -> None:
    """Put what is made between the page's marks, and the drawings beside it.

    Raises:
        SystemExit: the page has no marks.
    """
    page = docs / "performance.md"
    before, begins, rest = page.read_text("utf-8").partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise SystemExit(f"{page} has no lines {BEGINS} and {ENDS}: what is made goes between them")
    made = section(rows, draw(rows, docs / "plots"))
    page.write_text(f"{before}{BEGINS}\n\n{made}\n\n{ENDS}{after}", "utf-8")


def main(arguments: Sequence[str]) -> None:
    """Take up what is named, and make the page."""
    names = [name for name in arguments if not name.startswith("-")]
    if "--all" in arguments:
        names = sorted(path.stem for path in OUT.glob("*.json"))
    take_up(names)
    rows = kept_rows()
    write(rows)
    kept = RESULTS / "peers.json"
    if kept.exists():
        peers.write(json.loads(kept.read_text("utf-8")), DOCS)
    for name in names:
        print(f"{name}: kept in {RESULTS.name}/{name}.json")
    print(f"docs/performance.md: {len(rows)} rows")


def _letters(rows: Sequence[Row]) -> dict[str, str]:
    known = dict.fromkeys(row.machine for row in rows)
    return {machine: chr(ord("A") + number) for number, machine in enumerate(known)}


def _line(row: Row, letter: str) -> str:
    beside = "" if row.yardstick is None else _value(row.yardstick, row.unit)
    if row.yardstick_what:
        beside = f"{row.yardstick_what}: {beside}" if beside else row.yardstick_what
    when = ", ".join(part for part in (letter, row.date[:10], row.load and f"load {row.load}") if part)
    verdict = {True: "met", False: "**missed**", None: ""}[row.met]
    cells = (
        row.what, _value(row.ours, row.unit), beside, "" if row.ratio is None else f"{row.ratio:.3g}", row.figure,
        verdict, when, f"`{row.command}`",
    )  # fmt: skip
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _value(value: object, unit: str) -> str:
    shown = f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return f"{shown} {unit}".strip()


if __name__ == "__main__":
    main(sys.argv[1:])
