"""What blackouts cost, and whether they hold: `python -m bench.blackout`.

* Time: a thousand requests for the playlist behind each release, by viewers in fifty zone sets, each with a splice
  under way; the yardstick is the same requests by viewers who are inside of nothing. Gates are left out of both.
* Segments: a thousand viewers of a simulated evening, half of them inside, ten redirects on and off. Each asks for its
  playlist and for segments as a player does, in virtual time. The origin's own times judge what was served; and of what
  overlaps no blackout, what those inside were not shown for all that.
* The last byte at a slow client (a receive buffer of 4 KiB, emptied every 2 ms) after the call that makes a blackout
  without a beginning, on a server of its own; the worst of all trials counts.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench._stage import machine, report
from kernel.blackouts import Veil, Window, ZoneSet
from kernel.decisions import NOWHERE, Decision, Scope, Verdict, Whence
from kernel.showings import Showing
from relay.io.at_once import PlaylistsAtOnce
from relay.io.driver import StreamRelay
from tests.e2e.stage import Stage
from tests.e2e.test_blackout import Operator, Slow, serve
from tests.support.reading import read_playlist
from tests.support.splicing import EPOCH, Evening, Made, Node, Origin

SETS, REQUESTS, RELEASES = 50, 1_000, 30
FIGURE_MS = 0.1
VIEWERS, SPLICES = 1_000, 10
TRIALS = 20
LAST_BYTE_MS = 250
SEGMENT_BYTES = 1_500_000
"""Two seconds at 6 Mbit/s."""

START_S = 6.0
"""With how much a player begins: three target durations (RFC 8216, 6.3.3)."""


def evening(windows: dict[str, Window]) -> Evening:
    """Return a showing and the stream in its place, whose segments are of other lengths."""
    origins = [Origin("game", 2, 10), Origin("local", 2, 10, began=-3.7)]
    show = Evening(origins, durations={"game": [2.0], "local": [1.44, 2.0, 1.76]})
    show.believe(windows)
    return show


class Served:
    """A relay as far as playlists need it."""

    def __init__(self, node: Node) -> None:
        self.showing = Showing("game", "http://origin.test/x.m3u8")
        self.text = node.splicer.text


class Doors:
    """Gates that admit everybody, and say what they are inside of."""

    zones: ZoneSet = ()

    def __call__(
        self, token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:
        """Admit."""
        return Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=None, zones=self.zones)


def request_ms() -> tuple[float, float]:
    """Return what a request costs in fifty zone sets and in none, in milliseconds of CPU."""
    windows = {f"b{n}": Window(EPOCH + 60 + n, EPOCH + 600) for n in range(SETS)}
    show = evening(windows)
    while show.now < 130:
        show.step()
    sets: list[ZoneSet] = [
        tuple(Veil(name, window, "local", EPOCH) for name, window in list(windows.items())[n:]) for n in range(SETS)
    ]
    doors = Doors()
    relays = cast("dict[str, StreamRelay]", {"game": Served(show.nodes[0])})
    at_once = PlaylistsAtOnce(relays, admit=doors, wall=lambda: 0.0, now=lambda: 0.0, tell=lambda *_: None)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for release in range(RELEASES):
        made = len(show.origins[0].made)
        while len(show.origins[0].made) == made:
            show.step()
        for inside in (True, False) if release % 2 else (False, True):
            begun = time.process_time()
            for number in range(REQUESTS):
                doors.zones = sets[number % SETS] if inside else ()
                if at_once(b"/hls/a.b.c/game/index.m3u8", [], "192.0.2.1") is None:
                    raise RuntimeError("there is no playlist")
            taken[inside].append(1e3 * (time.process_time() - begun) / REQUESTS)
    return statistics.median(taken[True]), statistics.median(taken[False])


@dataclass
class Viewer:
    """A player: what it has fetched up to, how much of it is not played, and when it began."""

    zones: ZoneSet
    joins: float
    next_number: int | None = None
    buffer_s: float = 0.0
    at: float | None = None
    stalls: int = 0
    dark_bytes: int = 0
    seen: set[int] = field(default_factory=set)

    def turn(self, now: float, listed: list[tuple[int, float, bool, int | None]]) -> None:
        """Play up to now, then fetch what is new in the list: number, length, whether it is dark, and what it is."""
        if now < self.joins or not listed:
            return
        if self.at is not None:
            self.buffer_s -= now - self.at
            if self.buffer_s < 0:
                self.stalls, self.buffer_s = self.stalls + 1, 0.0
            self.at = now
        if self.next_number is None:
            held, first = 0.0, len(listed)
            while first and held < START_S:
                first -= 1
                held += listed[first][1]
            self.next_number, self.at = listed[first][0], now
        for number, length_s, dark, own in listed:
            if number >= self.next_number:
                if own is not None:
                    self.seen.add(own)
                self.next_number = number + 1
                self.buffer_s += length_s
                self.dark_bytes += SEGMENT_BYTES * dark


def crowd() -> tuple[list[Viewer], int]:
    """Return the viewers at the end of an evening, and how many segments some inside were not shown without need."""
    windows = {f"w{n}": Window(EPOCH + 61 + 60 * n, EPOCH + 91.5 + 60 * n) for n in range(SPLICES)}
    show = evening(windows)
    inside: ZoneSet = tuple(Veil(name, window, "local", EPOCH) for name, window in windows.items())
    # They come over a minute: each is elsewhere in its own segment when something happens.
    viewers = [Viewer(inside if n % 2 else (), 30 + 60 * n / VIEWERS) for n in range(VIEWERS)]
    node, end = show.nodes[0], 60.0 * (SPLICES + 2)
    while show.now < end:
        show.step()
        lists = {zones: listed(show, node.splicer.text(None, zones) or "", windows) for zones in ((), inside)}
        for viewer in viewers:
            viewer.turn(show.now, lists[viewer.zones])
    made = show.origins[0].made
    light = {number for number, one in enumerate(made) if not is_dark(one, windows)}
    missed: set[int] = set()
    for viewer in viewers:
        if viewer.zones and viewer.seen:
            missed |= {number for number in light if min(viewer.seen) < number < max(viewer.seen)} - viewer.seen
    return viewers, len(missed)


def is_dark(made: Made, windows: dict[str, Window]) -> bool:
    """Tell by the origin's own times whether a segment overlaps a blackout."""
    begin = EPOCH + made.at
    spans = ((one.start or 0.0, one.end or 0.0) for one in windows.values())
    return any(begin < stop and begin + made.duration_s > start for start, stop in spans)


