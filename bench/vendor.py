"""A suspend through the vendors' door, while prices pour in through it: `python -m bench.vendor`.

A real `lockstep serve` follows a rehearsal origin. A vendor's process posts signed batches of 200 prices of 500
markets on two connections, and suspends of a market on another: they are believed, decoded, put on disk, numbered,
sealed, and sent to 2,000 sockets, each of which follows ten markets as they are at the edge, conflated at 250 ms. The
delay is that from the first byte which the vendor hands to its kernel to the last of the 2,000 receivers' kernels.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench._proc import cpu_s, rss_bytes
from bench._stage import EVENT, KEYS, OUT, Process, machine, percentile, report
from bench.latency import WITNESSES
from feeds.standard_webhooks import new_secret, parse_secret

ROOT = Path(__file__).parents[1]
SOCKETS = 2_000
MARKETS, MARKETS_EACH = 500, 10
SUSPENDS = 100
PAUSE_S = 0.17
WARM_UP_S = 6.0
RATES = (10_000, 5_000, 2_000)
"""From the figure's downwards, until one holds."""
FIGURE_MS = 100.0


class Deployment:
    """`lockstep serve` with its origin, the vendor's process and the crowd."""

    def __init__(self, folder: Path) -> None:
        data_dir, secret = folder / "data", new_secret(os.urandom(24))
        data_dir.mkdir()
        keys = data_dir / "keys.toml"
        keys.write_text(
            f'[signing]\nbench = "{base64.b64encode(KEYS["bench"]).decode()}"\n[webhooks]\nodds = "{secret}"\n'
        )
        keys.chmod(0o600)
        self.log = (folder / "log").open("wb")
        self._parts: list[subprocess.Popen[Any]] = []
        origin = self._start("origin", str(ROOT / "fixtures" / "out" / "plain"), "--port", "0", "--loop")
        assert origin.stdout is not None  # it is a pipe
        url = origin.stdout.readline().decode().strip()
        config = folder / "lockstep.toml"
        config.write_text(
            f'port = 0\nlog_level = "warning"\ndata_dir = "data"\n[showings.{EVENT}]\norigin = "{url}"\n'
            'suspend_scope = "market"\n[showings.bench.sources.odds]\nvendor = "lockstep"\n'
        )
        port = _free_port()
        self.server = self._start("serve", "--config", str(config), "--port", str(port))
        _await_ready(port)
        self.journal = data_dir / "journal.sqlite"
        self.vendor = Process("bench._door", str(port), parse_secret(secret).hex())
        self.crowd = Process("bench._crowd", str(port))
        self.witnesses = Process("bench._crowd", str(port), "2", "witness")
        for each in (self.vendor, self.crowd, self.witnesses):
            each.line()

    def _start(self, *arguments: str) -> subprocess.Popen[Any]:
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=self.log
        )
        self._parts.append(process)
        return process

    def end(self) -> None:
        """End everything."""
        for each in (self.vendor, self.crowd, self.witnesses):
            each.end()
        for part in reversed(self._parts):
            part.terminate()
            part.wait(30)
            if part.stdout is not None:
                part.stdout.close()
        self.log.close()


def measure(stage: Deployment, rate: float, suspends: int = SUSPENDS) -> dict[str, Any]:
    """Return the delays of suspends at so many prices a second, in ms, and what else was seen."""
    stage.vendor.ask("prices", rate)
    time.sleep(WARM_UP_S)
    for each in (stage.crowd, stage.witnesses):
        each.ask("forget")
    cpu = cpu_s([stage.server.pid])
    began = time.monotonic()
    told = stage.vendor.ask("bet", suspends, PAUSE_S)
    cpu_share = (cpu_s([stage.server.pid]) - cpu) / (time.monotonic() - began)
    stage.vendor.ask("prices", 0)
    time.sleep(1)
    counts = {mark: count for mark, _, _, count in stage.crowd.ask("marks")}
    # They have come last, so they are written to last.
    marks = {mark: (last, count) for mark, _, last, count in stage.witnesses.ask("marks")}
    delays = []
    for number, at in told["instants"]:
        last, count = marks[number]
        assert count + counts[number] == SOCKETS, f"suspend {number}: {count} and {counts[number]} sockets had it"
        delays.append((last - at) / 1e6)
    return {
        "delays_ms": delays, "prices_a_s": told["prices_a_s"], "behind_s": told["behind_s"], "cpu_share": cpu_share,
        "answered_p99_ms": told["answered_p99_ms"], "rss_mb": rss_bytes(stage.server.pid) / 1e6,
        "journal_mb": sum(one.stat().st_size for one in stage.journal.parent.glob("journal.sqlite*")) / 1e6,
    }  # fmt: skip


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _await_ready(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server did not become ready")


def pages() -> list[dict[str, Any]]:
    """Return what the pages of a betting frontend subscribe to: ten markets each."""
    return [
        {"mode": "edge", "conflate_ms": 250, "markets": [f"m{first + each}" for each in range(MARKETS_EACH)]}
        for first in range(0, MARKETS, MARKETS_EACH)
    ]


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/vendor.json`."""
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vendor-", dir=OUT))
    stage = Deployment(folder)
    try:
        stage.crowd.ask("join", SOCKETS - WITNESSES, pages())
        stage.witnesses.ask("join", WITNESSES, pages())
        stage.vendor.ask("open")
        idle = measure(stage, 0)
        held: dict[str, Any] | None = None
        results = []
        for rate in RATES:
            held = measure(stage, rate)
            results.append(_row(rate, held, idle))
            if results[-1]["met"]:
                break
    finally:
        stage.end()
        shutil.rmtree(folder)
    return results


def _row(rate: int, seen: dict[str, Any], idle: dict[str, Any]) -> dict[str, Any]:
    ours, yardstick = percentile(seen["delays_ms"], 99), percentile(idle["delays_ms"], 99)
    return {
        "what": (
            f"suspend, vendor byte in to the last of {SOCKETS} sockets, {seen['prices_a_s']:.0f} of {rate} prices a "
            f"second through the door, {MARKETS} markets, conflated at 250 ms: p99"
        ),
        "unit": "ms",
        "ours": round(ours, 1),
        "p50": round(percentile(seen["delays_ms"], 50), 1),
        "figure": f"p99 <= {FIGURE_MS:g} ms at 10,000 a second",
        # A rate that is not kept up is not held, however quick the suspends are.
        "met": ours <= FIGURE_MS and seen["prices_a_s"] >= 0.98 * rate,
        "yardstick": round(yardstick, 1),
        "yardstick_what": "without prices",
        "ratio": round(ours / yardstick, 2),
        **{name: round(value, 2) for name, value in seen.items() if isinstance(value, float)},
        **machine(),
    }


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    report("vendor", run())


if __name__ == "__main__":
    main()
