"""What the Python servers among the peers share: a pipe that says what to publish, on uvloop, as ours has it."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import uvloop

Publish = Callable[[str], None]


class Listening(Protocol):
    """A server of asyncio's kind."""

    @property
    def sockets(self) -> Iterable[socket.socket]:
        """Return what it listens on."""
        ...


def run(serve: Callable[[], Awaitable[tuple[Listening, Publish]]]) -> None:
    """Run a server until its stdin ends.

    Args:
        serve: starts it, and returns it with what sends one message to all.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def obey() -> None:
        server, publish = await serve()
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            for message in json.loads(line):
                publish(message)
            print("done", flush=True)

    uvloop.run(obey())
