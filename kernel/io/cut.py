"""End a connection so that nothing that still waits in it reaches the peer.

Closing or aborting a transport leaves the kernel what it has taken: megabytes that a slow client goes on reading for
seconds. With SO_LINGER at zero the kernel throws them away and resets the connection (tcp(7), socket(7)), once the
transport has closed it: in a later turn of the loop, which is late where thousands are cut together. So the connection
is dissolved at once, by connecting to no address (connect(2), AF_UNSPEC); where a system does not know that, the other
does it.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

EXTENSION = "lockstep.connection"
"""Where in an ASGI scope's `extensions` the connection stands that the request came over."""

_LINGER_NOT = struct.pack("ii", 1, 0)
_LIBC = ctypes.CDLL(None)
_NO_ADDRESS = bytes(16)
"""A `struct sockaddr` of the family AF_UNSPEC, which is 0; Python's `connect` takes none but of the socket's own."""


class Connection(Protocol):
    """What a request came over, as far as an application may have a say in it."""

    def cut(self) -> None:
        """End it; nothing more reaches the peer."""
        ...

    def when_lost(self, tell: Callable[[Connection], None]) -> None:
        """Have `tell` called with this connection once it is gone; asking twice for the same is asking once."""
        ...


def connection_of(scope: Mapping[str, Any]) -> Connection | None:
    """Return the connection of a request, None where the server does not offer it."""
    return cast("Connection | None", scope.get("extensions", {}).get(EXTENSION))


def cut(transport: asyncio.Transport) -> None:
    """Reset a connection: what our buffers and the kernel's hold is thrown away."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
        # The peer may be gone already; then there is nothing to throw away.
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            # Nothing is read or written here any more: `abort` is in the same turn.
            _LIBC.connect(raw.fileno(), _NO_ADDRESS, len(_NO_ADDRESS))
    transport.abort()
