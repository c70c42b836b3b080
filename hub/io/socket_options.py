"""Options of accepted sockets, through their transports."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def set_options(transport: asyncio.BaseTransport, *options: tuple[int, int, int]) -> None:
    """Set (level, option, value) on a transport's TCP socket, and TCP_NODELAY with them.

    uvloop sets TCP_NODELAY by itself; asyncio does not where the listening socket was made without a protocol number.

    A socket of another family (Unix, for a proxy beside us) has no such options and is left as it is. So is one whose
    peer has gone already: its transport finds out by itself.
    """
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # One view for all: uvloop makes and dissolves one for every option.
    view = socket.socket(raw.family, raw.type, raw.proto, fileno=raw.fileno())
    try:
        with contextlib.suppress(OSError):
            view.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for level, option, value in options:
                view.setsockopt(level, option, value)
    finally:
        view.detach()
