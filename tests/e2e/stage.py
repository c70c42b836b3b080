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
from typing import Any, Protocol

from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims
from lockstep.keys import read_keys
from tests.support.ports import HeldPort

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "out"
PATIENCE_S = 120.0
"""How long anything may take before the test fails: a limit for a hanging machine, never a measurement."""


class Server(Protocol):
    """What serves a showing: one process, or several."""

    @property
    def log(self) -> str:
        """Return what it has logged so far."""
        ...

    async def says(self, event: str) -> dict[str, Any]:
        """Wait until its log holds an event and return that line."""
        ...

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        ...

    async def says_often(self, event: str, count: int) -> None:
        """Wait until its log holds an event so many times."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        ...

    def kill(self) -> None:
        """Send it SIGKILL."""
        ...

    async def exit_code(self) -> int:
        """Wait for its end."""
        ...


class Command:
    """One of our commands as a process. Its log is kept, its output is read line by line."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log = ""
        self._log_ended = False
        self._grew = asyncio.Condition()
        self._logging = asyncio.create_task(self._keep_log())

    async def _keep_log(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            async with self._grew:
                self.log += line.decode()
                self._grew.notify_all()
        async with self._grew:
            self._log_ended = True
            self._grew.notify_all()

    async def says(self, event: str) -> dict[str, Any]:
        """Wait until its log holds an event and return that line."""
        wanted = f'"event": "{event}"'
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(lambda: wanted in self.log or self._log_ended)
        for line in self.log.splitlines():
            if wanted in line:
                told: dict[str, Any] = json.loads(line)
                return told
        raise AssertionError(f"it ended without saying {event}:\n{self.log}")

    async def says_often(self, event: str, count: int) -> None:
        """Wait until its log holds an event so many times."""
        wanted = f'"event": "{event}"'
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(lambda: self.log.count(wanted) >= count or self._log_ended)
        assert self.log.count(wanted) >= count, self.log

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
        raise AssertionError(f"it never came; the log says:\n{self.log}")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.exit_code()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.process.kill()

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE_S):
            if self.process.stdout is not None:
                # What nobody reads would keep it from ending.
                await self.process.stdout.read()
            await self._logging
            return await self.process.wait()


class Stage:
    """Start commands in a folder of their own, and see that none outlives the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self._commands: list[Command] = []
        self._ports: list[HeldPort] = []

    def port(self) -> int:
        """Return a port that is this stage's own to the end, whatever is killed and comes back on it."""
        self._ports.append(HeldPort())
        return self._ports[-1].number

    async def start(self, *arguments: str) -> Command:
        """Start `lockstep ARGUMENTS`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lockstep", *arguments,
            cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONWARNINGS": "error"},
            limit=1 << 20,
        )  # fmt: skip
        command = Command(process)
        self._commands.append(command)
        return command

    async def origin(self, folder: Path, *options: str) -> str:
        """Start a rehearsal origin and return its playlist's URL."""
        command = await self.start("origin", str(folder), "--port", "0", *options)
        url = await command.line()
        assert url.startswith("http://"), command.log
        return url

    async def serve(self, origin: str, *options: str, event: str = "game", ready: bool = True) -> tuple[Server, str]:
        """Start a server for one showing and return it with its URL, ready unless told otherwise."""
        command = await self.start(
            "serve", "--data-dir", str(self.data_dir), "--event", event, "--origin", origin,
            "--port", str(self.port()), *options,
        )  # fmt: skip
        url = str((await command.says("server.listening"))["url"])
        if ready:
            await command.says("picture.out")
        return command, url

    async def token(self, scope: str = "watch,wager", *, event: str = "game", geo: str | None = None) -> str:
        """Issue a token as the command does, without a process of its own."""
        now = int(wall())
        claims = Claims(
            jti=new_id(), account="ann", event_id=event, not_before=now - 30, expires=now + 3_600,
            window=(now - 30, now + 3_600), session=new_id(), scopes=frozenset(scope.split(",")), geo=geo,
        )  # fmt: skip
        keys = await asyncio.to_thread(read_keys, self.data_dir)
        return keys.keyring().issue(claims)

    async def printed_token(self, *options: str, event: str = "game") -> str:
        """Issue a token by the command."""
        command = await self.start(
            "token", "--data-dir", str(self.data_dir), "--event", event, "--account", "ann", *options
        )
        text = await command.line()
        assert text.count(".") == 2, command.log
        return text

    async def subscribe(self, url: str, token: str, *options: str, event: str = "game") -> Command:
        """Subscribe with `--json`."""
        return await self.start("subscribe", url, "--event", event, "--token", token, "--json", *options)

    async def aclose(self) -> None:
        """End whatever still runs, the last one first."""
        for number, command in reversed(list(enumerate(self._commands))):
            if command.process.returncode is None:
                command.process.kill()
            await command.exit_code()
            # For whoever looks into a failure; pytest keeps the folders of the last runs.
            (self.folder / f"{number}.log").write_text(command.log, "utf-8")
        for port in self._ports:
            port.close()


def is_cue(frame: dict[str, Any]) -> bool:
    """Tell a cue from other frames."""
    return frame.get("op") == "cue"
