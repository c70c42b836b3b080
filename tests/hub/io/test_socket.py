"""The socket against uvicorn's contract, on a transport that records; the rest is in `test_driver`."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server, ServerState
from websockets.frames import Frame, Opcode

from hub.close_codes import CloseCode
from hub.handshake import PATH
from hub.io.socket import Socket
from hub.settings import HubSettings
from hub.subscriber import Format, Subscriber

KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"


class RecordingTransport(asyncio.Transport):
    """Keep what is written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.writes = 0
        self.closed = False
        self.high: int | None = None
        self.waiting = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "nothing is written to a closed transport"
        self.written += bytes(data)
        self.writes += 1

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def take(self) -> bytes:
        taken, self.written = self.written, b""
        return taken


class RecordingDesk:
    """Keep what the socket tells the hub."""

    def __init__(self) -> None:
        self.settings = HubSettings()
        self.told: list[tuple[object, ...]] = []
        self.listens = True

    def arrive(self, socket: Socket, event_id: str, token: str | None, origin: str | None, format_: Format) -> None:
        socket.subscriber = Subscriber(1, event_id, self.settings, 0)
        socket.subscriber.format = format_
        socket.subscriber.write = socket.write
        socket.write(b"HELLO")
        self.told.append(("arrive", event_id, token, origin))

    def heard(self, socket: Socket) -> bool:
        return self.listens

    def message(self, socket: Socket, data: bytes) -> None:
        self.told.append(("message", data))

    def refuse(self, socket: Socket, code: CloseCode, reason: str) -> None:
        self.told.append(("refuse", code, reason.partition(":")[0]))
        socket.close(b"BYE", code)

    def paused(self, socket: Socket) -> None:
        assert socket.subscriber is not None
        socket.subscriber.paused_at = 0.0
        self.told.append(("paused",))

    def resumed(self, socket: Socket) -> None:
        assert socket.subscriber is not None
        socket.subscriber.paused_at = None
        self.told.append(("resumed",))

    def lost(self, socket: Socket) -> None:
        self.told.append(("lost",))


