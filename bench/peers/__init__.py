"""Fan-out beside peers: `python -m bench peers [--sockets N] [--rounds N] [--only NAME,NAME]`.

One server after the other sends the same bytes to as many sockets, again and again in turns; `race.py` tells how.
"""

from __future__ import annotations


def main(options: list[str] | None = None) -> None:
    """Measure and report."""
    # Servers of peers are modules of this package too: they load nothing of the race, nor of the hub.
    from bench.peers.race import main as race

    race(options or [])
