"""The floor: a loop of write(2), with the frame made beforehand. It notices neither slow receivers nor dead ones."""

from __future__ import annotations

import asyncio
import os

from websockets.frames import Frame, Opcode

from bench.peers import _obey
from bench.peers.contract import Obedient

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class BareWrite(Obedient):
    """Sockets of which nothing matters but their descriptors."""

    name = "a bare write(2) loop"
    module = "bench.peers.bare_write"

    def version(self) -> str:
        """Say how it is set up."""
        return "os.write in a loop over the descriptors, the frame made once"


async def _serve() -> tuple[_obey.Listening, _obey.Publish]:
    files: list[int] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        files.append(writer.get_extra_info("socket").fileno())
        await reader.read()

    def publish(message: str) -> None:
        data = Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
        write = os.write
        for file in files:
            write(file, data)

    return await asyncio.start_server(take, "127.0.0.1", 0, backlog=1_024), publish


if __name__ == "__main__":
    _obey.run(_serve)
