"""Cues while the relay sends 1 Gbit/s from the same loop: `python -m bench.beside`.

1,000 live viewers, cues due at odd instants between two openings, as in `bench.latency`; beside them, 32 connections
take segments of 2 s and 6 Mbit/s through the gates, 1 Gbit/s in all. The yardstick is the same run without downloads.
A cue has arrived when it is in the receiver's kernel.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench._stage import (
    EVENT,
    KEYS,
    Process,
    Stage,
    claims,
    hub_process,
    machine,
    percentile,
    report,
    serve,
    spread,
)  # fmt: skip
from bench.latency import SECONDS, VIEWERS, commands
from bench.timing import segment
from hub.settings import HubSettings
from kernel.io.origin import Fetcher, resolve
from kernel.io.system_time import wall
from kernel.marks import ReleaseMark
from kernel.playlist import parse_media_playlist
from kernel.pts import Ticks
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from kernel.timeline import MediaTime
from kernel.tokens import Keyring
from relay.gate import Gate
from relay.io.driver import StreamRelay
from relay.io.hls import Hls
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

BYTES_A_S = 125_000_000
FIGURES_MS = (5.0, 25.0)


def app(stage: Stage) -> Any:
    """Return the relay of a showing with one segment that is out."""
    folder = Path(tempfile.mkdtemp(prefix="lockstep-bench-"))
    shutil.copy(segment(), folder / "0.ts")
    text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n0.ts\n#EXT-X-ENDLIST\n"
    (folder / "index.m3u8").write_text(text)
    ref = (folder / "index.m3u8").as_uri()
    fetcher = Fetcher([ref], now=stage.bus.now)
    relay = StreamRelay(Showing(EVENT, ref), fetcher=fetcher, bus=stage.bus)
    copy = parse_media_playlist(text)
    refs = [resolve(ref, one.uri) for one in copy.segments]
    window = relay.presentation.window
    window.observe(copy, refs, lambda uri: resolve(ref, uri), now=0.0)
    window.on_mark(ReleaseMark(EVENT, 0, 0, None, MediaTime(0, Ticks(180_000)), 0.0))
    window.handle_timer(now=0.0)
    tokens = TokenCache(TokenVerifier(KEYS))
    gate = Gate(tokens, RevocationIndex(), lag_s=lambda: 0.0)
    hls = Hls({EVENT: relay}, gate=gate, fetcher=fetcher, wall=wall)

    # In memory from now on; the folder has served its purpose.
    loaded = asyncio.get_running_loop().create_task(fetcher.segment(refs[0]))
    loaded.add_done_callback(lambda _: shutil.rmtree(folder))
    return hls


def measure(*, downloads: bool) -> tuple[list[float], float]:
    """Return the delays of cues in ms, and how many Mbit/s went out beside them."""
    hub = hub_process("bench.beside")
    parts = [hub]
    try:
        crowd = Process("bench._crowd", str(hub.port))
        parts.append(crowd)
        crowd.line()
        hub.ask("start", 6)
        crowd.ask("join", VIEWERS, [{"mode": "viewer", "types": ["play"], "heartbeat_ms": 10_000}])
        path = f"/hls/{Keyring(KEYS).issue(claims())}/{EVENT}/main/0-0.ts"
        pull = None
        if downloads:
            pull = Process("bench._pull", str(hub.port), path, str(BYTES_A_S))
            parts.append(pull)
            pull.line()
        hub.ask("play", 4)
        crowd.ask("forget")
        if pull is not None:
            pull.ask()
        hub.ask("play", SECONDS)
        told = pull.ask() if pull is not None else {"bytes": 0, "seconds": 1}
        delays = [one / 1e6 for one in crowd.ask("delays")]
    finally:
        for part in reversed(parts):
            part.end()
    return delays, told["bytes"] * 8e-6 / told["seconds"]


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/beside.json`."""
    alone, _ = measure(downloads=False)
    beside, mbit_s = measure(downloads=True)
    early = sum(one < 0 for one in beside)
    rows = []
    for percent, figure in zip((50, 99), FIGURES_MS, strict=True):
        ours, yardstick = percentile(beside, percent), percentile(alone, percent)
        rows.append(
            {
                "what": (
                    f"cue after its frontier passes, {VIEWERS} sockets, {len(beside)} deliveries, {early} early, "
                    f"{mbit_s:.0f} Mbit/s of segments beside them: p{percent}"
                ),
                "unit": "ms",
                "ours": round(ours, 2),
                "yardstick": round(yardstick, 2),
                "yardstick_what": "the same without downloads",
                "ratio": round(ours / yardstick, 2),
                "figure": f"p{percent} <= {figure:g} ms at 1,000 Mbit/s, none early",
                "met": ours <= figure and early == 0 and mbit_s >= 950,
                **machine(),
            }
        )
    rows[0]["spread"] = spread("a cue, 1 Gbit/s beside it", beside, alone)
    return rows


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    report("beside", run())


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(HubSettings(max_subscribers=2 * VIEWERS), commands, app)
    else:
        main()
