"""Real processes for end-to-end tests: our own commands, started, read and ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "out"
PATIENCE_S = 60.0
"""How long anything may take before the test fails: a limit for a hanging machine, never a measurement."""


class Command:
    """One of our commands as a process. Its log goes to a file, its output is read line by line."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.log = log

    async def line(self) -> str:
        """Return the next line of its output; an empty string when there is none any more."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def lines(self) -> AsyncIterator[str]:
        """Yield its output."""
        while text := await self.line():
            yield text

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Yield its output, each line being JSON."""
        async for text in self.lines():
            yield json.loads(text)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the frames up to and including the first that is wanted."""
        seen = []
        async for frame in self.frames():
            seen.append(frame)
            if wanted(frame):
                return seen
        raise AssertionError(f"it never came; the log says:\n{self.log.read_text('utf-8')}")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.exit_code()

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE_S):
            if self.process.stdout is not None:
                # What nobody reads would keep it from ending.
                await self.process.stdout.read()
            return await self.process.wait()


class Stage:
    """Start commands in a folder of their own, and see that none outlives the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self._commands: list[Command] = []

    async def start(self, *arguments: str) -> Command:
        """Start `lockstep ARGUMENTS`."""
        log = self.folder / f"{len(self._commands)}-{arguments[0]}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "lockstep", *arguments,
                cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=file, env={**os.environ, "PYTHONWARNINGS": "error"},
                limit=1 << 20,
            )  # fmt: skip
        command = Command(process, log)
        self._commands.append(command)
        return command

    async def origin(self, folder: Path, *options: str) -> str:
        """Start a rehearsal origin and return its playlist's URL."""
        command = await self.start("origin", str(folder), "--port", "0", *options)
        url = await command.line()
        assert url.startswith("http://"), command.log.read_text("utf-8")
        return url

    async def serve(self, origin: str, *options: str, event: str = "game", ready: bool = True) -> tuple[Command, str]:
        """Start a server for one showing and return it with its URL, ready unless told otherwise."""
        command = await self.start(
            "serve", "--data-dir", str(self.data_dir), "--event", event, "--origin", origin, "--port", "0", *options
        )
        url = await self._listening(command)
        if ready:
            async with httpx2.AsyncClient(trust_env=False) as client:
                async with asyncio.timeout(PATIENCE_S):
                    while (await client.get(f"{url}/readyz")).status_code != 200:
                        await asyncio.sleep(0.05)
        return command, url

    async def token(self, *options: str, event: str = "game") -> str:
        """Issue a token."""
        command = await self.start(
            "token", "--data-dir", str(self.data_dir), "--event", event, "--account", "ann", *options
        )
        text = await command.line()
        assert text.count(".") == 2, command.log.read_text("utf-8")
        return text

    async def subscribe(self, url: str, token: str, *options: str, event: str = "game") -> Command:
        """Subscribe with `--json`."""
        return await self.start("subscribe", url, "--event", event, "--token", token, "--json", *options)

    async def _listening(self, command: Command) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for line in command.log.read_text("utf-8").splitlines():
                    if '"server.listening"' in line:
                        return str(json.loads(line)["url"])
                if command.process.returncode is not None:
                    raise AssertionError(command.log.read_text("utf-8"))
                await asyncio.sleep(0.02)

    async def aclose(self) -> None:
        """End whatever still runs, the last one first."""
        for command in reversed(self._commands):
            if command.process.returncode is None:
                command.process.kill()
            await command.exit_code()


def is_cue(frame: dict[str, Any]) -> bool:
    """Tell a cue from other frames."""
    return frame.get("op") == "cue"
