"""Drawings of what was measured: SVG by hand, read on a light page and on a dark one, without colour too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench._results import Row, Spread

WIDTH = 960
LABELS = 470
"""Where the drawing begins, right of its labels."""
RIGHT = WIDTH - 76
LINE = 24
TOP = 64
LABEL_CHARS = 66

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 } .quiet { fill: #57606a }
.grid { stroke: #d0d7de } .axis { stroke: #57606a }
.good { fill: #0969da; stroke: #0969da } .bad { fill: none; stroke: #bc4c00; stroke-width: 2.5 }
.badtext { fill: #bc4c00 }
.curve { fill: none; stroke-width: 2 } .other { stroke-dasharray: 5 4 }
.c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #1a7f37 } .c3 { stroke: #8250df }
.t0 { fill: #0969da } .t1 { fill: #bc4c00 } .t2 { fill: #1a7f37 } .t3 { fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .grid { stroke: #30363d } .axis { stroke: #9198a1 }
  .good { fill: #4493f8; stroke: #4493f8 } .bad { stroke: #f0883e } .badtext { fill: #f0883e }
  .c0 { stroke: #4493f8 } .c1 { stroke: #f0883e } .c2 { stroke: #3fb950 } .c3 { stroke: #ab7df8 }
  .t0 { fill: #4493f8 } .t1 { fill: #f0883e } .t2 { fill: #3fb950 } .t3 { fill: #ab7df8 }
}
"""


def figures(rows: Sequence[Row]) -> str | None:
    """Draw how much of its figure each row uses; None where there is none that tells."""
    shown = [(row, used) for row in rows if (used := row.used) is not None]
    marks = [(row.what, used, row.met is not False, row.figure) for row, used in shown]
    return _ranking("How much of each figure is used (left of the line: met)", "the figure", marks)


def yardsticks(rows: Sequence[Row]) -> str | None:
    """Draw what each row costs beside its yardstick; None where no row has one."""
    shown = [(row, cost) for row in rows if (cost := row.cost) is not None]
    marks = [
        (f"{_short(row.what, 40)} / {_short(row.yardstick_what or 'yardstick', 24)}", cost, True, row.what)
        for row, cost in shown
    ]
    return _ranking("Cost beside the yardstick (left of the line: ours is cheaper)", "as much", marks)


def _ranking(title: str, line: str, marks: Sequence[tuple[str, float, bool, str]]) -> str | None:
    """Draw labelled values on a logarithmic axis, with a line at 1; a dot is good, a ring is not."""
    if not marks:
        return None
    values = [value for _, value, _, _ in marks]
    low, high = math.floor(math.log10(min(*values, 0.5))), math.log10(max(*values, 2.0) * 1.2)
    height = TOP + LINE * len(marks) + 14

    def x(value: float) -> float:
        return LABELS + (RIGHT - LABELS) * (math.log10(value) - low) / (high - low)

    parts = [_text(LABELS, 40, line, "quiet", "middle").replace(f'x="{LABELS}"', f'x="{x(1):.1f}"')]
    for power in range(low, math.floor(high) + 1):
        at = x(10.0**power)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP - 8}" x2="{at:.1f}" y2="{height - 12}"/>')
        if power:
            parts.append(_text(at, 54, f"{10.0**power:g} x", "quiet", "middle"))
    parts.append(f'<line class="axis" x1="{x(1):.1f}" y1="{TOP - 18}" x2="{x(1):.1f}" y2="{height - 12}"/>')
    for number, (label, value, good, note) in enumerate(marks):
        y = TOP + LINE * number + 8
        kind = "good" if good else "bad"
        parts += [
            _text(LABELS - 12, y + 4, _short(label), "", "end", whole=label),
            f'<line class="grid" x1="{LABELS}" y1="{y}" x2="{x(value):.1f}" y2="{y}"/>',
            f'<circle class="{kind}" cx="{x(value):.1f}" cy="{y}" r="5"/>',
            _text(WIDTH - 12, y + 4, f"{value:.2g} x", "" if good else "badtext", "end", whole=note),
        ]
    return _svg(title, height, parts)


def spreads(shown: Sequence[Spread]) -> str | None:
    """Draw how values are spread, ours solid and the yardstick's dashed; None where there is nothing to draw."""
    if not shown:
        return None
    left, right, top, bottom = 64, WIDTH - 280, TOP, 330
    curves = [
        (f"{spread.of}{', yardstick' if dashed else ''}", spread.percent, values, number, dashed)
        for number, spread in enumerate(shown[:4])
        for dashed, values in ((False, spread.ours), (True, spread.yardstick))
        if values
    ]
    highest = _round_up(max(max(values) for _, _, values, _, _ in curves))

    def x(percent: float) -> float:
        # Each nine takes as much room; the largest of all stands where the next nine would.
        nines = -math.log10(1 - min(percent, 99.99) / 100)
        return left + (right - left) * nines / 4

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / highest

    parts = []
    for share in range(5):
        value = highest * share / 4
        parts += [
            f'<line class="grid" x1="{left}" y1="{y(value):.1f}" x2="{right}" y2="{y(value):.1f}"/>',
            _text(left - 8, y(value) + 4, f"{value:g} ms", "quiet", "end"),
        ]
    parts += [
        _text(x(percent), bottom + 20, label, "quiet", "middle")
        for percent, label in ((0, "p0"), (50, "p50"), (90, "p90"), (99, "p99"), (99.9, "p99.9"), (99.99, "all"))
    ]
    labelled = bottom + 100.0
    for label, percents, values, number, dashed in sorted(curves, key=lambda curve: curve[2][-1]):
        points = " ".join(f"{x(percent):.1f},{y(value):.1f}" for percent, value in zip(percents, values, strict=True))
        kind = f"curve c{number}{' other' * dashed}"
        labelled = min(y(values[-1]) + 4, labelled - 16)
        parts += [
            f'<polyline class="{kind}" points="{points}"/>',
            _text(right + 10, labelled, _short(label, 36), f"t{number}", "start", whole=label),
        ]
    return _svg("How late, by percentile (ours solid, yardstick dashed)", bottom + 36, parts)


def _round_up(value: float) -> float:
    """Return the next number of one or two digits that four lines divide well."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _short(label: str, chars: int = LABEL_CHARS) -> str:
    """Leave out the middle: what is said last (p50, p99) tells rows apart."""
    if len(label) <= chars:
        return label
    tail = chars // 3
    return f"{label[: chars - tail - 1].rstrip()}\u2026{label[-tail:].lstrip()}"


def _text(x: float, y: float, text: str, kind: str, anchor: str, *, whole: str = "") -> str:
    title = f"<title>{escape(whole)}</title>" if whole and whole != text else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{title}{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" width="{WIDTH}">'
    lines = [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", _text(12, 20, title, "title", "start")]
    return "\n".join([*lines, *parts, "</svg>", ""])
