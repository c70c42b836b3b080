"""A TCP server for tests' own ends of a conversation, which leaves nothing open behind it."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


class Serving:
    """Listen on a free port of the loopback and serve each connection by a task of its own.

    `asyncio.start_server` makes the task itself when it is given a coroutine. One that is cancelled before its first
    step does nothing at all: nobody would close its connection, and the warning would come in somebody else's test.

    Args:
        serve: what to do with a connection, which is closed when that ends, however it ends.
        limit: of what `readuntil` reads, in bytes.
    """

    def __init__(self, serve: Serve, *, limit: int = 64 * 1024) -> None:
        self._serve = serve
        self._limit = limit
        self._served: dict[asyncio.Task[None], StreamWriter] = {}
        self._is_over = False
        self.port = 0

    async def start(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=self._limit)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def aclose(self) -> None:
        """End everything."""
        self._is_over = True
        self._server.close()
        served = dict(self._served)
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        for writer in served.values():
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in served.values()), return_exceptions=True)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self._is_over:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._one(reader, writer))
        self._served[task] = writer
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._served.pop(task).close()

    async def _one(self, reader: StreamReader, writer: StreamWriter) -> None:
        await self._serve(reader, writer)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Serving]:
    """Serve as long as the block lasts."""
    one = await Serving(serve).start()
    try:
        yield one
    finally:
        await one.aclose()
