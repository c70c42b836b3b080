"""What the hub's benches share: a hub in a process of its own that obeys commands, and crowds of cheap receivers.

The hub's process reads commands, one JSON array a line, and answers each with one line; so a bench decides what happens
when, and the server measures what only it can: its own CPU.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from websockets.frames import Frame, Opcode

from hub.io.driver import Hub
from hub.settings import HubSettings
from kernel.bus import entries_topic, epoch_signal, opened_signal, safety_topic, state_signal, timings_topic
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.decisions import NOWHERE, Decision, Scope, Verdict, Whence
from kernel.io.memory_bus import MemoryBus
from kernel.io.system_time import monotonic, new_id, wall
from kernel.marks import Opened
from kernel.pts import TICKS_PER_S, Ticks
from kernel.showings import Showing
from kernel.timeline import MediaTime, SegmentTiming, StreamState
from kernel.tokens import Claims, Keyring
from lockstep.collector import set_up_collector
from lockstep.guard import GuardedHttp
from lockstep.logs import configure_logs
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

OUT = Path(__file__).with_name("out")
EVENT = "bench"
KEYS = {"bench": b"a key for the bench alone, no secret"}
TARGET_S = 2
PERCENTS = (0, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)
Command = Callable[..., Awaitable[Any]]

PLAY = {
    "txt": "MISS J. Harris 24' 3PT", "team": "BKN", "players": ["J. Harris"],
    "score": {"home": 10, "away": 6}, "clock": {"period": 1, "ms": 570_000, "dir": "down"},
}  # fmt: skip
"""A play as NBA's feed has it: 330 bytes on the wire."""


def at(seconds: float) -> MediaTime:
    """Return a media time in seconds."""
    return MediaTime(0, Ticks(round(seconds * TICKS_PER_S)))


class Stage:
    """A hub with one showing, and the bus it listens to."""

    def __init__(self, settings: HubSettings) -> None:
        self.bus = MemoryBus(asyncio.get_running_loop().time)
        showings = {EVENT: Showing(EVENT, "http://127.0.0.1:9/index.m3u8")}
        self.hub = Hub(self.bus, showings, admit(), settings, wall=wall, new_id=new_id)
        self.bus.signal(epoch_signal(EVENT), "bench")
        self.bus.signal(
            state_signal(EVENT), StreamState(EVENT, TARGET_S, live=True, ended=False, begun=True, last=None)
        )
        self.hub.start()
        self._o = self._msn = -1

    @property
    def next_offset(self) -> int:
        """Return the offset of the next entry."""
        return self._o + 1

    def begin_at(self, offset: int, msn: int) -> None:
        """Have the next entry and the next segment bear these numbers."""
        self._o, self._msn = offset - 1, msn - 1

    @property
    def ends_s(self) -> float:
        """Return where the opened part ends, in seconds."""
        return float((self._msn + 1) * TARGET_S)

    def segment(self) -> float:
        """Time and open the next segment; return where it ends, in seconds."""
        self._msn += 1
        begins, ends = at(self._msn * TARGET_S), at((self._msn + 1) * TARGET_S)
        one = SegmentTiming(EVENT, 0, self._msn, None, "x", 0, begins.pts, ends.pts, None, 0.0, None)
        self.bus.publish(timings_topic(EVENT), self._msn, one)
        self.bus.signal(opened_signal(EVENT), Opened(EVENT, 0, self._msn, None, ends, self.bus.now()))
        return ends.pts / TICKS_PER_S

    def cue(
        self, due: float | None, body: dict[str, Any], *, type_: CueType = CueType.PLAY, id_: str | None = None
    ) -> Entry:
        """Publish an entry."""
        entry = self.entry(due, body, type_=type_, id_=id_)
        self.bus.publish((safety_topic if due is None else entries_topic)(EVENT), entry.o, entry)
        return entry

    def entry(
        self, due: float | None, body: dict[str, Any], *, type_: CueType = CueType.PLAY, id_: str | None = None
    ) -> Entry:
        """Return the next entry of the log."""
        self._o += 1
        place = at(due) if due is not None else None
        cls = CueClass.SAFETY if due is None else CueClass.LOCKED
        wall_ms = 1_795_171_643_368 if due is not None else None
        cue = Cue(id_ or f"nba:{self._o}", 1, Op.NEW, type_, cls, place, 13, None, 108_750, wall_ms, 0, body)
        return Entry(self._o, cue, place)


