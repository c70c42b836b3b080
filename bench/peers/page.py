"""What `docs/performance.md` says of the peers, made of the rows of `out/peers.json`: a table, a list, a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.peers.accounts import AT_ONCE

if TYPE_CHECKING:
    from pathlib import Path

BEGINS, ENDS = "<!-- made by python -m bench peers --docs -->", "<!-- until here -->"
HEAD = (
    f"| server | CPU per delivery, us | ours / it | {AT_ONCE} at once, us | ours / it | median socket, ms "
    "| last socket, ms | memory a socket, bytes | bytes on the wire |"
)
WIDTH, LINE, LEFT = 760, 38, 170
STYLE = (
    "text { font: 13px sans-serif; fill: #1f2937 } .small { font-size: 11px } .ours { fill: #1d4ed8 } "
    ".other { fill: #94a3b8 } .pale { opacity: .55 } "
    "@media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .ours { fill: #60a5fa } .other { fill: #64748b } }"
)


def accounts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all accounts, ours first, each with the ratios of ours to it."""
    own = {**rows[0]["accounts"]["ours"], "ratio": 1.0, "ratio_at_once": 1.0}
    kept = ("ratio", "ratio_at_once")
    return [own, *({**row["accounts"]["yardstick"], **{name: row[name] for name in kept}} for row in rows)]


def table(rows: list[dict[str, Any]]) -> str:
    """Return all accounts as a table of Markdown."""
    lines = [HEAD, "|---" * 9 + "|"]
    lines += [
        f"| {one['name']} | {one['cpu_us']:.1f} | {one['ratio']:.2f} | {one['at_once_cpu_us']:.1f} "
        f"| {one['ratio_at_once']:.2f} | {one['median_socket_ms']:.1f} | {one['last_socket_ms']:.1f} "
        f"| {one['bytes_per_socket']:,} | {one['wire_bytes']} |"
        for one in accounts(rows)
    ]
    return "\n".join(lines)


def setups(rows: list[dict[str, Any]]) -> str:
    """Return how each is set up, and where and when that was measured."""
    first = rows[0]
    lines = [f"* {one['name']}: {one['setup']}." for one in accounts(rows)]
    where = (
        f"{first['sockets']:,} sockets each, {first['payload_bytes']} bytes, receivers that pause for "
        f"{first['pause_ms']} ms; {first['machine']}, load {first['load']}, {first['date']}."
    )
    return "\n".join([*lines, "", where])


def drawing(rows: list[dict[str, Any]]) -> str:
    """Return both costs of each as bars: an SVG that is read on a light page and on a dark one."""
    shown = accounts(rows)
    most = max(max(one["cpu_us"], one["at_once_cpu_us"]) for one in shown)
    scale = (WIDTH - LEFT - 60) / most
    parts = []
    for number, one in enumerate(shown):
        top, kind = 28 + number * LINE, "other" if number else "ours"
        parts.append(f'<text x="{LEFT - 8}" y="{top + 18}" text-anchor="end">{one["name"]}</text>')
        for at, size, name, pale in ((top, 14, "cpu_us", ""), (top + 16, 10, "at_once_cpu_us", " pale")):
            length = one[name] * scale
            parts += [
                f'<rect class="{kind}{pale}" x="{LEFT}" y="{at}" width="{length:.1f}" height="{size}"/>',
                f'<text class="small" x="{LEFT + length + 6:.1f}" y="{at + size - 1}">{one[name]:.1f}</text>',
            ]
    height = 36 + len(shown) * LINE
    title = f"CPU per delivery, us: one message (thick), {AT_ONCE} at once (thin)"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{title}</title><style>{STYLE}</style>",
            f'<text x="{LEFT}" y="16">{title}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def write(rows: list[dict[str, Any]], docs: Path) -> None:
    """Put the table and the list into the page, between its marks, and the drawing beside it.

    Raises:
        ValueError: the page has no such marks.
    """
    page = docs / "performance.md"
    before, begins, rest = page.read_text("utf-8").partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise ValueError(f"{page.name} needs the lines {BEGINS} and {ENDS}: what is measured goes between them")
    page.write_text(f"{before}{BEGINS}\n\n{table(rows)}\n\n{setups(rows)}\n\n{ENDS}{after}", "utf-8")
    (docs / "peers.svg").write_text(drawing(rows), "utf-8")