def listed(show: Evening, text: str, windows: dict[str, Window]) -> list[tuple[int, float, bool, int | None]]:
    """Return what a list holds, judged by the origin's own times: of the showing's own segments, which they are."""
    out = []
    for segment in read_playlist(text).segments if text else ():
        name = segment.uri.removeprefix("main/")
        own = int(name[2:].partition(".")[0]) if name.count("-") == 1 else None
        dark = own is not None and is_dark(show.origins[0].made[own], windows)
        out.append((segment.msn, segment.duration_s, dark, own))
    return out


async def last_byte_ms() -> float:
    """Return how long after the call the last byte came at the slowest of several slow clients, in milliseconds."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            _, url = await serve(stage)
            operator = await asyncio.to_thread(Operator, stage, url)
            async with operator.http:
                for _ in range(TRIALS):
                    slow = await asyncio.to_thread(Slow, int(url.rpartition(":")[2]), await stage.token())
                    await asyncio.to_thread(slow.sip, 4)
                    called = time.monotonic()
                    name = await operator.make()
                    await asyncio.to_thread(slow.sip, None)
                    slow.line.close()
                    if not slow.was_cut:
                        raise RuntimeError("a viewer inside was left to read on")
                    worst = max(worst, 1e3 * (slow.last - called))
                    await operator.end(name)
        finally:
            await stage.aclose()
    return worst


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/blackout.json`."""
    ours, usual = request_ms()
    viewers, missed = crowd()
    last_ms = asyncio.run(last_byte_ms())
    inside = [viewer for viewer in viewers if viewer.zones]
    outside = [viewer for viewer in viewers if not viewer.zones]
    rows: list[dict[str, Any]] = [{
        "what": f"a request for the playlist, viewers in {SETS} zone sets", "unit": "ms", "ours": round(ours, 4),
        "yardstick": round(usual, 4), "yardstick_what": "viewers inside of nothing", "ratio": round(ours / usual, 2),
        "figure": f"<= {FIGURE_MS} ms more", "met": ours - usual <= FIGURE_MS, "rounds": RELEASES, **machine(),
    }]  # fmt: skip
    if not all(one.dark_bytes for one in outside):
        raise RuntimeError("those outside missed what is dark inside: the evening was none")
    what = f"{VIEWERS} viewers, half inside, {SPLICES} redirects"
    for name, unit, value in (
        ("dark bytes inside", "bytes", sum(one.dark_bytes for one in inside)),
        ("stalls inside", "", sum(one.stalls for one in inside)),
        ("stalls outside", "", sum(one.stalls for one in outside)),
        ("light segments missed inside", "", missed),
    ):
        rows.append({
            "what": f"{what}: {name}", "unit": unit, "ours": value, "figure": f"<= 0 {unit}".strip(),
            "met": value == 0, **machine(),
        })  # fmt: skip
    rows.append({
        "what": "the last byte at a slow client after the call that makes it dark at once, the worst", "unit": "ms",
        "ours": round(last_ms, 1), "figure": f"<= {LAST_BYTE_MS} ms", "met": last_ms <= LAST_BYTE_MS, "rounds": TRIALS,
        **machine(),
    })  # fmt: skip
    return rows


def main() -> None:
    """Measure and report."""
    report("blackout", run())


if __name__ == "__main__":
    main()
