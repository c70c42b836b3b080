"""What was taken down of each peer, and ours beside it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from bench._stage import machine

SOCKETS = 2_000
"""What the figures are for: with fewer, what a cue costs however many get it weighs more."""
AT_ONCE = 10
"""As many cues as one flush has in `bench.fanout`."""


@dataclass(frozen=True, slots=True)
class Account:
    """A peer's account.

    Args:
        name: of the peer.
        setup: its version, and how it is set up.
        figure: what ours is to be beside it, if the design says so.
        single_us: processor time of a delivery, round by round, in microseconds.
        at_once_us: the same for messages that are published at once.
        median_ms: when the median socket had a message after it was published, in ms.
        last_ms: when the last one had.
        bytes_per_socket: resident memory that came with the sockets.
        wire_bytes: what a socket read for one message.
    """

    name: str
    setup: str
    figure: str | None
    single_us: tuple[float, ...]
    at_once_us: tuple[float, ...]
    median_ms: float
    last_ms: float
    bytes_per_socket: float
    wire_bytes: float

    def told(self) -> dict[str, Any]:
        """Return it as it stands in the JSON."""
        return {
            "name": self.name,
            "setup": self.setup,
            "cpu_us": round(statistics.median(self.single_us), 2),
            "cpu_us_rounds": [round(one, 2) for one in self.single_us],
            "at_once_cpu_us": round(statistics.median(self.at_once_us), 2),
            "at_once_cpu_us_rounds": [round(one, 2) for one in self.at_once_us],
            "median_socket_ms": round(self.median_ms, 2),
            "last_socket_ms": round(self.last_ms, 2),
            "bytes_per_socket": round(self.bytes_per_socket),
            "wire_bytes": round(self.wire_bytes),
        }


def ratios(ours: tuple[float, ...], theirs: tuple[float, ...]) -> list[float]:
    """Return ours beside theirs, round by round."""
    return [round(one / other, 3) for one, other in zip(ours, theirs, strict=True)]


def results(accounts: list[Account], sockets: int, pause_ms: int, payload_bytes: int) -> list[dict[str, Any]]:
    """Return what is written to `out/peers.json`: a row for each peer, with the first account beside it."""
    ours, *others = accounts
    rows = []
    for other in sorted(others, key=lambda one: statistics.median(one.single_us)):
        single = ratios(ours.single_us, other.single_us)
        row = {
            "what": f"fan-out of {payload_bytes} bytes to {sockets} live sockets, CPU per delivery",
            "unit": "us",
            "ours": ours.told()["cpu_us"],
            "yardstick": other.told()["cpu_us"],
            "yardstick_what": other.name,
            "ratio": round(statistics.median(single), 3),
            "ratio_rounds": single,
            "ratio_at_once": round(statistics.median(ratios(ours.at_once_us, other.at_once_us)), 3),
            "accounts": {"ours": ours.told(), "yardstick": other.told()},
            "sockets": sockets,
            "payload_bytes": payload_bytes,
            "pause_ms": pause_ms,
            **machine(),
        }
        if other.figure is not None and sockets == SOCKETS:
            row |= {"figure": other.figure, "met": statistics.median(single) < 1}
        rows.append(row)
    return rows