class Stage:
    """A socket between a recording transport and a recording desk."""

    def __init__(self, desk: RecordingDesk | None = None) -> None:
        self.desk = desk or RecordingDesk()
        kind = cast("type[Socket]", type("DeskSocket", (Socket,), {"__slots__": (), "desk": self.desk}))
        self.state = SimpleNamespace(connections=set())
        self.socket = kind(config=None, server_state=self.state, app_state={})
        self.transport = RecordingTransport()
        self.socket.connection_made(self.transport)

    def request(self, query: str = "?event_id=game", headers: str = KEY, path: str = PATH) -> bytes:
        asked = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + headers
        self.socket.data_received(f"GET {path}{query} HTTP/1.1\r\n{asked}\r\n".encode())
        return self.transport.take()

    def hand_over(self, rest: bytes = b"", method: str = "GET") -> bytes:
        """Let the front door hand the handshake over as it was parsed."""
        fields = [(b"host", b"x"), (b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
        fields += [(b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="), (b"sec-websocket-version", b"13")]
        self.socket.upgrade_received(method, f"{PATH}?event_id=game", fields, rest)
        return self.transport.take()

    def frame(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        self.socket.data_received(Frame(opcode, data, fin).serialize(mask=True))


def upgraded(**more: Any) -> Stage:
    stage = Stage()
    answer = stage.request(**more)
    assert answer.startswith(b"HTTP/1.1 101")
    assert answer.endswith(b"\r\n\r\nHELLO")
    return stage


def masked(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def test_what_is_relied_on_in_uvicorn() -> None:
    upgrade = inspect.getsource(HttpToolsProtocol.handle_websocket_upgrade)
    for line in ("config=self.config", "server_state=self.server_state", "app_state=self.app_state"):
        assert line in upgrade
    order = [upgrade.index(part) for part in ("connection_made(", "data_received(", "set_protocol(")]
    assert order == sorted(order)
    shutdown = inspect.getsource(Server.shutdown)
    assert "connection.shutdown()" in shutdown
    assert isinstance(ServerState().connections, set)
    config = Config("app:app", ws=Socket)
    config.load = lambda: None  # type: ignore[method-assign]
    assert config.ws is Socket


def test_it_bounds_the_buffer_and_is_counted_by_the_server() -> None:
    stage = Stage()
    # The transport tells of every byte that waits; how much is much, the socket sees to.
    assert stage.transport.high == 0
    assert stage.state.connections == {stage.socket}
    assert not hasattr(stage.socket, "__dict__")
    stage.socket.pause_writing()
    stage.socket.resume_writing()
    stage.socket.eof_received()
    stage.socket.connection_lost(None)
    assert (stage.state.connections, stage.desk.told) == (set(), [])


def test_the_handshake_says_who_comes() -> None:
    stage = upgraded(headers=KEY + "Authorization: bearer abc \r\nOrigin: https://a.example\r\n")
    assert stage.desk.told == [("arrive", "game", "abc", "https://a.example")]


def test_a_handshake_handed_over_is_answered_in_one_write() -> None:
    stage = Stage()
    frames = masked(Opcode.TEXT, b"one") + masked(Opcode.PING, b"p")
    answer = stage.hand_over(frames)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\nHELLO\x8a\x01p")
    assert stage.transport.writes == 1
    assert stage.desk.told == [("arrive", "game", None, None), ("message", b"one")]
    # From now on nothing stands between the subscriber and its transport.
    assert stage.socket.subscriber is not None
    assert stage.socket.subscriber.write == stage.socket.write == stage.transport.write
    stage.frame(Opcode.TEXT, b"two")
    assert stage.desk.told[-1] == ("message", b"two")


def test_who_hangs_up_within_the_handshake_stays_hung_up() -> None:
    class CuttingDesk(RecordingDesk):
        def message(self, socket: Socket, data: bytes) -> None:
            assert socket.subscriber is not None
            socket.subscriber.hang_up()
            socket.transport.close()

    stage = Stage(CuttingDesk())
    assert stage.hand_over(masked(Opcode.TEXT, b"one")) == b""
    assert stage.socket.subscriber is not None
    assert stage.socket.subscriber.write != stage.transport.write


def test_what_ends_within_the_handshake_is_said_behind_it() -> None:
    closed = Stage()
    assert closed.hand_over(masked(Opcode.CLOSE, b"\x03\xe8")).endswith(b"HELLO\x88\x02\x03\xe8")
    broken = Stage()
    assert broken.hand_over(b"\x81\x01x").endswith(b"HELLOBYE\x88\x0b\x11\x30bad_frame")
    refused = Stage()
    answer = refused.hand_over(masked(Opcode.TEXT, b"one"), method="POST")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET\r\n" in answer
    assert refused.desk.told == []
    for stage in (closed, broken, refused):
        assert (stage.transport.closed, stage.transport.writes) == (True, 1)


@pytest.mark.parametrize("how", ["request", "hand_over"])
def test_a_lost_connection_leaves_nothing_to_the_collector(how: str) -> None:
    stage = Stage()
    getattr(stage, how)()
    stage.frame(Opcode.TEXT, b"one")
    core = weakref.ref(stage.socket._conn)
    gc.disable()
    try:
        stage.socket.connection_lost(None)
        stage.socket._conn = None
        assert core() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("headers", "token"),
    [("", None), ("Authorization: Basic abc\r\n", ""), ("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", "")],
)
def test_what_is_no_bearer_token(headers: str, token: str | None) -> None:
    assert upgraded(headers=KEY + headers).desk.told == [("arrive", "game", token, None)]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("lockstep.v1.json, lockstep.v1.msgpack", b"lockstep.v1.json"),
        ("chat, lockstep.v1.msgpack, lockstep.v1.json", b"lockstep.v1.msgpack"),
        ("chat", None),
    ],
)
def test_subprotocols(offered: str, chosen: bytes | None) -> None:
    """RFC 6455, 4.2.2: the server picks one that was offered, or sends no field at all."""
    answer = Stage().request(headers=f"{KEY}Sec-WebSocket-Protocol: {offered}\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert (b"Sec-WebSocket-Protocol: " + chosen in answer) if chosen else b"Sec-WebSocket-Protocol" not in answer


def test_no_compression_is_agreed() -> None:
    answer = Stage().request(headers=KEY + "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    assert b"Sec-WebSocket-Extensions" not in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"query": ""}, b"400"),
        ({"query": "?event_id="}, b"400"),
        ({"query": "?event_id=game&token=t"}, b"400"),
        ({"path": "/other"}, b"404"),
        ({"headers": KEY.replace("13", "8")}, b"400"),
    ],
)
def test_what_is_not_upgraded(request_: dict[str, str], status: bytes) -> None:
    stage = Stage()
    answer = stage.request(**request_)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answer
    assert (stage.transport.closed, stage.desk.told) == (True, [])


def test_a_request_that_asks_for_no_socket() -> None:
    stage = Stage()
    stage.socket.data_received(f"GET {PATH}?event_id=game HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert stage.transport.written.startswith(b"HTTP/1.1 426")
    assert b"Upgrade: websocket" in stage.transport.written


def test_what_is_no_request_at_all() -> None:
    stage = Stage()
    stage.socket.data_received(b"\x00\x01\r\n\r\n")
    assert stage.transport.closed


def test_messages_whole_and_in_fragments() -> None:
    stage = upgraded()
    stage.frame(Opcode.TEXT, b"one")
    stage.frame(Opcode.TEXT, b"t", fin=False)
    stage.frame(Opcode.CONT, b"w", fin=False)
    # RFC 6455, 5.4: control frames may stand between fragments.
    stage.frame(Opcode.PING, b"p")
    stage.frame(Opcode.CONT, b"o")
    stage.frame(Opcode.PONG)
    assert stage.desk.told[1:] == [("message", b"one"), ("message", b"two")]
    assert stage.transport.written == b"\x8a\x01p"


def test_who_is_not_listened_to_says_nothing() -> None:
    stage = upgraded()
    stage.desk.listens = False
    stage.frame(Opcode.TEXT, b"one")
    assert len(stage.desk.told) == 1


def test_binary_is_refused_on_a_text_protocol() -> None:
    stage = upgraded()
    stage.frame(Opcode.BINARY, b"one")
    assert stage.desk.told[1:] == [("refuse", CloseCode.BAD_FRAME, "bad_frame")]


def test_text_is_refused_on_a_binary_protocol() -> None:
    stage = upgraded(headers=f"{KEY}Sec-WebSocket-Protocol: lockstep.v1.msgpack\r\n")
    stage.frame(Opcode.BINARY, b"o", fin=False)
    stage.frame(Opcode.CONT, b"ne")
    stage.frame(Opcode.TEXT, b"one")
    assert stage.desk.told[1:] == [("message", b"one"), ("refuse", CloseCode.BAD_FRAME, "bad_frame")]


@pytest.mark.parametrize("data", [b"\x81\x01x", b"\x83\x80aaaa", Frame(Opcode.TEXT, b"x" * 4_097).serialize(mask=True)])
def test_a_broken_frame_ends_it_with_our_code(data: bytes) -> None:
    stage = upgraded()
    stage.socket.data_received(data)
    assert stage.desk.told[1:] == [("refuse", CloseCode.BAD_FRAME, "bad_frame")]
    assert stage.transport.written.startswith(b"BYE\x88\x0b\x11\x30bad_frame")
    assert stage.transport.closed


def test_our_close_waits_for_the_peers() -> None:
    stage = upgraded()
    stage.socket.close(b"BYE", CloseCode.SLOW)
    assert stage.transport.take() == b"BYE\x88\x06\x11\x38slow"
    assert not stage.transport.closed
    stage.socket.ping()
    assert stage.transport.written == b""
    stage.frame(Opcode.CLOSE, b"\x11\x38")
    assert stage.transport.closed


def test_the_peers_close_is_answered() -> None:
    """RFC 6455, 5.5.1: an endpoint that receives a Close frame sends one in response."""
    stage = upgraded()
    stage.frame(Opcode.CLOSE, b"\x03\xe8")
    assert stage.transport.written == b"\x88\x02\x03\xe8"
    assert stage.transport.closed


def test_pings() -> None:
    stage = upgraded()
    stage.socket.ping()
    assert stage.transport.written == b"\x89\x00"


def test_only_much_that_waits_is_a_pause() -> None:
    stage = upgraded()
    subscriber = stage.socket.subscriber
    assert subscriber is not None
    limit = stage.desk.settings.send_buffer_bytes
    stage.transport.waiting = 1
    stage.socket.pause_writing()
    subscriber.write(b"one")
    stage.transport.waiting = limit
    subscriber.write(b"two")
    assert len(stage.desk.told) == 1
    stage.transport.waiting = limit + 1
    subscriber.write(b"three")
    subscriber.write(b"four")
    assert stage.desk.told[1:] == [("paused",)]
    stage.transport.waiting = 0
    stage.socket.resume_writing()
    assert stage.desk.told[2:] == [("resumed",)]
    assert subscriber.write == stage.socket.write == stage.transport.write
    # A little waited, and nothing came of it.
    stage.transport.waiting = 1
    stage.socket.pause_writing()
    stage.transport.waiting = 0
    stage.socket.resume_writing()
    assert len(stage.desk.told) == 3
    assert stage.transport.take() == b"onetwothreefour"


def test_what_waits_of_answers_before_the_handshake_counts() -> None:
    stage = Stage()
    stage.transport.waiting = stage.desk.settings.send_buffer_bytes + 1
    stage.hand_over()
    assert stage.desk.told == [("arrive", "game", None, None), ("paused",)]


@pytest.mark.parametrize("how", ["close", "eof", "loss"])
def test_nothing_is_written_behind_the_end(how: str) -> None:
    """RFC 6455, 5.5.1: no data frames behind a Close frame. Whoever is written to past the transport must know it."""
    stage = upgraded()
    subscriber = stage.socket.subscriber
    assert subscriber is not None
    subscriber.write_by(stage.socket.write, 7)
    if how == "close":
        stage.frame(Opcode.CLOSE, b"\x03\xe8")
    elif how == "eof":
        stage.socket.eof_received()
    else:
        stage.socket.connection_lost(None)
    stage.transport.take()
    subscriber.write(b"late")
    assert (subscriber.file, stage.transport.take()) == (-1, b"")


def test_pause_resume_loss_and_shutdown_are_told() -> None:
    stage = upgraded()
    stage.transport.waiting = 20_000
    stage.socket.pause_writing()
    stage.transport.waiting = 0
    stage.socket.resume_writing()
    stage.socket.shutdown()
    stage.socket.connection_lost(None)
    assert stage.desk.told[1:] == [
        ("paused",),
        ("resumed",),
        ("refuse", CloseCode.GOING_AWAY, "going_away"),
        ("lost",),
    ]
    fresh = Stage()
    fresh.socket.shutdown()
    assert fresh.transport.closed
