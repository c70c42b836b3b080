"""What Redis between the processes costs, and how soon it is forgotten that it was gone: `python -m bench.redis`.

* What the bus adds to a cue after its frontier passes: an entry and the `Opened` that makes it due, from one process to
  the receivers of another. The yardstick is the bus within one process, in the same run.
* How far apart two relays open a segment, and two hubs send its cues: real processes behind a rehearsal origin.
* Redis (AOF, everysec) killed under 500 entries a second, and back: nothing is lost, nothing is doubled, and all of it
  is there within a second of its return.

Times are CLOCK_MONOTONIC or the wall clock of one machine, which its processes share.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import uvloop

from bench._packages import Absent, program
from bench._skips import skip
from bench._stage import EVENT, PLAY, Process, at, machine, percentile, report
from feeds.standard_webhooks import parse_secret, sign
from kernel.bus import Bus, entries_topic, opened_signal
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.io.memory_bus import MemoryBus
from kernel.io.redis_bus import RedisBus
from kernel.io.redis_link import RedisLink
from kernel.io.system_time import monotonic, new_id, wall
from kernel.marks import Opened
from lockstep.logs import configure_logs

ROOT = Path(__file__).parents[1]
ROUNDS = 1_000
EVERY_S = 0.005
OUTAGE_S = 1.0
SEGMENTS_S = 30.0
PORT, ORIGIN_PORT = 17_400, 17_500


def entry(o: int) -> Entry:
    """Return the entry with that offset."""
    cue = Cue(
        f"nba:{o}", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, at(o), 13, None, 108_750, 1_795_171_643_368, 0, PLAY
    )
    return Entry(o, cue, at(o))


class Arrivals:
    """When the entries and the openings came, in ns."""

    def __init__(self, bus: Bus) -> None:
        self.entries: dict[int, int] = {}
        self.opened: dict[int, int] = {}
        self.doubled = 0
        bus.subscribe(entries_topic(EVENT), self._on_entry)
        bus.listen(opened_signal(EVENT), self._on_opened)

    def _on_entry(self, o: int, _: Entry) -> None:
        self.doubled += o in self.entries
        self.entries[o] = time.monotonic_ns()

    def _on_opened(self, opened: Opened) -> None:
        self.opened[opened.msn] = time.monotonic_ns()


async def _listen(url: str) -> None:
    """Be the other process: receive, and answer what came when."""
    configure_logs("error")
    bus = RedisBus(url, monotonic=monotonic, new_id=new_id)
    await bus.open()
    arrivals = Arrivals(bus)
    await bus.caught_up()
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        told = {"entries": arrivals.entries, "opened": arrivals.opened, "doubled": arrivals.doubled}
        print(json.dumps(told), flush=True)


async def _rounds(bus: Bus) -> dict[int, int]:
    """Seal and open, again and again; return when each opening was told, in ns."""
    told = {}
    for number in range(ROUNDS):
        bus.publish(entries_topic(EVENT), number, entry(number))
        told[number] = time.monotonic_ns()
        bus.signal(opened_signal(EVENT), Opened(EVENT, 0, number, None, at(number + 1), bus.now()))
        await asyncio.sleep(EVERY_S)
    return told


def _delays_ms(told: dict[int, int], entries: dict[int, int], opened: dict[int, int]) -> list[float]:
    """Return after how long each cue could go out: its entry and its opening are there."""
    return [(max(entries[number], opened[number]) - since) / 1e6 for number, since in told.items() if number in opened]


class Redis:
    """A redis-server of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"redis://127.0.0.1:{PORT}/0"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> int:
        """Start it; return when it answered first, in ns."""
        command = await asyncio.to_thread(program, "redis-server", "redis-server")
        self._process = await asyncio.to_thread(
            subprocess.Popen,
            [command, "--port", str(PORT), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
             "--appendonly", "yes", "--appendfsync", "everysec"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        link = RedisLink(self.url)
        while True:
            try:
                if await link.call(("PING",)) == [b"PONG"]:
                    await link.aclose()
                    return time.monotonic_ns()
            except Exception:
                await asyncio.sleep(0.002)

    def kill(self) -> None:
        """Kill it."""
        assert self._process is not None  # it was started
        self._process.kill()
        self._process.wait()


async def measure_bus(redis: Redis) -> tuple[list[float], list[float]]:
    """Return the delays over Redis and within one process, in ms."""
    within = MemoryBus(asyncio.get_running_loop().time)
    arrivals = Arrivals(within)
    inside = _delays_ms(await _rounds(within), arrivals.entries, arrivals.opened)
    other = Process("bench.redis", "listen", redis.url)
    await asyncio.to_thread(other.line)
    bus = RedisBus(redis.url, monotonic=monotonic, new_id=new_id)
    await bus.open()
    told = await _rounds(bus)
    await bus.settled()
    came = {name: _numbered(kept) for name, kept in (await _asked(other)).items() if isinstance(kept, dict)}
    await bus.aclose()
    other.end()
    return _delays_ms(told, came["entries"], came["opened"]), inside


async def measure_outage(redis: Redis) -> dict[str, float]:
    """Return how long after its return all was there that was published meanwhile, and what was lost or doubled."""
    await RedisLink(redis.url).call(("FLUSHALL",))
    other = Process("bench.redis", "listen", redis.url)
    await asyncio.to_thread(other.line)
    bus = RedisBus(redis.url, monotonic=monotonic, new_id=new_id)
    await bus.open()
    sent: dict[int, int] = {}
    back = 0

    async def publish(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            number = len(sent)
            sent[number] = time.monotonic_ns()
            bus.publish(entries_topic(EVENT), number, entry(number))
            await asyncio.sleep(0.002)

    await publish(1.0)
    redis.kill()
    await publish(OUTAGE_S)
    publishing = asyncio.create_task(publish(2.0))
    back = await redis.start()
    await publishing
    await bus.settled()
    await asyncio.sleep(0.2)
    came = await _asked(other)
    entries = _numbered(came["entries"])
    await bus.aclose()
    other.end()
    waited = [number for number, at_ in sent.items() if at_ < back]
    return {
        "caught_up_s": max(entries.get(number, 1 << 62) - back for number in waited) / 1e9,
        "lost": len(sent.keys() - entries.keys()),
        "doubled": float(came["doubled"]),
        "sent": len(sent),
    }


async def _asked(other: Process) -> dict[str, Any]:
    answer: dict[str, Any] = await asyncio.to_thread(other.ask, "when")
    return answer


def _numbered(kept: dict[str, int]) -> dict[int, int]:
    return {int(number): value for number, value in kept.items()}


class Show:
    """Real processes: an origin, ingest, two relays, two hubs and a subscriber at each."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._running: list[subprocess.Popen[bytes]] = []
        self.logs: dict[str, Path] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start a command; what it prints is kept."""
        self.logs[name] = self._folder / f"{name}.log"
        with self.logs[name].open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "lockstep", *arguments], cwd=ROOT, stdout=log, stderr=log,
                    env={**os.environ, "LOCKSTEP_LOG_LEVEL": "debug"},
                )
            )  # fmt: skip

    def house(self, name: str, port: int) -> None:
        """Start a house."""
        self.start(
            name, name.rstrip("12"), "--bus", self._url, "--data-dir", str(self._folder / "data"), "--event", EVENT,
            "--origin", f"http://127.0.0.1:{ORIGIN_PORT}/index.m3u8", "--source", "desk=lockstep", "--port", str(port),
        )  # fmt: skip

    def says(self, name: str, text: str) -> None:
        """Wait until a command has printed something."""
        until = time.monotonic() + 60
        while text not in self.logs[name].read_text("utf-8", "replace"):
            if time.monotonic() > until:
                raise RuntimeError(f"{name} never said {text}: see {self.logs[name]}")
            time.sleep(0.05)

    def end(self) -> None:
        """End everything."""
        for one in reversed(self._running):
            one.send_signal(signal.SIGTERM)
        for one in self._running:
            one.wait()


