"""`lockstep subscribe` as a process of its own would run it, against a real hub."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from kernel.errors import SettingsError
from lockstep.commands.subscribe import readable, socket_url, subscribe
from tests.hub.io.test_driver import Rig, running
from tests.hub.makers import at

if TYPE_CHECKING:
    from asyncio.subprocess import Process

app = typer.Typer()
app.command()(subscribe)

PATIENCE_S = 60.0
"""A limit for a hanging machine, never a measurement."""

PROGRAM = "import typer; from lockstep.commands.subscribe import subscribe; typer.run(subscribe)"


async def start(rig: Rig, *more: str, token: str = "server", event: str = "game") -> Process:
    url = f"http://127.0.0.1:{rig.port}"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, "--event", event, "--token", token, *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def frame(process: Process, op: str) -> dict[str, Any]:
    assert process.stdout is not None
    while True:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert line, "the process ended"
        message: dict[str, Any] = json.loads(line)
        if message["op"] == op:
            return message


async def test_every_frame_a_line_until_the_count() -> None:
    async with running() as rig:
        process = await start(rig, "--json", "--mode", "edge", "--count", "2", "--types", "play, score")
        assert (await frame(process, "hello"))["received"] > 1_700_000_000_000
        assert (await frame(process, "sub"))["types"] == ["play", "score"]
        rig.segment(0)
        for o in range(3):
            rig.publish(o, at(1), body={"txt": "é"})
        assert [(await frame(process, "cue"))["txt"] for _ in range(2)] == ["é", "é"]
        assert await process.wait() == 0


async def test_msgpack_and_filters_come_out_the_same() -> None:
    async with running() as rig:
        options = ("--json", "--mode", "edge", "--format", "msgpack", "--count", "1")
        process = await start(rig, *options, "--markets", "m1, m2", "--teams", "HOM", "--conflate-ms", "250")
        sub = await frame(process, "sub")
        assert (sub["markets"], sub["teams"], sub["conflate_ms"]) == (["m1", "m2"], ["HOM"], 250)
        rig.segment(0)
        rig.publish(0, at(1), body={"txt": "no", "team": "AWY"})
        rig.publish(1, at(1), body={"txt": "é", "team": "HOM"})
        assert (await frame(process, "cue"))["txt"] == "é"
        assert await process.wait() == 0


async def test_it_comes_back_and_goes_on_where_it_was() -> None:
    async with running() as rig:
        process = await start(rig, "--json", "--mode", "edge", "--count", "2")
        await frame(process, "hb")
        rig.segment(0)
        rig.publish(0, at(1))
        assert (await frame(process, "cue"))["o"] == 0
        for socket in list(rig.hub.sockets.values()):
            socket.transport.abort()
        rig.publish(1, at(1.5))
        assert (await frame(process, "sub"))["resumed"] is True
        assert (await frame(process, "cue"))["o"] == 1
        assert await process.wait() == 0


async def test_readable_lines() -> None:
    async with running() as rig:
        process = await start(rig, "--mode", "edge", "--count", "1")
        await asyncio.wait_for(rig.hub.subscribed.wait(), PATIENCE_S)
        rig.segment(0)
        rig.publish(0, at(1), body={"txt": "dunk"})
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (b"dunk" in out, err, process.returncode) == (True, b"", 0)


async def test_a_refusal_is_said_on_stderr() -> None:
    async with running() as rig:
        process = await start(rig, token="forged")
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (out, process.returncode) == (b"", 1)
        assert b"unauthorized (4501)" in err
        wrong = await start(rig, "--mode", "edge", token="viewer")
        assert b"scope_missing" in (await asyncio.wait_for(wrong.communicate(), PATIENCE_S))[1]
        assert wrong.returncode == 1


async def test_a_server_that_goes_away_is_no_failure() -> None:
    async with running() as rig:
        process = await start(rig, "--json", "--mode", "edge", "--retry-for", "0")
        await frame(process, "sub")
        await rig.hub.drain()
        assert (await frame(process, "bye"))["code"] == 4412
        assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_quietly(number: signal.Signals) -> None:
    async with running() as rig:
        process = await start(rig, "--json", "--mode", "edge")
        await frame(process, "hb")
        process.send_signal(number)
        _out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (err, process.returncode) == (b"", 0)


async def test_no_server_is_said() -> None:
    rig = Rig.__new__(Rig)
    rig.port = 1
    process = await start(rig)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    assert b"no connection to ws://127.0.0.1:1/" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--event", "a b", "--token", "t"],
        ["ftp://x", "--event", "e", "--token", "t"],
        ["--event", "e", "--token", "a b"],
        ["--event", "e", "--token", "t", "--format", "xml"],
        ["--event", "e"],
    ],
)
def test_wrong_arguments_are_named(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_socket_urls() -> None:
    path = "/api/v1/wagering/subscribe?event_id=e"
    assert socket_url("http://h:1", "e") == "ws://h:1" + path
    assert socket_url("https://h/base/", "e") == "wss://h/base" + path
    with pytest.raises(SettingsError):
        socket_url("h:1", "e")


def test_a_readable_line() -> None:
    cue = {"tl": 1, "pts": 135_000, "type": "score", "kind": "amend", "txt": "3PT\x1b[2J", "late_ms": 40}
    full = cue | {"clock": {"period": 4, "ms": 61_500}, "score": {"home": 99, "away": 98}}
    assert (
        readable(full)
        .split("  ", 1)[1]
        .strip()
        .endswith("score       Q4 01:01  99:98  [amend]  3PT?[2J  (late by 40 ms)")
    )
    assert readable({"type": "suspend", "id": "a:1"}).split() == ["at", "once", "suspend", "a:1"]
