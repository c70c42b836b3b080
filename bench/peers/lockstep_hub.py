"""Ours: the hub behind uvicorn, with its gates, guards and one showing whose segments open as the race says."""

from __future__ import annotations

import sys
from typing import Any

from bench._stage import EVENT, PLAY, Stage, handshake, serve, text
from bench.peers.contract import Obedient, Step
from hub.settings import HubSettings
from kernel.bus import state_signal
from kernel.timeline import StreamState

FIRST_MARK = 10_000_000
FIRST_SEGMENT = 10_000
"""Both so large that no count grows a digit: every message has the same length."""
HOUR_S = 3_600


class LockstepHub(Obedient):
    """The hub, subscribed to by servers: `edge`, plays only."""

    name = "ours"
    module = "bench.peers.lockstep_hub"

    def version(self) -> str:
        """Say how it is set up."""
        return "edge mode, plays only, heartbeats and pings an hour apart"

    def command(self) -> list[str]:
        """Return what runs the server."""
        return [*super().command(), str(self.sockets)]

    def steps(self) -> list[Step]:
        """Authenticate and subscribe with the upgrade, each with a token of its own."""
        sub = {"op": "sub", "mode": "edge", "types": ["play"], "heartbeat_ms": HOUR_S * 1_000}
        frame = text(sub)
        return [Step(tuple(handshake(number) + frame for number in range(self.sockets)), b'"op":"snap"')]

    def publish(self, payloads: list[bytes]) -> None:
        """Open a segment with as many plays in it: it is their number that counts, their bytes are the hub's own."""
        self.tell("publish", len(payloads))


def commands(stage: Stage) -> dict[str, Any]:
    """Return what the server obeys."""
    # A live picture that stands still for two target durations suspends all bets, and says so to everybody.
    state = StreamState(EVENT, HOUR_S, live=True, ended=False, begun=True, last=None)
    stage.bus.signal(state_signal(EVENT), state)
    stage.begin_at(FIRST_MARK, FIRST_SEGMENT)
    stage.segment()

    async def publish(count: int) -> str:
        for number in range(count):
            made = stage.next_offset
            stage.cue(stage.ends_s + number / 10, {**PLAY, "mark": made})
        stage.segment()
        return "done"

    return {"publish": publish}


if __name__ == "__main__":
    serve(
        HubSettings(
            max_subscribers=2 * int(sys.argv[1]), max_heartbeat_ms=HOUR_S * 1_000, ping_interval_s=float(HOUR_S)
        ),
        commands,
    )
