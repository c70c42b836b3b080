"""The front door: heads that are slow, large or ambiguous, and what follows an upgrade."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from kernel.io.cut import Connection, connection_of
from lockstep.guard import RELIED_ON, GuardedHttp, GuardLimits, Upgradable, guarded_protocol

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


class RecordingSocket(asyncio.Protocol):
    """Stand in uvicorn's ws slot, keep what comes and answer with it."""

    received: ClassVar[list[bytes]] = []

    def __init__(self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self.server_state = server_state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        if data.endswith(b"bye"):
            self.transport.write(b"bye")
            self.transport.close()


class SilentTransport(asyncio.Transport):
    """A transport with addresses and nothing else."""

    def __init__(self) -> None:
        super().__init__(extra={"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 9)})

    def close(self) -> None:
        pass


class UpgradedSocket(RecordingSocket):
    """Take the handshake as it was parsed."""

    asked: ClassVar[list[tuple[str, str, list[tuple[bytes, bytes]]]]] = []

    def upgrade_received(self, method: str, target: str, fields: list[tuple[bytes, bytes]], rest: bytes) -> None:
        assert self.transport.get_protocol() is self
        self.asked.append((method, target, fields))
        self.data_received(rest)


class App:
    """Answer every request with its method, path and body; /wait answers when told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        self.connections: list[Connection] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        connection = connection_of(scope)
        assert connection is not None
        self.connections.append(connection)
        self.arrived.set()
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        if scope["path"] == "/wait":
            await self.go.wait()
        text = f"{scope['method']} {scope['path']} {body.decode()}".encode()
        fields = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": text})


class Door:
    """A guarded server on the loopback, and connections to it."""

    def __init__(self, app: App, port: int, stack: contextlib.AsyncExitStack) -> None:
        self.app = app
        self._port = port
        self._stack = stack

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def close() -> None:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        self._stack.push_async_callback(close)
        return reader, writer

    async def ask(self, *pieces: bytes) -> bytes:
        """Send the pieces, a packet each, and return all that comes until the server closes."""
        reader, writer = await self.open()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""


LIMITS = GuardLimits(head_timeout_s=0.2)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    RecordingSocket.received.clear()
    app = App()
    config = uvicorn.Config(
        app, http=guarded_protocol(LIMITS), ws=RecordingSocket, lifespan="off", log_config=None, timeout_keep_alive=1
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    async with contextlib.AsyncExitStack() as stack:
        yield Door(app, server.sockets[0].getsockname()[1], stack)
        app.go.set()
    server.close()
    await server.wait_closed()
    await asyncio.gather(*state.tasks)


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    problem: dict[str, Any] = json.loads(body)
    assert f" {problem['status']} ".encode() in head.split(b"\r\n")[0]
    return problem


def test_uvicorn_still_has_what_is_relied_on() -> None:
    for name in RELIED_ON:
        assert callable(getattr(HttpToolsProtocol, name))
    config = uvicorn.Config(App, ws="none", lifespan="off", log_config=None)
    loop = asyncio.new_event_loop()
    protocol = HttpToolsProtocol(config=config, server_state=ServerState(), app_state={}, _loop=loop)
    for name in ("parser", "cycle", "headers", "transport", "loop", "client"):
        assert hasattr(protocol, name)
    loop.close()


def test_uvicorn_still_prepares_no_more_than_we_do() -> None:
    """What its methods set that ours stand in for: the addresses and the scope come with the first request."""
    config = uvicorn.Config(App, ws="none", lifespan="off", log_config=None)
    loop = asyncio.new_event_loop()
    changed = []
    for kind in (HttpToolsProtocol, GuardedHttp):
        protocol = kind(config=config, server_state=ServerState(), app_state={}, _loop=loop)
        before = dict(vars(protocol))
        protocol.connection_made(SilentTransport())
        protocol.on_message_begin()
        changed.append({name for name, value in vars(protocol).items() if before.get(name) is not value})
        protocol.connection_lost(None)
    loop.close()
    theirs, ours = changed
    assert theirs - ours == {"server", "client", "scope"}


def test_httptools_says_where_an_upgrade_ends() -> None:
    class Callbacks:
        pass

    parser = httptools.HttpRequestParser(Callbacks())
    with pytest.raises(httptools.HttpParserUpgrade) as raised:
        parser.feed_data(UPGRADE + b"\r\nrest")
    assert raised.value.args == (len(UPGRADE) + 2,)


async def test_requests_pass(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET)
    assert b"GET /x " in await reader.readuntil(b"GET /x ")
    writer.write(b"POST /y HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
    assert (await reader.read()).endswith(b"POST /y body")


async def test_requests_in_one_packet_pass(door: Door) -> None:
    body = b"b" * 40_000
    post = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n" + body
    answer = await door.ask(GET + post + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200") == 3
    assert door.app.asked == ["/x", "/p", "/x"]


async def test_old_clients_need_no_host(door: Door) -> None:
    assert (await door.ask(b"GET /x HTTP/1.0\r\n\r\n")).endswith(b"GET /x ")


async def test_sockets_are_set_up_and_known_before_the_first_answer(door: Door) -> None:
    seen: list[int] = []

    class Looking(GuardedHttp):
        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            accepted = self.transport.get_extra_info("socket")
            seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))
            assert self.scope["client"] == accepted.getpeername()
            assert self.scope["server"] == accepted.getsockname()

    config = uvicorn.Config(door.app, ws="none", lifespan="off", log_config=None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Looking(config, ServerState(), {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(GET.replace(b"Host", b"Connection: close\r\nHost"))
    assert (await reader.read()).endswith(b"GET /x ")
    assert seen == [1, 128 << 10]
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        # RFC 9112, 3.2: Host
        (b"GET / HTTP/1.1\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Host"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n", "Host"),
        # RFC 9112, 6.1 and 6.3: the length of the body
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", ""),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", ""),
        (b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ambiguous"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n", ""),
        # no HTTP at all
        (b"\x16\x03\x01\x02\x00\x01\x00", "no HTTP"),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", "no HTTP"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", "no HTTP"),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "no HTTP"),
        # RFC 6455, 4.1: an upgrade is a GET without a body
        (UPGRADE + b"Content-Length: 4\r\n\r\nabcd", "no body"),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "no body"),
    ],
)
async def test_refused_with_400(door: Door, head: bytes, says: str) -> None:
    problem = problem_of(await door.ask(head))
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert says in problem["detail"]
    assert door.app.asked == []
    assert RecordingSocket.received == []


async def test_nothing_behind_a_refused_head_is_served(door: Door) -> None:
    answer = await door.ask(b"GET /a HTTP/1.1\r\n\r\n" + GET)
    assert answer.count(b"HTTP/1.1") == 1
    assert door.app.asked == []


async def test_the_number_of_fields_has_a_limit(door: Door) -> None:
    def head(n_fields: int) -> bytes:
        return b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + b"X: y\r\n" * (n_fields - 2) + b"\r\n"

    assert (await door.ask(head(64))).endswith(b"GET /x ")
    assert problem_of(await door.ask(head(65)))["status"] == 431


@pytest.mark.parametrize(
    "begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"GET / HTTP/1.1\r\nHost: h\r\nCookie"]
)
async def test_the_size_of_the_head_has_a_limit(door: Door, begin: bytes) -> None:
    """Whether it ends or not, in one packet or many."""
    end = b" HTTP/1.1\r\nHost: h\r\n\r\n" if begin == b"GET /" else b": y\r\n\r\n"
    assert problem_of(await door.ask(begin + b"a" * (33 << 10) + end))["status"] == 431
    # No more than it takes: what is unread when the server closes makes the kernel throw the answer away.
    assert problem_of(await door.ask(begin, *[b"a" * 1024] * 32))["status"] == 431
    assert door.app.asked == []


async def test_a_head_of_just_under_the_limit_passes(door: Door) -> None:
    head = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: " + b"a" * (31 << 10) + b"\r\n\r\n"
    assert (await door.ask(*[head[at : at + 997] for at in range(0, len(head), 997)])).endswith(b"GET /x ")


async def test_a_head_must_be_complete_in_time(door: Door) -> None:
    problem = problem_of(await door.ask(b"GET / HTTP/1.1\r\nHost:"))
    assert (problem["status"], problem["title"]) == (408, "Request Timeout")


async def test_a_trickle_does_not_postpone_the_deadline(door: Door) -> None:
    reader, writer = await door.open()

    async def trickle() -> None:
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /" + b"a" * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)

    task = asyncio.create_task(trickle())
    with contextlib.suppress(ConnectionError):
        assert problem_of(await reader.read())["status"] == 408
    await task


async def test_an_idle_connection_is_closed_without_a_word(door: Door) -> None:
    assert await door.ask() == b""
    assert await door.ask(b"\r\n") == b""


async def test_a_further_head_has_a_deadline_too(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET)
    await reader.readuntil(b"GET /x ")
    writer.write(b"GET /y HTT")
    assert problem_of(await reader.read())["status"] == 408
    assert door.app.asked == ["/x"]


async def test_a_long_answer_is_not_cut_by_the_deadline(door: Door) -> None:
    """Some clients send a line break behind their request; it begins no head."""
    reader, writer = await door.open()
    writer.write(GET.replace(b"/x", b"/wait"))
    await door.app.arrived.wait()
    writer.write(b"\r\n")
    asyncio.get_running_loop().call_later(2 * LIMITS.head_timeout_s, door.app.go.set)
    assert await reader.readuntil(b"GET /wait ")


async def test_a_broken_request_behind_an_unanswered_one_gets_no_answer_of_its_own(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET.replace(b"/x", b"/wait"))
    await door.app.arrived.wait()
    writer.write(b"nonsense\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def test_a_reset_leaves_no_timer(door: Door) -> None:
    made: list[GuardedHttp] = []
    lost = asyncio.Event()

    class Watched(GuardedHttp):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            made.append(self)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    config = uvicorn.Config(door.app, ws="none", lifespan="off", log_config=None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Watched(config, ServerState(), {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(GET)
    await reader.readuntil(b"GET /x ")
    assert made[0].timeout_keep_alive_task is not None
    writer.write(b"GET /")
    writer.transport.abort()
    await lost.wait()
    assert made[0].timeout_keep_alive_task is None
    assert made[0]._deadline is None
    server.close()
    await server.wait_closed()


async def test_bytes_behind_an_upgrade_reach_the_socket(door: Door) -> None:
    assert await door.ask(UPGRADE + b"\r\nfirst frame, bye") == b"bye"
    request, rest = RecordingSocket.received
    assert request.startswith(b"GET /ws HTTP/1.1\r\n")
    assert rest == b"first frame, bye"


async def test_an_upgrade_on_its_own(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(UPGRADE + b"\r\n")
    await writer.drain()
    writer.write(b"bye")
    assert await reader.read() == b"bye"
    assert b"".join(RecordingSocket.received[1:]) == b"bye"


@pytest.mark.parametrize("split", [10, len(UPGRADE) + 2])
async def test_a_socket_that_can_is_given_the_head_as_it_was_parsed(split: int) -> None:
    assert issubclass(UpgradedSocket, Upgradable)
    assert not issubclass(RecordingSocket, Upgradable)
    UpgradedSocket.received.clear()
    UpgradedSocket.asked.clear()
    made: list[GuardedHttp] = []

    class Watched(GuardedHttp):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            made.append(self)

    state = ServerState()
    config = uvicorn.Config(App(), ws=UpgradedSocket, lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Watched(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    packets = UPGRADE + b"\r\nfirst frame, bye"
    writer.write(packets[:split])
    await writer.drain()
    writer.write(packets[split:])
    assert await reader.read() == b"bye"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    [(method, target, fields)] = UpgradedSocket.asked
    assert (method, target, fields[0], len(fields)) == ("GET", "/ws", (b"host", b"h"), 5)
    assert b"".join(UpgradedSocket.received) == b"first frame, bye"
    # uvicorn's own keeps nothing of a connection that is no request's any more, and no circle holds it.
    assert state.connections == set()
    assert [vars(made[0])[name] for name in ("parser", "scope", "_deadline")] == [None, None, None]


async def test_other_upgrades_are_ignored_and_the_connection_ends(door: Door) -> None:
    """RFC 9110, 7.8."""
    asked = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    answer = await door.ask(asked + GET)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.endswith(b"GET /x ")
    assert RecordingSocket.received == []


async def test_an_old_client_cannot_upgrade(door: Door) -> None:
    """RFC 6455, 4.2.1."""
    answer = await door.ask(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n")
    assert answer.endswith(b"GET /ws ")
    assert RecordingSocket.received == []


async def test_an_upgrade_behind_an_unanswered_request_is_refused(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET.replace(b"/x", b"/wait"))
    await door.app.arrived.wait()
    writer.write(UPGRADE + b"\r\n")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert RecordingSocket.received == []


async def test_an_application_may_cut_the_connection(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET.replace(b"/x", b"/wait"))
    await door.app.arrived.wait()
    door.app.connections[0].cut()
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_who_asks_is_told_once_that_a_connection_is_gone(door: Door) -> None:
    reader, writer = await door.open()
    for _ in range(2):
        writer.write(GET)
        await reader.readuntil(b"GET /x ")
    first, second = door.app.connections
    assert first is second
    gone: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(2):
        first.when_lost(gone.put_nowait)
    writer.close()
    assert await gone.get() is first
    assert gone.empty()


async def test_an_upgraded_connection_is_no_longer_one_that_requests_come_over(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET)
    await reader.readuntil(b"GET /x ")
    gone: asyncio.Queue[Connection] = asyncio.Queue()
    door.app.connections[0].when_lost(gone.put_nowait)
    writer.write(UPGRADE + b"\r\n")
    assert await gone.get() is door.app.connections[0]
    writer.write(b"bye")
    assert (await reader.read()).endswith(b"bye")
