"""The other shape: ingest, relay and hub as processes of their own, Redis between them, a proxy in front."""

from __future__ import annotations

import asyncio
import signal
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.stage import PATIENCE_S, Command, Server, Stage
from tests.support.redis_server import RedisServer
from tests.support.serving import Serving

ROUTES = {
    b"/api/v1/feeds": "ingest",
    b"/api/v1/revocations": "ingest",
    b"/api/v1/showings": "ingest",
    b"/api/v1/policies": "ingest",
    b"/api/v1/ppv/blackout": "ingest",
    b"/api/v1/ppv/session-policy": "ingest",
    b"/api/v1/ppv/sessions": "ingest",
    b"/api/v1/ppv/stream-count": "ingest",
    b"/api/openapi.json": "ingest",
    b"/metrics": "ingest",
    b"/hls": "relay",
    b"/api/v1/wagering": "hub",
}
HEAD_BYTES = 64 * 1024


class Proxy:
    """Send each request to the house whose path it is, one request a connection, as a front end would.

    Args:
        ports: of the houses, by name.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._serving = Serving(self._serve, limit=HEAD_BYTES)
        self.url = ""

    async def start(self) -> None:
        """Listen."""
        await self._serving.start()
        self.url = f"http://127.0.0.1:{self._serving.port}"

    async def aclose(self) -> None:
        """End all connections."""
        await self._serving.aclose()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has gone: so has the other, below
        finally:
            writer.close()

    async def _relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1]
        house = next((name for prefix, name in ROUTES.items() if path.startswith(prefix)), "relay")
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._ports[house])
        if b"\r\nupgrade:" not in head.lower():
            lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
            head = b"\r\n".join([*lines, b"Connection: close", b"", b""])
        back_writer.write(head)
        there = asyncio.create_task(_pump(reader, back_writer))
        try:
            await _pump(back_reader, writer)
        finally:
            # First of all: to be ended in the middle of the wait below must not leave it open.
            back_writer.close()
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    while piece := await reader.read(64 * 1024):
        writer.write(piece)
        await writer.drain()


class Ensemble:
    """Several commands as one server."""

    def __init__(self, parts: Mapping[str, Command]) -> None:
        self.parts = dict(parts)

    @property
    def log(self) -> str:
        """Return what all of them have logged."""
        return "".join(part.log for part in self.parts.values())

    async def says(self, event: str) -> dict[str, Any]:
        """Wait until one of them says it."""
        saying = [asyncio.create_task(part.says(event)) for part in self.parts.values()]
        try:
            for first in asyncio.as_completed(saying):
                return await first
        finally:
            for task in saying:
                task.cancel()
            await asyncio.gather(*saying, return_exceptions=True)
        raise AssertionError("unreachable")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End all of them, those that others wait for last."""
        codes = [await part.end(number) for part in reversed(self.parts.values())]
        return max(codes, key=abs)

    async def says_often(self, event: str, count: int) -> None:
        """Wait until each of them has said it so many times."""
        await asyncio.gather(*(part.says_often(event, count) for part in self.parts.values()))

    def signal(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for part in self.parts.values():
            part.signal(number)

    def kill(self) -> None:
        """Kill all of them in mid-flight."""
        for part in self.parts.values():
            part.kill()

    async def exit_code(self) -> int:
        """Wait for the end of all."""
        return max([await part.exit_code() for part in self.parts.values()], key=abs)


class ApartStage(Stage):
    """A stage whose server is three processes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.redis: RedisServer | None = None
        self._proxy: Proxy | None = None
        self.ports = {name: self.port() for name in ("ingest", "relay", "hub")}

    async def start_redis(self, *, appendonly: bool = True) -> RedisServer:
        """Start the Redis of this stage, once."""
        if self.redis is None:
            folder = self.folder / "redis"
            await asyncio.to_thread(folder.mkdir)
            self.redis = await RedisServer(folder, appendonly=appendonly).start()
        return self.redis

    async def house(
        self, name: str, origin: str, *options: str, event: str = "game", port: int = 0, bus: str | None = None
    ) -> Command:
        """Start one house and wait until it listens; `bus` is where it finds Redis, if not where it is."""
        redis = await self.start_redis()
        command = await self.start(
            name, "--bus", bus or redis.url, "--data-dir", str(self.data_dir), "--event", event, "--origin", origin,
            *options, "--port", str(port),
        )  # fmt: skip
        await command.says("server.listening")
        return command

    async def serve(self, origin: str, *options: str, event: str = "game", ready: bool = True) -> tuple[Server, str]:
        """Start the three houses and a proxy before them."""
        options = tuple(_without_port(list(options)))
        if self._proxy is None:
            self._proxy = Proxy(self.ports)
            await self._proxy.start()
        names = list(self.ports)
        parts: dict[str, Command] = {}
        if not await asyncio.to_thread((self.data_dir / "keys.toml").exists):
            # `ingest` makes the keys.
            parts["ingest"] = await self.house(names.pop(0), origin, *options, event=event, port=self.ports["ingest"])
        starting = [self.house(name, origin, *options, event=event, port=self.ports[name]) for name in names]
        parts.update(zip(names, await asyncio.gather(*starting), strict=True))
        if ready:
            await parts["relay"].says("picture.out")
        return Ensemble(parts), self._proxy.url

    async def aclose(self) -> None:
        """End whatever still runs."""
        if self._proxy is not None:
            await self._proxy.aclose()
        async with asyncio.timeout(PATIENCE_S):
            await super().aclose()
            if self.redis is not None:
                await self.redis.aclose()


def _without_port(options: list[str]) -> list[str]:
    """Leave out `--port N`: the proxy's stays as it is."""
    if "--port" in options:
        at = options.index("--port")
        del options[at : at + 2]
    return options
