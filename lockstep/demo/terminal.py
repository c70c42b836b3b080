"""`lockstep demo --terminal`: the main job without a browser, with a recorded game.

Rehearsal origin, server, replayed game and a terminal subscriber, each a process as in the field, talking over the
same wires. The subscriber prints each play the moment its picture is out.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import httpx2
import typer

from kernel.errors import LockstepError

EVENT_ID = "demo"
SOURCE = "desk"
READY_S = 30.0
"""How long the server may take until its first picture is out; a cold machine needs three seconds."""


class DemoError(LockstepError):
    """Say which part of the demo did not come up."""


async def run_in_terminal(media: Path, feed: Path, port: int, count: int | None, data_dir: Path) -> int:
    """Run all parts until the subscriber ends, and return its exit code.

    Args:
        media: recorded HLS folder.
        feed: recorded game in Lockstep's own format.
        port: of the server.
        count: end after this many cues; None: never.
        data_dir: an empty folder.

    Raises:
        DemoError: a part does not come up.
    """
    data = ["--data-dir", str(data_dir)]
    url = f"http://127.0.0.1:{port}"
    async with contextlib.AsyncExitStack() as parts:
        origin = await _part(parts, "origin", str(media), "--loop", "--port", "0", answers=True)
        playlist = await _first_line(origin, "the rehearsal origin")
        server = await _part(
            parts, "serve", *data, "--event", EVENT_ID, "--origin", playlist,
            "--source", f"{SOURCE}=lockstep", "--port", str(port), log_level="warning",
        )  # fmt: skip
        await _ready(url, server)
        token = await _first_line(
            await _part(parts, "token", *data, "--event", EVENT_ID, "--account", "demo", answers=True), "the token"
        )
        typer.echo(f"picture  {url}/hls/{token}/{EVENT_ID}/index.m3u8")
        typer.echo(f"socket   {url.replace('http', 'ws', 1)}/api/v1/wagering/subscribe?event_id={EVENT_ID}")
        typer.echo("Each play appears when its picture is out for a live viewer, never before. Ctrl-C ends.\n")
        limit = [] if count is None else ["--count", str(count)]
        subscriber = await _part(parts, "subscribe", url, "--event", EVENT_ID, "--token", token, *limit)
        await _part(
            parts, "replay", str(feed), "--vendor", "lockstep", "--source", SOURCE, "--to", url, *data, quiet=True
        )
        return await subscriber.wait()


async def _part(
    parts: contextlib.AsyncExitStack, *arguments: str, answers: bool = False, quiet: bool = False, log_level: str = ""
) -> Process:
    """Start one of our own commands, to be ended with the demo."""
    environment = ["env", f"LOCKSTEP_LOG_LEVEL={log_level}"] if log_level else []
    process = await asyncio.create_subprocess_exec(
        *environment,
        sys.executable,
        "-m",
        "lockstep",
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE if answers else None,
        stderr=DEVNULL if quiet else None,
        # Ctrl-C reaches the demo alone, which ends its parts in their order.
        start_new_session=True,
    )
    parts.push_async_callback(_end, process)
    return process


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    await process.wait()


async def _first_line(process: Process, what: str) -> str:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().strip()
    if not line:
        raise DemoError(f"{what} did not come up (exit code {await process.wait()})")
    return line


async def _ready(url: str, server: Process) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_S
    async with httpx2.AsyncClient(trust_env=False) as client:
        while loop.time() < deadline:
            if server.returncode is not None:
                raise DemoError(f"the server ended with exit code {server.returncode}: is its port free?")
            with contextlib.suppress(httpx2.TransportError):
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise DemoError(f"the server was not ready within {READY_S:g} s")
