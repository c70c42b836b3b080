"""All measures there are, and the tables of docs/metrics.md: `python -m lockstep.measures.catalogue` prints them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lockstep.measures import feeds, hub, leaks, place, process, relay, sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lockstep.measures.measure import Measure

ALL: Mapping[str, tuple[Measure, ...]] = {
    "Every process": (*process.MEASURES, *place.MEASURES),
    "Feeds: `serve`, `ingest`": feeds.MEASURES,
    "Relay: `serve`, `relay`": (*relay.MEASURES, *leaks.MEASURES),
    "Hub: `serve`, `hub`": hub.MEASURES,
    "Sessions: every process": sessions.MEASURES,
}
"""By where they are printed."""


def tables() -> str:
    """Return all measures as Markdown."""
    parts = []
    for where, measures in ALL.items():
        rows = [
            f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.text} |"
            for one in measures
        ]
        parts.append("\n".join([f"## {where}", "", "| metric | type | labels | |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(tables())