def measure_releases(folder: Path, url: str) -> tuple[list[float], list[float]]:
    """Return how far apart two relays opened each segment, and two hubs' subscribers had each cue, in ms."""
    show = Show(folder, url)
    try:
        show.start("origin", "origin", str(ROOT / "fixtures" / "out" / "plain"), "--loop", "--port", str(ORIGIN_PORT))
        show.says("origin", "http://")
        show.house("ingest", PORT + 1)
        show.says("ingest", "server.listening")
        for index, name in enumerate(("relay1", "relay2", "hub1", "hub2"), 2):
            show.house(name, PORT + index)
        for name in ("relay1", "relay2"):
            show.says(name, "picture.out")
        token = subprocess.run(
            [sys.executable, "-m", "lockstep", "token", "--data-dir", str(folder / "data"), "--event", EVENT,
             "--account", "bench", "--scope", "wager,server"], cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        for index, name in enumerate(("hub1", "hub2"), 4):
            show.start(
                f"client{index}", "subscribe", f"http://127.0.0.1:{PORT + index}", "--event", EVENT, "--token", token,
                "--mode", "edge", "--json",
            )  # fmt: skip
            show.says(name, "server.listening")
        for index in (4, 5):
            show.says(f"client{index}", '"snap"')
        _play(folder / "data", f"http://127.0.0.1:{PORT + 1}/api/v1/feeds/desk")
        opened = [_opened(show.logs[name]) for name in ("relay1", "relay2")]
        cues = [_cues(show.logs[f"client{index}"]) for index in (4, 5)]
    finally:
        show.end()
    common = sorted(opened[0].keys() & opened[1].keys())[2:]
    return (
        [abs(opened[0][msn] - opened[1][msn]) * 1000 for msn in common],
        [abs(cues[0][o] - cues[1][o]) for o in cues[0].keys() & cues[1].keys()],
    )


def _play(data_dir: Path, url: str) -> None:
    """Let something happen every half second."""
    import tomllib

    secret = parse_secret(tomllib.loads((data_dir / "keys.toml").read_text("utf-8"))["webhooks"]["desk"])
    until = time.monotonic() + SEGMENTS_S
    with httpx2.Client(trust_env=False) as client:
        number = 0
        while time.monotonic() < until:
            fact = {"id": str(number), "op": "new", "occurred_at": round(wall() * 1000), "type": "play", "body": {}}
            body, now = json.dumps(fact).encode(), int(wall())
            headers = {
                "content-type": "application/json", "webhook-id": str(number), "webhook-timestamp": str(now),
                "webhook-signature": sign(secret, str(number), now, body),
            }  # fmt: skip
            client.post(url, content=body, headers=headers).raise_for_status()
            number += 1
            time.sleep(0.5)


def _opened(log: Path) -> dict[int, float]:
    opened = {}
    for line in log.read_text("utf-8").splitlines():
        if '"segment.opened"' in line:
            told = json.loads(line)
            opened[int(told["msn"])] = datetime.fromisoformat(told["timestamp"]).timestamp()
    return opened


def _cues(log: Path) -> dict[int, float]:
    frames = [json.loads(line) for line in log.read_text("utf-8").splitlines() if re.match(r'\{"op": ?"cue"', line)]
    return {frame["o"]: frame["received"] for frame in frames}


async def _measure(folder: Path) -> list[dict[str, Any]]:
    redis = Redis(folder)
    await redis.start()
    try:
        over, within = await measure_bus(redis)
        outage = await measure_outage(redis)
        await RedisLink(redis.url).call(("FLUSHALL",))
        relays, hubs = await asyncio.to_thread(measure_releases, folder, redis.url)
    finally:
        redis.kill()
    added = percentile(over, 99) - percentile(within, 99)
    apart = [("two relays open a segment", relays), ("two hubs' subscribers have a cue", hubs)]
    return [
        {
            "what": "a cue after its frontier passes, over Redis, p99", "unit": "ms",
            "ours": round(percentile(over, 99), 3),
            "p50": round(percentile(over, 50), 3), "yardstick_what": "the bus within one process",
            "yardstick": round(percentile(within, 99), 3), "ratio": "-", "figure": "<= that + 5 ms", "met": added <= 5,
            **machine(),
        },
        *(
            {
                "what": f"{what}: how far apart, at most of {len(spans)}", "unit": "ms", "ours": round(max(spans), 1),
                "p50": round(percentile(spans, 50), 1), "figure": "<= 50 ms", "met": max(spans) <= 50, **machine(),
            }
            for what, spans in apart
        ),
        {
            "what": f"Redis killed for {OUTAGE_S} s and back: all of {outage['sent']} entries there after its return",
            "unit": "s", "ours": round(outage["caught_up_s"], 3), "lost": outage["lost"], "doubled": outage["doubled"],
            "figure": "<= 1 s, none lost, none doubled",
            "met": outage["caught_up_s"] <= 1 and not outage["lost"] and not outage["doubled"], **machine(),
        },
    ]  # fmt: skip


def main() -> None:
    """Measure and report."""
    configure_logs("error")
    try:
        program("redis-server", "redis-server")
    except Absent as error:
        skip("redis", str(error))
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        report("redis", uvloop.run(_measure(Path(folder))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["listen"]:
        uvloop.run(_listen(sys.argv[2]))
    else:
        main()
