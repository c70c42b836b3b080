"""A subscriber's socket in uvicorn's `ws` slot: an asyncio.Protocol over websockets' pure core, without a task.

What uvicorn gives and takes (TRAPS 11): it constructs the class with `config=, server_state=, app_state=`, calls
`connection_made`, replays the handshake into `data_received`, and sets the protocol on the transport afterwards; on
shutdown it calls `shutdown()` on all in `server_state.connections` and waits until they have left it.
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast
from urllib.parse import parse_qs

from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from hub.close_codes import CloseCode
from hub.messages import SUBPROTOCOLS
from kernel.showings import EVENT_ID
from kernel.strict_json import encode

if TYPE_CHECKING:
    from hub.settings import HubSettings
    from hub.subscriber import Format, Subscriber

PATH = "/api/v1/wagering/subscribe"
_MAX_QUERY_FIELDS = 8
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

    __slots__ = ("_conn", "_connections", "_fragments", "subscriber", "transport")

    desk: ClassVar[Desk]
    transport: asyncio.Transport

    def __init__(self, *, config: object, server_state: Any, app_state: object, _loop: object = None) -> None:
        self._connections: set[object] = server_state.connections
        self._conn = ServerProtocol(
            max_size=self.desk.settings.max_message_bytes, select_subprotocol=_subprotocol, logger=_QUIET
        )
        self._fragments: bytearray | None = None
        self.subscriber: Subscriber | None = None

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what the kernel and the transport take in of a reader that stands still (TRAPS 13)."""
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        limit = self.desk.settings.send_buffer_bytes
        self.transport.set_write_buffer_limits(high=limit)
        raw = self.transport.get_extra_info("socket")
        if raw is not None and raw.family in (sockets.AF_INET, sockets.AF_INET6):
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, limit)
            raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Read the handshake first, frames afterwards; both may stand in one packet."""
        conn = self._conn
        conn.receive_data(data)
        for event in conn.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame):
                self._frame(event)
            if self.transport.is_closing():
                return
        if conn.parser_exc is not None and self.subscriber is not None:
            # RFC 6455, 7.1.7: what follows a broken frame cannot be read; the core discards it.
            self.desk.refuse(self, CloseCode.BAD_FRAME, f"bad_frame: {conn.parser_exc}")
        elif conn.handshake_exc is not None and self.subscriber is None:
            self._send()
            self.transport.close()
        else:
            self._send()

    def eof_received(self) -> None:
        """Let the transport close: a WebSocket has no use for half a connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the hot set first; nothing is written to a dead transport (TRAPS 16)."""
        self._connections.discard(self)
        if self.subscriber is not None:
            self.desk.lost(self)

    def pause_writing(self) -> None:
        """Leave the hot set."""
        if self.subscriber is not None:
            self.desk.paused(self)

    def resume_writing(self) -> None:
        """Catch up, then come back."""
        if self.subscriber is not None:
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
        if self._conn.state is State.OPEN:
            self._conn.send_ping(b"")
            self._send()

    def close(self, bye: bytes, code: CloseCode) -> None:
        """Send the framed `bye` and a Close frame, then wait for the peer's Close; the hub sets the limit."""
        conn = self._conn
        if conn.state is State.OPEN:
            before = b"".join(conn.data_to_send())
            conn.send_close(code, code.text)
            self.transport.write(before + bye + b"".join(conn.data_to_send()))
            return
        # The core has failed the connection with a code of its own; the client is to see ours, after its `bye`.
        conn.data_to_send()
        self.transport.write(bye + Frame(Opcode.CLOSE, Close(code, code.text).serialize()).serialize(mask=False))
        self.transport.close()

    # Within.

    def _send(self) -> None:
        data = b"".join(self._conn.data_to_send())
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def _handshake(self, request: Request) -> None:
        refusal = _refusal(request)
        response = self._conn.accept(request) if refusal is None else _problem(self._conn, *refusal)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            if refusal is None:
                response = _problem(self._conn, response.status_code, response.body.decode().strip())
            self._conn.send_response(response)
            self._send()
            self.transport.close()
            return
        self._conn.send_response(response)
        self._send()
        headers = request.headers
        event_id = _event_id(request.path)
        token, origin = _bearer(headers.get_all("Authorization")), self._conn.origin
        format_ = SUBPROTOCOLS.get(self._conn.subprotocol or "", "json")
        # The core's parser keeps the request for as long as the connection lives: 2 KiB that nobody reads again.
        request.path = ""
        headers.clear()
        assert event_id is not None  # _refusal has seen to it
        self.desk.arrive(self, event_id, token, origin, format_)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # RFC 6455, 5.5.1: the core has echoed it, or it is the answer to ours. The server closes TCP first.
            self._send()
            self.transport.close()
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


def _refusal(request: Request) -> tuple[int, str] | None:
    """Return why a request is not upgraded: only what a programmer sees who writes the client.

    Everything else is told on the socket: browsers cannot see the status of a refused handshake (TRAPS 18).
    """
    path, _, query = request.path.partition("?")
    if path != PATH:
        return 404, f"there is no socket at this path; subscribe at {PATH}"
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        return 400, f"the query has more than {_MAX_QUERY_FIELDS} fields"
    if fields.keys() & {"token", "access_token", "authorization"}:
        return 400, "a token never stands in the URL of a socket: send it as Bearer or in the first frame"
    if _event_id(request.path) is None:
        return 400, "event_id: give one in the query, 1 to 64 letters, digits, '_' or '-'"
    return None


def _event_id(target: str) -> str | None:
    found = parse_qs(target.partition("?")[2], max_num_fields=_MAX_QUERY_FIELDS).get("event_id", [])
    return found[0] if len(found) == 1 and EVENT_ID.fullmatch(found[0]) else None


def _bearer(fields: list[str]) -> str | None:
    """Return the token of the one Authorization field (RFC 9110, 11.6.2); anything else there is no token of ours."""
    if not fields:
        return None
    scheme, _, token = fields[0].partition(" ")
    return token.strip() if len(fields) == 1 and scheme.lower() == "bearer" else ""


def _subprotocol(conn: ServerProtocol, offered: object) -> Subprotocol | None:
    """Choose the client's first of ours. RFC 6455, 4.2.2: a server that agrees to none sends none back."""
    # RFC 6455, 4.1 (10): the client names them in the order of its preference.
    return next((name for name in cast("list[Subprotocol]", offered) if name in SUBPROTOCOLS), None)


def _problem(conn: ServerProtocol, status: int, detail: str) -> Response:
    """Return a refusal in the one shape of errors (RFC 9457)."""
    title = HTTPStatus(status).phrase
    response = conn.reject(status, encode({"type": "about:blank", "title": title, "status": status, "detail": detail}))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    if status == HTTPStatus.UPGRADE_REQUIRED:
        # RFC 9110, 15.5.22
        response.headers["Upgrade"] = "websocket"
    return response
