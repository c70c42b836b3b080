"""An HTTP server that says exactly the bytes it is told to, broken ones too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from tests.support.serving import serving

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class CannedHttp:
    """Answer requests by their path; keeps what was asked.

    Args:
        answers: what to do by path: bytes are written as they stand and the connection is closed, a function gets
            the request's head and the writer.
    """

    def __init__(self, answers: Mapping[str, bytes | Answer]) -> None:
        self.answers = dict(answers)
        self.heads: list[str] = []
        self.url = ""

    @property
    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [head.split(" ", 2)[1] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                answer = self.answers[head.split(" ", 2)[1]]
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(head, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def ok(body: bytes, *fields: str) -> bytes:
    """Return a whole answer with status 200."""
    return answer(200, body, f"Content-Length: {len(body)}", *fields)


def answer(status: int, body: bytes, *fields: str) -> bytes:
    """Return an answer with these fields and no others."""
    return f"HTTP/1.1 {status} X\r\n{''.join(field + chr(13) + chr(10) for field in fields)}\r\n".encode() + body


@contextlib.asynccontextmanager
async def canned_http(answers: Mapping[str, bytes | Answer]) -> AsyncIterator[CannedHttp]:
    """Serve on a free port of the loopback for as long as the block runs."""
    canned = CannedHttp(answers)
    async with serving(canned.serve) as server:
        canned.url = f"http://127.0.0.1:{server.port}"
        yield canned