def serve(
    settings: HubSettings,
    commands: Callable[[Stage], dict[str, Command]],
    make_app: Callable[[Stage], Any] | None = None,
) -> None:
    """Run a hub that obeys, with an application beside it if there is one; print its port first."""
    raise_limits()
    configure_logs("error")

    async def run() -> None:
        stage = Stage(settings)
        known = commands(stage)
        # As `lockstep serve` does.
        set_up_collector()

        async def nothing(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("no request is meant for the app")

        app = nothing if make_app is None else make_app(stage)

        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, http=GuardedHttp,
            ws=stage.hub.protocol_class(), backlog=16_384,
        )  # fmt: skip
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        with socket.create_server(("127.0.0.1", 0), backlog=16_384) as listening:
            serving = asyncio.create_task(uvicorn.Server(config).serve(sockets=[listening]))
            print(listening.getsockname()[1], flush=True)
            while line := await reader.readline():
                name, *arguments = json.loads(line)
                print(json.dumps(await known[name](*arguments)), flush=True)
            serving.cancel()

    uvloop.run(run())


class Process:
    """A part of a bench in a process of its own."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = 0

    def line(self) -> str:
        """Return its next line."""
        assert self.process.stdout is not None  # it is a pipe
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r}: it has ended")
        return line.strip()

    def ask(self, *command: Any) -> Any:
        """Give a command and return the answer."""
        self.tell(*command)
        return json.loads(self.line())

    def tell(self, *command: Any) -> None:
        """Give a command; its answer is read later."""
        assert self.process.stdin is not None  # it is a pipe
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def hub_process(module: str) -> Process:
    """Start the bench's hub and wait until it listens."""
    one = Process(module, "serve")
    one.port = int(one.line())
    return one


def claims(number: int = 0) -> Claims:
    """Return claims that admit to everything, with a token id of their own."""
    now = int(wall())
    scopes = frozenset({"watch", "wager", "server", "trading"})
    return Claims(f"bench-{number}", "bench", EVENT, now - 60, now + 36_000, (now - 60, now + 36_000), "s", scopes)


def handshake(number: int = 0) -> bytes:
    """Return the upgrade request of a subscriber that authenticates as a server may, with a token of its own."""
    token = Keyring(KEYS).issue(claims(number))
    return (
        f"GET /api/v1/wagering/subscribe?event_id={EVENT} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: lockstep.v1.json\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


def text(message: dict[str, Any]) -> bytes:
    """Return a client's frame."""
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


def percentile(values: list[float], percent: float) -> float:
    """Return the value that `percent` of all do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


def spread(of: str, ours: list[float], yardstick: list[float] | None = None) -> dict[str, Any]:
    """Return how values are spread, for a row's `spread`: a curve is drawn of it.

    Args:
        of: what they are the values of, in some words.
        ours: ours, in milliseconds.
        yardstick: the yardstick's, if it has any.
    """
    told: dict[str, Any] = {"of": of, "percent": PERCENTS}
    for name, values in (("ours", ours), ("yardstick", yardstick)):
        if values:
            told[name] = [round(percentile(values, percent), 3) for percent in PERCENTS]
    return told


def raise_limits() -> None:
    """Allow as many file descriptors as the machine lets us."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine() -> dict[str, str]:
    """Return where and when this was measured."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f}",
        "date": datetime.fromtimestamp(wall(), UTC).isoformat(timespec="seconds"),
    }


def report(name: str, results: list[dict[str, Any]]) -> None:
    """Write `out/{name}.json` and print ours, the yardstick's and the ratio of each."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    for one in results:
        print(f"{one['what']}: {one['ours']} {one['unit']}")
        if "yardstick" in one:
            print(f"  yardstick, {one['yardstick_what']}: {one['yardstick']} {one['unit']}; ratio {one['ratio']}")
        if "figure" in one:
            print(f"  figure: {one['figure']}: {'met' if one['met'] else 'MISSED'}")
    print(f"{results[0]['machine']}, load {results[0]['load']}; {results[0]['date']}")


def admit() -> Any:
    """Return gates that know the bench's key."""
    tokens = TokenCache(TokenVerifier(KEYS))

    def decide(token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE) -> Decision:
        found = tokens.verify(token or "", now=now)
        reason = found.reason_at(now, event_id, scope) if found is not None else None
        verdict = Verdict.ADMIT if found is not None and reason is None else Verdict.REFUSE
        return Decision(verdict, reason, may_watch=True, may_wager=True, claims=found)

    return decide


__all__ = ["PLAY", "Process", "Stage", "handshake", "hub_process", "monotonic", "report", "serve", "text", "time"]
