"""A real redis-server for tests: a port, a folder and a process of its own, ended by its id."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from kernel.io.redis_link import RedisLink
from tests.support.ports import HeldPort

PATIENCE_S = 30.0
"""How long it may take to start before the test fails."""


class RedisServer:
    """Run one redis-server on loopback.

    Args:
        folder: where it keeps its data.
        appendonly: whether it keeps any, synchronised every second.
        password: that clients must give.
    """

    def __init__(self, folder: Path, *, appendonly: bool = False, password: str | None = None) -> None:
        self.folder = folder
        self._held = HeldPort()
        self.port = self._held.number
        self._appendonly = appendonly
        self._password = password
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Return what `--bus` takes."""
        return f"redis://{f':{self._password}@' if self._password else ''}127.0.0.1:{self.port}/0"

    async def start(self) -> Self:
        """Start it and wait until it answers."""
        command = shutil.which("redis-server")
        assert command, "run `make test`: it installs redis-server"
        self._process = await asyncio.create_subprocess_exec(
            command, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
            "--appendonly", "yes" if self._appendonly else "no", "--appendfsync", "everysec",
            *(("--requirepass", self._password) if self._password else ()),
            stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
        )  # fmt: skip
        link = RedisLink(self.url)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    if (await link.call(("PING",)))[0] == b"PONG":
                        break
                except Exception:
                    assert self._process.returncode is None, "redis-server has ended"
                    await asyncio.sleep(0.01)
        await link.aclose()
        return self

    async def ask(self, *words: bytes | str | int) -> object:
        """Run one command and return its answer."""
        link = RedisLink(self.url)
        try:
            return (await link.call(words))[0]
        finally:
            await link.aclose()

    def stop_answering(self) -> None:
        """Freeze it: it takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    async def aclose(self) -> None:
        """End it and give its port back."""
        await self.kill()
        self._held.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None  # it was started
        os.kill(self._process.pid, number)


@asynccontextmanager
async def redis_server(
    folder: Path, *, appendonly: bool = False, password: str | None = None
) -> AsyncIterator[RedisServer]:
    """Run a server as long as the block lasts."""
    server = RedisServer(folder, appendonly=appendonly, password=password)
    try:
        yield await server.start()
    finally:
        await server.aclose()
