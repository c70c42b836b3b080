"""The simulator in the suite: two hundred seeds, the same trace for the same seed, and bugs that it must find."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.bugs import BUGS, ROOT, Bug, hunt, plant
from tests.sim.loop import BEGINS_AT, SimLoop, StandstillError
from tests.sim.net import Net
from tests.sim.record import frames_in

SOON = ("frontier-a-tick-too-far", "hidden-source-shown", "group-count-off", "wrap-taken-for-a-discontinuity")
"""Bugs that the first few seeds find; `make sim-bugs` plants all of them."""


def run(*arguments: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_two_hundred_seeds_hold(first: int) -> None:
    done = run("--seeds", f"{first}-{first + 24}")
    assert done.returncode == 0, done.stdout


def test_processes_share_the_seeds() -> None:
    done = run("--seeds", "0-1", "--jobs", "2")
    assert done.returncode == 0, done.stdout
    assert "seeds 0-1: all held" in done.stdout
    assert "2 processes" in done.stdout


def test_the_same_seed_is_the_same_trace() -> None:
    """I18; the order of sets must not show in it either."""
    one, other = (run("--seeds", "3-5", "--digest", hash_seed=seed) for seed in ("1", "2"))
    digests = one.stdout.splitlines()[:3]
    assert one.returncode == 0
    assert digests == other.stdout.splitlines()[:3]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.name in SOON], ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = hunt(bug, seeds=20)
    assert found.seed is not None, found.violation


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug, tmp_path: Path) -> None:
    copy = tmp_path / bug.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / bug.file).read_text("utf-8"), "utf-8")
    plant(bug, tmp_path)
    compile(copy.read_text("utf-8"), bug.file, "exec")
    with pytest.raises(ValueError, match="0 times"):
        plant(bug, tmp_path)


class Echo(asyncio.Protocol):
    """Send back what comes, and note what happens."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.events.append(f"data {len(data)}")
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(f"lost {exc}")

    def pause_writing(self) -> None:
        self.events.append("paused")

    def resume_writing(self) -> None:
        self.events.append("resumed")


class Sink(Echo):
    """Keep what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


def simulated(*, breaks: bool = False) -> tuple[SimLoop, Net, Echo]:
    loop = SimLoop(random.Random(1), hesitation=0.2, lateness=0.5)
    net = loop.net = Net(loop, random.Random(1), breaks=breaks)
    server = Echo()
    net.listen("server", 80, lambda: server, lambda transport: None)
    return loop, net, server


def test_the_clock_jumps_and_no_timer_is_early() -> None:
    loop, _, _ = simulated()

    async def nap() -> float:
        await asyncio.sleep(3_600)
        return loop.time()

    assert BEGINS_AT + 3_600 <= loop.run_until_complete(nap()) < BEGINS_AT + 3_601
    with pytest.raises(StandstillError):
        loop.run_until_complete(asyncio.Event().wait())
    loop.close()


def test_bytes_come_in_order_however_they_are_cut() -> None:
    loop, net, server = simulated()
    sent = bytes(range(256)) * 400

    async def talk() -> Sink:
        net.weather("nobody").slices = 0.9
        transport, client = await loop.create_connection(Sink, "server", 80)
        assert isinstance(client, Sink)
        transport.write(sent)
        await asyncio.sleep(60)
        transport.close()
        await asyncio.sleep(1)
        return client

    client = loop.run_until_complete(talk())
    assert client.received == sent
    assert client.events[-1] == server.events[-1] == "lost None"
    assert "paused" in client.events
    loop.close()


def test_a_reset_loses_what_is_on_its_way_and_a_refusal_is_one() -> None:
    loop, net, server = simulated(breaks=True)

    async def talk() -> None:
        transport, client = await loop.create_connection(Sink, "server", 80)
        transport.write(b"lost")
        (link,) = net.links_of("nobody")
        link.reset()
        await asyncio.sleep(1)
        assert client.events == server.events == ["lost Connection reset by peer"]
        with pytest.raises(RuntimeError, match="handler is closed"):
            transport.write(b"more")
        assert net.links_of("nobody") == []
        net.deafen("server", 80)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Sink, "server", 80)

    loop.run_until_complete(talk())
    loop.close()


def test_frames_are_told_apart() -> None:
    small, large = b"\x81\x02{}", b"\x82\x7e\x01\x00" + b"x" * 256
    assert list(frames_in(small + large)) == [(1, b"{}"), (2, b"x" * 256)]
