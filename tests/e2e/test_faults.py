"""One process, and what can befall it: judged by the invariants, from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.io.system_time import wall
from tests.e2e.evening import before, evening, picture_goes_on, server_token, short_segments
from tests.e2e.stage import Command, Stage
from tests.e2e.vendor import Vendor, play

SEED = 20_261_126
FAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"
"""Debian's package `faketime`, which `make test` installs."""


@pytest.fixture(autouse=True)
def _short_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_HEARTBEAT_MS", "500")


@pytest.fixture
async def origin(stage: Stage) -> str:
    """Start a live stream of short segments: what takes several of them is soon seen."""
    return await stage.origin(await short_segments(stage.folder), "--loop", "--window", "12")


async def _served(stage: Stage, origin: str, *options: str) -> tuple[Command, str]:
    server, url = await stage.serve(origin, "--source", "desk=lockstep", *options)
    assert isinstance(server, Command)
    return server, url


async def test_an_origin_and_clients_behind_a_bad_network(stage: Stage, origin: str) -> None:
    async with before(origin, seed=SEED) as (pictures, shaken):
        server, url = await _served(stage, shaken)
        async with (
            before(url, seed=SEED + 1) as (words, told),
            before(url, seed=SEED + 2) as (cues, heard),
            evening(stage, url) as one,
        ):
            one.watch(url)
            direct, shaken_one = await one.follow(url, heard)
            desk = one.play(told, behind_s=0.5)
            # Late and in crumbs: everything comes.
            for proxy in (pictures, words, cues):
                proxy.delay(0.02, 0.08)
            cues.crumble(7)
            words.crumble(7)
            pictures.crumble(1_400)
            await one.caught_up()
            # Resets in the middle of answers, of messages, of segments.
            cues.reset(within=6_000)
            words.reset(within=3_000)
            pictures.reset(within=60_000)
            n_answers, n_connections = len(desk.answers), shaken_one.connections
            await desk.answered(0, after=n_answers, count=3)
            await desk.answered(200, after=n_answers)
            await shaken_one.gets(lambda frame: frame["op"] == "hello" and shaken_one.connections > n_connections + 1)
            for proxy in (pictures, words, cues):
                await proxy.heal()
            await one.caught_up()
            # A black hole where the origin was: no picture, so no cue of one, and no bets.
            pictures.stall()
            after = len(direct.frames)
            await direct.gets(lambda frame: frame["op"] == "hb" and not frame["may_wager"], after=after)
            await pictures.heal()
            await one.caught_up()
            # The client's own way is one: it says so by itself, and is told the rest afterwards.
            cues.stall()
            async with asyncio.timeout(30):
                while shaken_one.may_wager:
                    await direct.gets(lambda frame: frame["op"] == "hb", after=len(direct.frames))
            await cues.heal()
            await one.caught_up()
            await one.judge()
        assert "Traceback" not in server.log


