"""A subscriber's socket in uvicorn's `ws` slot: an asyncio.Protocol over websockets' pure core, without a task.

What uvicorn gives and takes (TRAPS 11): it constructs the class with `config=, server_state=, app_state=`, calls
`connection_made`, replays the handshake into `data_received`, and sets the protocol on the transport afterwards; on
shutdown it calls `shutdown()` on all in `server_state.connections` and waits until they have left it. Our own front
door has parsed the handshake already, and calls `upgrade_received` with what it says.
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from hub.close_codes import CloseCode
from hub.handshake import Refusal, judge
from hub.io.socket_options import set_options
from hub.io.straight import file_of
from kernel.strict_json import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hub.settings import HubSettings
    from hub.subscriber import Format, Subscriber

# The core logs every handshake at INFO, query string and all; the hub says itself what matters.
_QUIET = logging.getLogger("lockstep.hub.websockets")
_QUIET.setLevel(logging.ERROR)


class Desk(Protocol):
    """What a socket tells the hub."""

    settings: HubSettings

    def arrive(self, socket: Socket, event_id: str, token: str | None, origin: str | None, format_: Format) -> None:
        """Take note of an upgraded connection."""
        ...

    def heard(self, socket: Socket) -> bool:
        """Take note of a sign of life; return False if there were too many and the socket has been closed."""
        ...

    def message(self, socket: Socket, data: bytes) -> None:
        """Answer a message."""
        ...

    def refuse(self, socket: Socket, code: CloseCode, reason: str) -> None:
        """Close the connection, saying why."""
        ...

    def paused(self, socket: Socket) -> None:
        """Write to this socket only what cannot wait."""
        ...

    def resumed(self, socket: Socket) -> None:
        """Write again."""
        ...

    def lost(self, socket: Socket) -> None:
        """Forget this connection."""
        ...


class Socket(asyncio.Protocol):
    """One connection. `desk` is set by a subclass, one per hub: the class is all that uvicorn can be given."""

    __slots__ = ("_conn", "_connections", "_fragments", "_held", "address", "subscriber", "transport", "write")

    desk: ClassVar[Desk]
    transport: asyncio.Transport
    write: Callable[[bytes], None]
    """How to write to this connection: the transport's own method, except within `upgrade_received` and while something
    waits in the transport."""

    def __init__(self, *, config: object, server_state: Any, app_state: object, _loop: object = None) -> None:
        self._connections: set[object] = server_state.connections
        self._conn: ServerProtocol | None = None
        self._fragments: bytearray | None = None
        self._held: list[bytes] | None = None
        self.subscriber: Subscriber | None = None
        # Who asks, as the front door found out; empty where nobody did.
        client = app_state.get("client") if isinstance(app_state, dict) else None
        self.address: str = client[0] if client else ""

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what the kernel and the transport take in of a reader that stands still (TRAPS 13).

        The transport tells of the first byte that waits in it, and when none does any more; how much is much, we see
        to ourselves: the fan-out may go past the transport only while nothing waits there.
        """
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write
        self._connections.add(self)
        self.transport.set_write_buffer_limits(high=0)
        set_options(self.transport, (sockets.SOL_SOCKET, sockets.SO_SNDBUF, self.desk.settings.send_buffer_bytes))

    def upgrade_received(self, method: str, target: str, fields: Iterable[tuple[bytes, bytes]], rest: bytes) -> None:
        """Take the handshake as the front door has parsed it, and the bytes that came behind it.

        All that is answered goes out in one write: when ten thousand come back, system calls are the dearest part.
        """
        held: list[bytes] = []
        self._held, self.write = held, held.append
        self._conn = self._new_core(State.OPEN)
        self._handshake(method, target, fields)
        if rest and not self.transport.is_closing():
            self.data_received(rest)
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Read frames; before them the handshake, if uvicorn replays it."""
        conn = self._conn
        if conn is None:
            conn = self._conn = self._new_core(State.CONNECTING)
        conn.receive_data(data)
        for event in conn.events_received():
            if isinstance(event, Request):
                self._replayed(conn, event)
            elif isinstance(event, Frame):
                self._frame(event)
            if self.transport.is_closing():
                return
        if conn.parser_exc is not None and self.subscriber is not None:
            # RFC 6455, 7.1.7: what follows a broken frame cannot be read; the core discards it.
            self.desk.refuse(self, CloseCode.BAD_FRAME, f"bad_frame: {conn.parser_exc}")
        elif conn.handshake_exc is not None and self.subscriber is None:
            self._send()
            self._end()
        else:
            self._send()

    def eof_received(self) -> None:
        """Let the transport close: a WebSocket has no use for half a connection."""
        if self.subscriber is not None:
            self.subscriber.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the hot set first; nothing is written to a dead transport (TRAPS 16)."""
        self._connections.discard(self)
        if self.subscriber is not None:
            self.desk.lost(self)
            # The descriptor is closed when this returns, and may be another file's a moment later.
            self.subscriber.hang_up()
        # Not `_write_watched`, which holds us.
        self.write = self.transport.write
        if self._conn is not None:
            # The core and its generator hold each other: apart, they are gone at once, without the collector.
            self._conn.parser.close()

    def pause_writing(self) -> None:
        """Write past the transport no more: something waits in it. Leave the hot set if it is much."""
        self._choose_way()
        self._bound()

    def resume_writing(self) -> None:
        """Write past the transport again; who has left the hot set catches up, then comes back."""
        self._choose_way()
        if self.subscriber is not None and self.subscriber.paused_at is not None:
            self.desk.resumed(self)

    def shutdown(self) -> None:
        """Say goodbye because the server stops."""
        if self.subscriber is None:
            self.transport.close()
        else:
            self.desk.refuse(self, CloseCode.GOING_AWAY, CloseCode.GOING_AWAY.text)

    # What the hub asks for.

    def ping(self) -> None:
        """Send an RFC 6455 ping."""
        conn = self._conn
        if conn is not None and conn.state is State.OPEN:
            conn.send_ping(b"")
            self._send()

    def close(self, bye: bytes, code: CloseCode) -> None:
        """Send the framed `bye` and a Close frame, then wait for the peer's Close; the hub sets the limit."""
        conn = self._conn
        assert conn is not None  # closed by the hub means upgraded before
        if conn.state is State.OPEN:
            before = b"".join(conn.data_to_send())
            conn.send_close(code, code.text)
            self.write(before + bye + b"".join(conn.data_to_send()))
            return
        # The core has failed the connection with a code of its own; the client is to see ours, after its `bye`.
        conn.data_to_send()
        self.write(bye + Frame(Opcode.CLOSE, Close(code, code.text).serialize()).serialize(mask=False))
        self._end()

    # Within.

    def _new_core(self, state: State) -> ServerProtocol:
        return ServerProtocol(state=state, max_size=self.desk.settings.max_message_bytes, logger=_QUIET)

    def _send(self) -> None:
        assert self._conn is not None  # there is a core as soon as there are bytes
        data = b"".join(self._conn.data_to_send())
        if data and not self.transport.is_closing():
            self.write(data)

    def _choose_way(self) -> None:
        """Write as may be written now: past the transport where nothing waits in it, else with an eye on how much."""
        before = self.write
        if self._held is None:
            self.write = self._write_watched if self.transport.get_write_buffer_size() else self.transport.write
        # Who has hung up stays hung up.
        if self.subscriber is not None and self.subscriber.write is before:
            self.subscriber.write_by(self.write, -1 if self._held is not None else file_of(self.transport))

    def _write_watched(self, data: bytes) -> None:
        self.transport.write(data)
        self._bound()

    def _bound(self) -> None:
        """Leave the hot set once more waits in the transport than should."""
        subscriber = self.subscriber
        if subscriber is None or subscriber.paused_at is not None:
            return
        if self.transport.get_write_buffer_size() > self.desk.settings.send_buffer_bytes:
            self.desk.paused(self)

    def _end(self) -> None:
        """Close the connection once all is written; RFC 6455, 5.5.1: nothing comes behind a Close frame."""
        self._let_go()
        if self.subscriber is not None:
            self.subscriber.hang_up()
        self.transport.close()

    def _let_go(self) -> None:
        """Write what was held back, and hold nothing back from now on."""
        held, self._held = self._held, None
        if held is None:
            return
        if held and not self.transport.is_closing():
            self.transport.write(b"".join(held))
        self._choose_way()
        self._bound()

    def _replayed(self, conn: ServerProtocol, request: Request) -> None:
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.raw_items()]
        method, target = request.method, request.path
        # The core's parser keeps the request for as long as the connection lives: 2 KiB that nobody reads again.
        request.path = ""
        request.headers.clear()
        conn.state = State.OPEN
        self._handshake(method, target, fields)
        self._choose_way()

    def _handshake(self, method: str, target: str, fields: Iterable[tuple[bytes, bytes]]) -> None:
        verdict = judge(method, target, fields)
        if isinstance(verdict, Refusal):
            self.write(_problem(self._new_core(State.CONNECTING), verdict))
            self._end()
            return
        self.write(verdict.answer)
        self.desk.arrive(self, verdict.event_id, verdict.token, verdict.origin, verdict.format)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # RFC 6455, 5.5.1: the core has echoed it, or it is the answer to ours. The server closes TCP first.
            self._send()
            self._end()
            return
        if not self.desk.heard(self):
            return
        assert self.subscriber is not None  # frames come after the handshake
        binary = self.subscriber.format == "msgpack"
        if frame.opcode is (Opcode.TEXT if binary else Opcode.BINARY):
            kind = "binary" if binary else "text"
            self.desk.refuse(self, CloseCode.BAD_FRAME, f"bad_frame: this subprotocol takes {kind} frames only")
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY) and frame.fin:
            self.desk.message(self, bytes(frame.data))
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            # RFC 6455, 5.4; the core bounds the sum of all fragments.
            self._fragments += frame.data
            if frame.fin:
                whole, self._fragments = bytes(self._fragments), None
                self.desk.message(self, whole)


def _problem(core: ServerProtocol, refusal: Refusal) -> bytes:
    """Return a refusal in the one shape of errors (RFC 9457)."""
    status, title = refusal.status, HTTPStatus(refusal.status).phrase
    body = encode({"type": "about:blank", "title": title, "status": status, "detail": refusal.detail})
    response = core.reject(status, body)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    for name, value in refusal.fields:
        response.headers[name] = value
    return response.serialize()
