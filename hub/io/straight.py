"""Past the transports, where nothing waits in them.

A transport looks after what the kernel does not take. Where nothing waits in it there is nothing to look after: the
bytes go to its descriptor, many sockets' at once (`hub/io/at_once.py`), and only what was not taken goes to the
transport. Nothing may overtake what waits there, so a socket says anew how it may be written to whenever its transport
says that something waits, or no longer does (`hub/io/socket.py`).

The descriptor is the transport's own, no duplicate: it costs nothing, and a connection that is cut is cut. It is good
until `connection_lost` returns; only then do asyncio and uvloop close it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.io.at_once import Batch, at_once

if TYPE_CHECKING:
    import asyncio

    from hub.group import Ways
    from hub.subscriber import Subscriber

FEW = 16
"""Fewer sockets than these are not worth it."""


def file_of(transport: asyncio.Transport) -> int:
    """Return the descriptor by which to write past a transport, -1 where that may not be.

    It may not be while something waits in the transport, once it is closing, where what goes through the socket is not
    what was written (TLS) or there is none, and where the system does not offer it.
    """
    raw = transport.get_extra_info("socket")
    if raw is None or at_once() is None or transport.get_extra_info("sslcontext") is not None:
        return -1
    if transport.is_closing() or transport.get_write_buffer_size():
        return -1
    file: int = raw.fileno()
    return file


def write_straight(ways: Ways, data: bytes) -> list[tuple[Subscriber, bytes]]:
    """Write to those who are written to past their transports; return who has not taken everything, and the rest."""
    straight = ways.straight
    if len(straight) < FEW or (together := at_once()) is None or not together.is_fit:
        return [(subscriber, data) for subscriber in straight]
    if not isinstance(ways.batch, Batch):
        ways.batch = together.batch([subscriber.file for subscriber in straight])
    return [(straight[index], data[taken:]) for index, taken in together.write(ways.batch, data)]
