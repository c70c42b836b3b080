"""Subscribe from Python: `async for frame in Client(...)`, with resume, back-off and a verified state."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from hub.client import MAX_MISMATCHES, Session
from hub.messages import pack, unpack_frame
from kernel.errors import LockstepError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from hub.subscriber import Format

log = structlog.get_logger("client")

_OPEN_TIMEOUT_S = 10.0
_MAX_FRAME_BYTES = 1 << 20
"""A cue is under 1 KiB, a piece of a snapshot 8: a server that sends 1 MiB in one frame is none of ours."""

_SILENCE_S = 10.0
"""After how long without any frame the connection is given up: three heartbeats and a ping have been missed."""


class Refused(LockstepError):
    """The server does not want us back; `code` and `reason` are its own."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"closed by the server: {reason} ({code})")
        self.code = code
        self.reason = reason


class GaveUp(LockstepError):
    """The connection was lost and could not be had again in the time that was set for it."""

    def __init__(self, why: str, bye: Mapping[str, Any]) -> None:
        super().__init__(why)
        self.bye = bye


@dataclass(slots=True)
class _Loss:
    """How a connection ended."""

    why: str = "the connection was lost"
    code: int | None = None
    bye: Mapping[str, Any] = field(default_factory=dict)
    is_final: bool = False


@dataclass(slots=True)
class Client:
    """Yield a subscription's frames, repeated cues left out, over as many connections as it takes.

    Args:
        url: the socket's address, `ws://` or `wss://`, with its `event_id`.
        token: called for each connection: a session token, fresh enough.
        wish: the fields of `sub`, without `cur`.
        fraction: gives random numbers from 0 up to 1.
        format_: what stands on the wire.
        retry_for_s: how long to try to come back, in seconds; 0: not at all; None: for ever.
    """

    url: str
    token: Callable[[], str]
    wish: Mapping[str, Any]
    fraction: Callable[[], float]
    format_: Format = "json"
    retry_for_s: float | None = None
    session: Session = field(init=False)
    _was_there: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        self.session = Session(self.wish)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what comes, as `frames` does; who leaves early closes that generator instead."""
        return self.frames()

    async def frames(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what comes, until the server refuses us or cannot be reached any more.

        Raises:
            Refused: coming back would change nothing.
            GaveUp: the server could not be reached, or not again.
        """
        now = asyncio.get_running_loop().time
        give_up_at: float | None = None
        farewell: Mapping[str, Any] = {}
        while True:
            lost = _Loss()
            async for frame in self._connection(lost):
                give_up_at, farewell = None, lost.bye
                yield frame
            wait_s = self.session.wait_s(lost.code, lost.bye.get("retry_ms"), self.fraction())
            if wait_s is None or lost.is_final:
                raise Refused(lost.code, str(lost.bye.get("reason", lost.why)))
            if give_up_at is None and self.retry_for_s is not None:
                give_up_at = now() + (self.retry_for_s if self._was_there else 0.0)
            if give_up_at is not None and now() + wait_s >= give_up_at:
                raise GaveUp(lost.why, farewell)
            log.info("client.waits", wait_s=round(wait_s, 3), why=lost.why)
            await asyncio.sleep(wait_s)

    async def _connection(self, lost: _Loss) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the frames of one connection, and note how it ended."""
        try:
            async with self._connect() as socket:
                async for frame in self._listen(socket):
                    if frame.get("op") == "bye":
                        lost.bye = frame
                    yield frame
            lost.code = lost.bye.get("code", socket.close_code)
        except InvalidStatus as error:
            lost.why = f"the server refused the socket: {error}"
            # RFC 9110, 15.5: the same request would fail again. 429 is the exception.
            lost.is_final = error.response.status_code in range(400, 500) and error.response.status_code != 429
        except (OSError, TimeoutError, InvalidHandshake) as error:
            lost.why = f"no connection to {self.url}: {str(error) or 'timed out'}"

    def _connect(self) -> connect:
        return connect(
            self.url,
            additional_headers={"Authorization": f"Bearer {self.token()}"},
            subprotocols=[Subprotocol(f"lockstep.v1.{self.format_}")],
            compression=None,
            max_size=_MAX_FRAME_BYTES,
            open_timeout=_OPEN_TIMEOUT_S,
            proxy=None,
        )

    async def _listen(self, socket: ClientConnection) -> AsyncGenerator[dict[str, Any], None]:
        now, session = asyncio.get_running_loop().time, self.session
        # Refused already, perhaps: what the server said about it is still to be read.
        with contextlib.suppress(ConnectionClosed):
            await self._send(socket, session.connected())
        # The loop ends without a word when the server has closed, whatever the code (RFC 6455, 7.4.1).
        with contextlib.suppress(ConnectionClosed):
            while True:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with a frame.
                async with asyncio.timeout(_SILENCE_S):
                    data = await socket.recv()
                frame = unpack_frame(data)
                self._was_there = True
                if session.receive(frame, now()):
                    yield frame
                for message in session.take_outgoing():
                    log.warning("client.state_differs", mismatches=session.mismatches)
                    await self._send(socket, message)
                if session.mismatches >= MAX_MISMATCHES:
                    log.error("client.state_differs", mismatches=session.mismatches)
                    session.mismatches = 0
                    return

    async def _send(self, socket: ClientConnection, message: Mapping[str, Any]) -> None:
        await socket.send(json.dumps(message) if self.format_ == "json" else pack(message))
