"""Several `ingest` on one Redis: one of them writes the log, whatever the others believe."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from itertools import repeat
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.io.system_time import wall
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Command
from tests.e2e.vendor import Vendor, play

ENTRIES = "lockstep:t:game/entries"


class Wings:
    """`ingest` processes by name, each on a port of its own."""

    def __init__(self, stage: ApartStage, origin: str) -> None:
        self.stage = stage
        self.ports = {name: stage.port() for name in ("first", "second", "third")}
        self._origin = origin

    async def start(self, name: str, data_dir: Path) -> Command:
        """Start one, whatever becomes of it."""
        redis = await self.stage.start_redis()
        return await self.stage.start(
            "ingest", "--bus", redis.url, "--data-dir", str(data_dir), "--event", "game", "--origin", self._origin,
            "--source", "desk=lockstep", "--port", str(self.ports[name]),
        )  # fmt: skip

    def url(self, name: str) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def readiness(self, name: str) -> tuple[int, dict[str, Any]]:
        """Return what `/readyz` answers."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.url(name)}/readyz")
            return answer.status_code, answer.json()

    async def logs(self) -> set[bytes]:
        """Return to which logs the entries belong that Redis has."""
        redis = await self.stage.start_redis()
        entries = await redis.ask("XRANGE", ENTRIES, "-", "+")
        assert isinstance(entries, list)
        return {fields[0][1:] for _, fields in entries}


@pytest.fixture
async def wings(tmp_path: Path) -> AsyncIterator[Wings]:
    stage = ApartStage(tmp_path)
    try:
        yield Wings(stage, await stage.origin(FIXTURES / "plain", "--loop"))
    finally:
        await stage.aclose()


async def sealed(wings: Wings, name: str, data_dir: Path, id_: str) -> None:
    """Post a play and wait until it stands in the log."""
    vendor = Vendor(wings.url(name), data_dir)
    redis = await wings.stage.start_redis()
    try:
        assert (await vendor.post(id_, play(id_, wall()))).status_code == 202
        async with asyncio.timeout(PATIENCE_S):
            for pause in repeat(0.05):
                if f'"desk:{id_}"' in str(await redis.ask("XRANGE", ENTRIES, "-", "+")):
                    return
                await asyncio.sleep(pause)  # it is sealed when its picture is timed, which nobody tells
    finally:
        await vendor.aclose()


async def test_one_ingest_writes_and_the_others_know_it(wings: Wings, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    redis = await wings.stage.start_redis()
    first = await wings.start("first", mine)
    await first.says("server.listening")
    await sealed(wings, "first", mine, "p1")

    # Another journal, and the same data folder: both are refused.
    for data_dir, why in ((other, "another `lockstep ingest`"), (mine, "another process holds it")):
        refused = await wings.start("second", data_dir)
        assert await refused.exit_code() == 1
        assert why in refused.log
        assert "Traceback" not in refused.log

    # A restart after a crash waits for nobody: the lease lasts much longer than this is patient.
    first.kill()
    await first.exit_code()
    assert await redis.ask("EXISTS", "lockstep:ingest:lease") == 1
    first = await wings.start("first", mine)
    await first.says("server.listening")
    await sealed(wings, "first", mine, "p2")
    (log,) = await wings.logs()

    # It stands still: for the length of the lease it is waited for.
    first.signal(signal.SIGSTOP)
    refused = await wings.start("second", other)
    assert await refused.exit_code() == 1
    await redis.ask("DEL", "lockstep:ingest:lease")
    second = await wings.start("second", other)
    await second.says("server.listening")
    await sealed(wings, "second", other, "q1")

    # It goes on, with pictures and plays of its own to tell, and tells nobody.
    first.signal(signal.SIGCONT)
    await first.says("bus.superseded")
    status, told = await wings.readiness("first")
    assert (status, told["status"], told["bus"]) == (503, "superseded", "superseded")
    vendor = Vendor(wings.url("first"), mine)
    assert (await vendor.post("p3", play("p3", wall()))).status_code == 503
    await vendor.aclose()
    await sealed(wings, "second", other, "q2")
    (now,) = await wings.logs()
    assert now != log
    assert (await wings.readiness("second"))[0] == 200
    assert await first.end() == 0
    for command in (first, second):
        assert "Traceback" not in command.log

    # An end in order leaves nothing to wait for.
    assert await second.end() == 0
    first = await wings.start("first", mine)
    await first.says("server.listening")
