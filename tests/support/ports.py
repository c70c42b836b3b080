"""Ports on loopback that stay a test's own, whoever else asks for free ones at the same time."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class HeldPort:
    """A port that is bound, and not listened on, until it is closed.

    Whoever sets SO_REUSEADDR, as servers do, may bind it too and listen, again and again; a connection is refused
    meanwhile. Linux gives it to nobody who asks for any free port. One that is only asked for, and closed again, is
    free for all at once: before it is used, and while a server that was killed is on its way back.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number = int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Let others have it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