def _is(id_: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: frame.get("id") == id_


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[None]:
    """Have a folder be a disk of 6 MB; skip where we may not mount one."""
    await asyncio.to_thread(folder.mkdir)
    if await _run("mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "none", str(folder)) != 0:
        pytest.skip("a small disk takes the right to mount one: run as root")
    try:
        yield
    finally:
        assert await _run("umount", "--lazy", str(folder)) == 0


async def _run(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    return await process.wait()


def _fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


async def test_a_full_disk_takes_no_messages_and_stops_no_picture(stage: Stage, origin: str) -> None:
    async with small_disk(stage.data_dir):
        server, url = await _served(stage, origin)
        async with evening(stage, url) as one:
            checker = one.watch(url)
            (follower,) = await one.follow(url)
            # Told three seconds ahead: what is acknowledged before waits for its picture while there is no room.
            desk = one.play(url, behind_s=-3.0)
            await one.caught_up()
            ballast = stage.data_dir / "ballast"
            await asyncio.to_thread(_fill, ballast)
            n_answers = len(desk.answers)
            await desk.answered(503, after=n_answers, count=3)
            await server.says("journal.failed")
            # A suspend is not acknowledged either, and yet it is out: it waits for no disk.
            stop = {"id": "s1", "op": "new", "type": "suspend", "body": {"mid": "a"}}
            assert (await desk.vendor.post("s1", stop)).status_code == 503
            await follower.gets(_is("desk:s1"))
            await picture_goes_on(checker.playlist, 4)
            assert set(desk.answers[n_answers:][-3:]) == {503}
            await asyncio.to_thread(ballast.unlink)
            await desk.answered(202, after=len(desk.answers))
            await one.caught_up()
            await one.judge()
        assert await server.end() == 0
        assert "Traceback" not in server.log


async def test_a_process_that_was_stopped_says_so_before_it_goes_on(stage: Stage, origin: str) -> None:
    # Longer than two target durations (a stalled picture), two intervals (a silent vendor), three seconds of silence.
    await stop_for(stage, origin, segments=8)


async def stop_for(stage: Stage, origin: str, *, segments: int) -> None:
    """Stop a server for so many segments of its origin, and see what it says when it goes on."""
    server, url = await _served(stage, origin)
    async with evening(stage, url) as one:
        one.watch(url)
        (follower,) = await one.follow(url)
        desk = one.play(url, behind_s=0.3)
        await desk.promise(0.5)
        await one.caught_up()
        assert follower.may_wager
        server.process.send_signal(signal.SIGSTOP)
        await picture_goes_on(origin, segments)
        assert not follower.may_wager
        after = len(follower.frames)
        server.process.send_signal(signal.SIGCONT)
        beat = await follower.gets(lambda frame: frame["op"] == "hb", after=after)
        assert not beat["may_wager"]
        await follower.gets(_is("desk:~health"), after=after)
        await one.caught_up()
        assert follower.may_wager
        await one.judge()
    assert "Traceback" not in server.log


def _set_clock(path: Path, step_s: int) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(f"{step_s:+d}s\n", "utf-8")
    draft.replace(path)


async def _refused(url: str, token: str) -> tuple[int, str]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/hls/{token}/game/index.m3u8")
        return answer.status_code, str(answer.json()["reason"])


async def test_a_wall_clock_that_is_set_moves_nothing_but_tokens(
    stage: Stage, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FAKETIME.exists(), "run `make test`: it installs faketime"
    clock, step_s = stage.folder / "clock", 0
    _set_clock(clock, 0)
    with monkeypatch.context() as faked:
        faked.setenv("LD_PRELOAD", str(FAKETIME))
        faked.setenv("FAKETIME_TIMESTAMP_FILE", str(clock))
        faked.setenv("FAKETIME_NO_CACHE", "1")
        faked.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        server, url = await _served(stage, origin)
    short = await asyncio.to_thread(server_token, stage.data_dir, ttl_s=1_800)
    async with evening(stage, url) as one:
        checker = one.watch(url)
        (follower,) = await one.follow(url)
        # It tells when things happen by a clock that is right, and signs by the server's, or it would not be believed.
        one.play(url, behind_s=0.3, clock=lambda: wall() + step_s)
        honest = Vendor(url, stage.data_dir)
        for number, (step, reason) in enumerate(((3_600, "expired"), (-3_600, "not_yet_valid"))):
            await one.caught_up()
            await asyncio.to_thread(_set_clock, clock, step)
            step_s = step
            # What says no time is placed by when it came.
            answer = await one.desk.vendor.post(f"n{number}", {**play(f"n{number}", 0.0), "occurred_at": None})
            assert answer.status_code == 202
            now = await follower.gets(_is(f"desk:n{number}"))
            assert abs(now["wall"] - now["received"]) < 60_000
            await picture_goes_on(checker.playlist, 2)
            assert await _refused(url, short) == (403, reason)
            # Whose signature is an hour off is not believed, whosever clock it is.
            assert (await honest.post(f"honest{number}", [])).status_code == 401
        await honest.aclose()
        await server.says_often("clock.stepped", 2)
        await one.caught_up()
        await one.judge()
        assert follower.connections == 1
        for cue in follower.cues:
            happened = cue.get("told")
            assert happened is None or abs(cue["wall"] - happened) < 100
    assert "Traceback" not in server.log
