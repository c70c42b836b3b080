"""`lockstep demo`: the main job in one command, on loopback, with a game of our own.

Rehearsal origin, server, replayed game and a terminal subscriber, each a process as in the field, talking over the
same wires. The subscriber prints each play the moment its picture is out.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from kernel.errors import LockstepError, SettingsError

EVENT_ID = "demo"
SOURCE = "desk"
READY_S = 30.0
"""How long the server may take until its first picture is out; a cold machine needs three seconds."""


class DemoError(LockstepError):
    """Say which part of the demo did not come up."""


def demo(
    media: Annotated[Path, typer.Option(help="Recorded HLS folder.")] = Path("fixtures/out/game"),
    feed: Annotated[Path, typer.Option(help="Recorded game in Lockstep's own format.")] = Path(
        "fixtures/out/game.ndjson"
    ),
    port: Annotated[int, typer.Option(help="Port of the server.")] = 8080,
    count: Annotated[int | None, typer.Option(help="End after this many cues.")] = None,
) -> None:
    """Show the main job: a live stream, a replayed game, and its plays in lockstep with the picture."""
    for path in (media, feed):
        if not path.exists():
            raise SettingsError(f"{path} is not there: run `make setup`, or name a recording of your own")
    with tempfile.TemporaryDirectory(prefix="lockstep-demo-") as folder:
        try:
            code = asyncio.run(_run(media, feed, port, count, Path(folder)))
        except KeyboardInterrupt:
            code = 0
    raise typer.Exit(code)


async def _run(media: Path, feed: Path, port: int, count: int | None, data_dir: Path) -> int:
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
