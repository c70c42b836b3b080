"""How long a connection may keep us waiting once its request is known, and requests that are answered at once.

uvicorn waits for ever for the rest of a body that nobody reads any more, and for a client that takes nothing of its
answer; either costs an attacker one packet a minute. What can be answered from memory is answered within the parser's
call, without a task: a playlist is asked for again and again by every viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import structlog

from lockstep.guard import GuardedHttp
from lockstep.outgoing import outgoing_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from lockstep.guard import Refused

log = structlog.get_logger("http")

RELIED_ON = ("on_response_complete", "pause_writing", "resume_writing", "shutdown", "timeout_keep_alive_handler")
"""Methods of uvicorn's HttpToolsProtocol that are called or overridden here, beside the guard's."""


MAX_UNSENT_BYTES = 64 << 10
"""Of answers to requests that came in one packet; beyond it they are sent, and the transport's own limit holds."""


class AtOnce(Protocol):
    """Answer a GET without a body, or say that it must go to the application."""

    def __call__(self, target: bytes, headers: Sequence[tuple[bytes, bytes]], peer: str) -> bytes | None:
        """Return header fields, an empty line and the body of a 200, or None.

        Args:
            target: as it stands in the request line.
            headers: names in lower case.
            peer: the client's address.
        """
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take.

    Args:
        linger_s: for the rest of a request's body once it is answered; nginx's lingering_timeout.
        stall_s: to take anything of an answer, whose bytes are kept for it; nginx's send_timeout.
    """

    linger_s: float = 5.0
    stall_s: float = 60.0


class PatientHttp(GuardedHttp):
    """Serve HTTP/1.1 as the guard does, to clients that go on."""

    patience: ClassVar[Patience] = Patience()
    at_once: ClassVar[AtOnce | None] = None

    _lingering: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _answer: bytes | None = None
    # Answers of this turn, in their order.
    _unsent = b""
    # Who asks, where a subclass knows it better than the connection does.
    _asker = ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._stop_lingering()
        self._stop_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see that some timer runs afterwards."""
        super().data_received(data)
        if self._upgrades:
            # It is the socket's connection now.
            return
        idle = self._in_head and not self._answering() and self.timeout_keep_alive_task is None
        if idle and not self._closed and not self.transport.is_closing():
            # The answer was out before the body was in: uvicorn's timer was stopped, and runs no more.
            self._start_deadline()

    def pause_writing(self) -> None:
        """Give the client a time within which it must take something."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.patience.stall_s, self._end)

    def resume_writing(self) -> None:
        """Go on."""
        self._stop_stalled()
        super().resume_writing()

    def shutdown(self) -> None:
        """Let what has been answered go out first."""
        self.send_answers()
        super().shutdown()

    def on_response_complete(self) -> None:
        """Bound how long the rest of the body may take."""
        super().on_response_complete()
        if not self._in_head and self._lingering is None and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._lingering = self.loop.call_later(self.patience.linger_s, self._end)

    def on_message_complete(self) -> None:
        """Answer what can be answered at once; expect a further head."""
        self._stop_lingering()
        answer, self._answer = self._answer, None
        if answer is None:
            super().on_message_complete()
            return
        self._in_head = True
        close = not self.parser.should_keep_alive()
        fields = b"".join([b"%b: %b\r\n" % field for field in self.server_state.default_headers])
        if not self._unsent:
            outgoing_of(self.loop).add(self.loop, self.send_answers)
        self._unsent += b"HTTP/1.1 200 OK\r\n%b%b%b" % (fields, b"connection: close\r\n" if close else b"", answer)
        if close or len(self._unsent) > MAX_UNSENT_BYTES:
            self.send_answers()
        if close:
            self.transport.close()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_answers(self) -> None:
        """Send what has been answered at once in this turn of the loop; what comes next on this connection follows."""
        unsent, self._unsent = self._unsent, b""
        if unsent and not self.transport.is_closing():
            self.transport.write(unsent)

    def _refuse(self, refusal: Refused) -> None:
        self.send_answers()
        super()._refuse(refusal)

    def _upgrade(self, rest: bytes) -> None:
        self.send_answers()
        super()._upgrade(rest)

    def _is_answered_at_once(self) -> bool:
        if self.at_once is None or self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1":
            return False
        # With bytes still unsent the application's back-pressure holds; a body, and an upgrade, are its business too.
        if self._answering() or self.parser.should_upgrade() or self.transport.get_write_buffer_size():
            return False
        if any(name in (b"content-length", b"transfer-encoding", b"expect") for name, _ in self.headers):
            return False
        try:
            self._answer = self.at_once(self.url, self.headers, self._asker or (self.client[0] if self.client else ""))
        except Exception:
            # A fault of ours: not the client's, as the parser would have it. The application has its own answer.
            log.exception("at_once.failed")
        return self._answer is not None

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _end(self) -> None:
        self._closed = True
        self.transport.abort()
