"""Clients that keep us waiting once their request is known, and requests that are answered at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lockstep.guard import GuardLimits
from lockstep.patience import MAX_UNSENT_BYTES, RELIED_ON, Patience, PatientHttp

LARGE = 8 << 20
GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer without reading the body: `/large` with much, anything else with its path."""
    body = bytes(LARGE) if scope["path"] == "/large" else scope["path"].encode()
    fields = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for start in range(0, len(body), 1 << 18):
        piece = body[start : start + (1 << 18)]
        await send({"type": "http.response.body", "body": piece, "more_body": start + len(piece) < len(body)})


class Quick:
    """Answer for /quick, and fail at /fault."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str]] = []

    def __call__(self, target: bytes, headers: Sequence[tuple[bytes, bytes]], peer: str) -> bytes | None:
        self.asked.append((target, peer))
        if target == b"/fault":
            raise RuntimeError("a fault of ours")
        return b"content-length: 2\r\n\r\nok" if target == b"/quick" else None


class Door:
    """A server on the loopback, and connections to it."""

    def __init__(
        self, port: int, state: ServerState, quick: Quick, cut: asyncio.Event, stack: contextlib.AsyncExitStack
    ) -> None:
        self.port = port
        self.cut = cut
        self.state = state
        self.quick = quick
        self._stack = stack

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 16)

        async def close() -> None:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        self._stack.push_async_callback(close)
        return reader, writer


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    quick, cut = Quick(), asyncio.Event()

    def end(self: PatientHttp) -> None:
        PatientHttp._end(self)
        cut.set()

    changes = {
        "_end": end,
        "limits": GuardLimits(head_timeout_s=0.2),
        "patience": Patience(linger_s=0.2, stall_s=0.2),
        "at_once": staticmethod(quick),
    }
    config = uvicorn.Config(
        app, http=type("Tried", (PatientHttp,), changes), ws="none", lifespan="off", log_config=None
    )
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"now")]
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    async with contextlib.AsyncExitStack() as stack:
        yield Door(server.sockets[0].getsockname()[1], state, quick, cut, stack)
    server.close()
    await server.wait_closed()
    await asyncio.gather(*state.tasks, return_exceptions=True)


def test_uvicorn_still_has_what_is_relied_on() -> None:
    for name in RELIED_ON:
        assert callable(getattr(HttpToolsProtocol, name))


async def test_the_rest_of_an_answered_requests_body_is_not_waited_for(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
    assert await reader.readuntil(b"/x")

    async def trickle() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

    task = asyncio.create_task(trickle())
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_body_that_ends_in_time_is_followed_by_the_next_request(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
    assert await reader.readuntil(b"/x")
    writer.write(b"body" + GET % b"/y")
    assert await reader.readuntil(b"/y")


async def test_a_connection_whose_body_came_late_does_not_idle_for_ever(door: Door) -> None:
    """Uvicorn stops its timer when the body comes, and starts none."""
    reader, writer = await door.open()
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
    assert await reader.readuntil(b"/x")
    writer.write(b"body")
    assert await reader.read() == b""


async def test_a_client_that_takes_nothing_is_cut(door: Door) -> None:
    reader, writer = await door.open()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(GET % b"/large")
    await door.cut.wait()
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(ConnectionError):
        assert len(await reader.read()) < LARGE
    assert not door.state.connections


async def test_a_client_that_takes_all_is_not(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET % b"/large")
    await reader.readuntil(b"\r\n\r\n")
    taken = 0
    while taken < LARGE:
        taken += len(await reader.read(1 << 16))
    assert taken == LARGE


async def test_what_is_answered_at_once(door: Door) -> None:
    reader, writer = await door.open()
    for _ in range(3):
        writer.write(GET % b"/quick")
        assert await reader.readuntil(b"ok") == b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\nok"
    writer.write(GET % b"/slow")
    assert (await reader.readuntil(b"/slow")).startswith(b"HTTP/1.1 200 OK\r\ndate: now\r\n")
    assert door.quick.asked == [(b"/quick", "127.0.0.1")] * 3 + [(b"/slow", "127.0.0.1")]
    assert not door.state.tasks


async def test_answers_keep_their_order_whoever_gives_them(door: Door) -> None:
    reader, writer = await door.open()
    paths = [b"/quick", b"/a", b"/quick", b"/quick", b"/b", b"/quick"]
    writer.write(b"".join(GET % path for path in paths))
    for path in paths:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        # Behind one that the application has to answer, it answers them all.
        assert await reader.readexactly(length) in (b"ok", path)


async def test_the_last_one_says_so_and_closes(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(b"GET /quick HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"ok")


async def test_a_refusal_in_the_same_packet_comes_behind_the_answer(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET % b"/quick" + b"GET /quick HTTP/1.1\r\n\r\n")
    answers = await reader.read()
    assert answers.index(b"HTTP/1.1 200 OK") < answers.index(b"\r\n\r\nok") < answers.index(b"HTTP/1.1 400 ")


async def test_many_answers_to_one_packet_are_not_kept_but_sent(door: Door) -> None:
    reader, writer = await door.open()
    most = MAX_UNSENT_BYTES // len(b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\nok")
    for _ in range(4):
        writer.write((GET % b"/quick") * most)
    for _ in range(4 * most):
        await reader.readuntil(b"ok")
    (connection,) = door.state.connections
    assert isinstance(connection, PatientHttp)
    assert connection._unsent == b""


async def test_an_answer_of_the_turn_in_which_the_server_stops_goes_out(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET % b"/quick")
    await reader.readuntil(b"ok")
    (connection,) = door.state.connections
    assert isinstance(connection, PatientHttp)
    connection.data_received(GET % b"/quick")
    connection.shutdown()
    assert (await reader.read()).endswith(b"ok")


async def test_an_idle_connection_is_closed_by_uvicorns_timer(door: Door) -> None:
    reader, writer = await door.open()
    writer.write(GET % b"/quick")
    await reader.readuntil(b"ok")
    (connection,) = door.state.connections
    assert isinstance(connection, PatientHttp)
    timer = connection.timeout_keep_alive_task
    assert timer is not None
    writer.write(GET % b"/quick")
    await reader.readuntil(b"ok")
    assert timer.cancelled()


@pytest.mark.parametrize(
    "request_",
    [
        b"HEAD /quick HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /quick HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"GET /quick HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        b"GET /quick HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /quick HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"GET /quick HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
    ],
)
async def test_what_is_left_to_the_application(door: Door, request_: bytes) -> None:
    reader, writer = await door.open()
    writer.write(request_)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert door.quick.asked == []


async def test_a_fault_at_once_is_the_applications(door: Door) -> None:
    reader, writer = await door.open()
    with capture_logs() as logs:
        writer.write(GET % b"/fault")
        await reader.readuntil(b"/fault")
    assert [line["event"] for line in logs] == ["at_once.failed"]
