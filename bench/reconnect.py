"""10,000 clients come back at once, 50 missed cues each: `python -m bench.reconnect`.

Every client connects anew, sends its token and the cursor that it had, and is done when it has been sent the last of
the cues that it missed. The log is in the hub's memory: there is no store that could be read. The yardstick, in the
same run, is the handshakes alone: the same clients, done at `hello`. Each has a token of its own, which this server
has never seen: as if it stood in for another.
"""

from __future__ import annotations

import sys
from typing import Any

from bench._stage import PLAY, Process, Stage, hub_process, machine, report, serve
from hub.cursor import Cursor, cursor_text
from hub.settings import HubSettings
from hub.subscriber import Filter, wish_mark
from kernel.timeline import MediaTime

CLIENTS = 10_000
MISSED = 50
FIGURE_S = 6.0
FILTER = Filter(None, frozenset())


def commands(stage: Stage) -> dict[str, Any]:
    """Play a while before anybody comes back."""

    async def play(missed: int) -> str:
        ends = stage.segment()
        for number in range(missed):
            stage.cue(ends - 1.5 + number / missed, PLAY)
        was = Cursor(-1, MediaTime(0, stage.entry(ends - 1.6, {}).due.pts), -1)  # type: ignore[union-attr]
        return cursor_text("bench", was, wish_mark("edge", FILTER))

    async def counts() -> dict[str, int]:
        return dict(stage.hub.counts())

    return {"play": play, "counts": counts}


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/reconnect.json`."""
    hub = hub_process("bench.reconnect")
    crowd, strangers = Process("bench._crowd", str(hub.port), "1"), Process("bench._crowd", str(hub.port), "2")
    try:
        cur = hub.ask("play", MISSED)
        for each in (crowd, strangers):
            each.line()
        wish = {"mode": "edge", "heartbeat_ms": 2_000}
        # Warm: what is loaded and compiled once is nobody's.
        strangers.ask("join", 200, [], '"op":"hello"')
        strangers.ask("leave")
        handshakes = strangers.ask("join", CLIENTS, [], '"op":"hello"')["seconds"]
        strangers.ask("leave")
        back = crowd.ask("join", CLIENTS, [wish | {"cur": cur}], f'"o":{MISSED - 1},')["seconds"]
        counts = hub.ask("counts")
        assert counts["cues_sent"] >= CLIENTS * MISSED, counts
    finally:
        for each in (crowd, strangers, hub):
            each.end()
    return [
        {
            "what": f"{CLIENTS} clients back with {MISSED} missed cues each, no store read",
            "unit": "s",
            "ours": round(back, 2),
            "figure": f"<= {FIGURE_S} s",
            "met": back <= FIGURE_S,
            "yardstick": round(handshakes, 2),
            "yardstick_what": "the handshakes alone",
            "ratio": round(back / handshakes, 2),
            **machine(),
        }
    ]


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    report("reconnect", run())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(HubSettings(max_subscribers=2 * CLIENTS), commands)
    else:
        main()
