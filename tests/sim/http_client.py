"""The least HTTP/1.1 client there is, for vendors and players: one request a connection, over any loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reply(NamedTuple):
    """What came back; `whole` says whether the body has the length it was announced to have."""

    status: int
    body: bytes
    whole: bool
    missing: int = 0
    """How many bytes of it have not come."""


class _OneRequest(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = bytearray()
        self._wanted = 0
        self.done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) < self._wanted:
            # A body of 600 kB comes in slices of a few bytes: read anew for each of them it takes a minute.
            return
        reply = _parse(bytes(self._received))
        if reply is not None and not reply.whole:
            self._wanted = len(self._received) + reply.missing
        elif reply is not None:
            self._settle(reply)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(_parse(bytes(self._received)))

    def _settle(self, reply: Reply | None) -> None:
        if self.done.done():
            return
        if reply is None:
            self.done.set_exception(ConnectionResetError("no answer"))
        else:
            self.done.set_result(reply)


def _parse(data: bytes) -> Reply | None:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.decode("latin-1").split("\r\n")
    length = next((int(line[15:]) for line in lines[1:] if line.lower().startswith("content-length:")), 0)
    return Reply(int(lines[0].split(" ")[1]), body, len(body) >= length, max(0, length - len(body)))


async def request(
    method: str, path: str, *, headers: Mapping[str, str] = {}, body: bytes = b"", timeout_s: float = 5.0
) -> Reply:
    """Ask the simulated server.

    Raises:
        OSError, TimeoutError: there was no answer.
    """
    fields = {"Host": "server", "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    raw = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
    async with asyncio.timeout(timeout_s):
        transport, protocol = await asyncio.get_running_loop().create_connection(lambda: _OneRequest(raw), "server", 80)
        try:
            return await protocol.done
        finally:
            transport.close()
