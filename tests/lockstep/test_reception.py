from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from hub.close_codes import CloseCode
from hub.io.socket import Socket
from hub.settings import HubSettings
from kernel.io.http import problem
from lockstep.allowances import AddressLimits, Allowances
from lockstep.patience import PatientHttp
from lockstep.peers import TrustedProxies
from lockstep.reception import GROUP, RefusedTokens, counted_socket, reception
from tests.lockstep.transports import RecordingTransport

GET = "GET /{path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"
LIMITS = AddressLimits(
    max_connections=3, max_half_open=2, requests_per_s=0.001, request_burst=4, refused_tokens_per_s=0.001,
    refused_token_burst=1,
)  # fmt: skip


class Desk:
    """Accept sockets."""

    settings = HubSettings()

    def arrive(self, *_: object) -> None:
        pass

    def lost(self, _: Socket) -> None:
        pass


class House:
    """A front door with a proxy at 10.0.0.0/8, whose connections are made by hand."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.allowances = Allowances(LIMITS)
        base: Any = type("HubSocket", (Socket,), {"__slots__": (), "desk": Desk()})

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.scopes.append(scope)
            await problem(404, "Not Found")(scope, receive, send)

        self.socket_class = counted_socket(base, self.allowances)
        self.config = uvicorn.Config(
            app, http=reception(PatientHttp, TrustedProxies(["10.0.0.0/8"]), self.allowances),
            ws=self.socket_class, lifespan="off", log_config=None,
        )  # fmt: skip
        self.config.load()
        self.state = ServerState()

    def connect(self, peer: str) -> tuple[Any, RecordingTransport]:
        protocol: Any = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.state, app_state={}
        )
        transport = RecordingTransport(peer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return protocol, transport

    async def ask(self, protocol: Any, path: str = "", fields: str = "") -> None:
        protocol.data_received(GET.format(path=path, fields=fields).encode())
        await asyncio.gather(*self.state.tasks)


@pytest.fixture
async def house() -> House:
    return House()


async def test_the_clients_address_stands_in_the_scope(house: House) -> None:
    direct, _ = house.connect("192.0.2.1")
    await house.ask(direct, fields="X-Forwarded-For: 198.51.100.1\r\n")
    proxied, _ = house.connect("10.0.0.1")
    await house.ask(proxied, fields="X-Forwarded-For: 2001:db8:0:1::7\r\n")
    assert [scope["client"][0] for scope in house.scopes] == ["192.0.2.1", "2001:db8:0:1::7"]
    assert [scope[GROUP] for scope in house.scopes] == ["192.0.2.1", "2001:db8:0:1::/64"]


async def test_connections_are_counted_by_their_peer_until_they_end(house: House) -> None:
    first, _ = house.connect("192.0.2.1")
    second, _ = house.connect("192.0.2.1")
    assert (house.allowances.connections, house.allowances.half_open) == (2, 2)
    third, refused = house.connect("192.0.2.1")
    assert refused.written.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert refused.closing
    third.connection_lost(None)
    await house.ask(first)
    assert (house.allowances.connections, house.allowances.half_open) == (2, 1)
    house.connect("192.0.2.1")
    _, refused = house.connect("192.0.2.1")
    assert b"too many connections from this address" in refused.written
    for protocol in (first, second):
        protocol.connection_lost(None)
    assert house.allowances.connections == 2


async def test_a_proxys_connection_counts_for_its_last_client(house: House) -> None:
    protocols = [house.connect("10.0.0.1")[0] for _ in range(10)]
    assert house.allowances.connections == 0
    for protocol in protocols[:3]:
        await house.ask(protocol, fields="X-Forwarded-For: 198.51.100.1\r\n")
    assert house.allowances.connections == 3
    fourth, transport = house.connect("10.0.0.1")
    await house.ask(fourth, fields="X-Forwarded-For: 198.51.100.1\r\n")
    assert transport.written.startswith(b"HTTP/1.1 429 ")
    fourth.connection_lost(None)
    await house.ask(protocols[0], fields="X-Forwarded-For: 198.51.100.2\r\n")
    assert house.allowances.connections == 3
    for protocol in protocols:
        protocol.connection_lost(None)
    assert house.allowances.connections == 0


async def test_requests_are_counted(house: House) -> None:
    protocol, transport = house.connect("192.0.2.1")
    for _ in range(5):
        await house.ask(protocol)
    assert len(house.scopes) == 4
    assert b"HTTP/1.1 429 " in transport.written
    assert b"\r\nRetry-After: 1000\r\n" in transport.written
    assert transport.closing


def _upgrade(protocol: Any, fields: str = "") -> None:
    protocol.data_received(
        GET.format(
            path="api/v1/wagering/subscribe?event_id=x",
            fields="Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{fields}",
        ).encode()
    )


async def test_a_socket_counts_until_it_is_lost_for_its_client(house: House) -> None:
    protocol, transport = house.connect("10.0.0.1")
    _upgrade(protocol, "X-Forwarded-For: 198.51.100.1\r\n")
    assert transport.written.startswith(b"HTTP/1.1 101 ")
    assert house.allowances.connections == 1
    successor: Any = transport.get_protocol()
    assert successor._group == "198.51.100.1"
    successor.connection_lost(None)
    assert house.allowances.connections == 0


async def test_a_refused_token_of_a_socket_is_a_guess(house: House) -> None:
    protocol, transport = house.connect("192.0.2.1")
    _upgrade(protocol)
    successor: Any = transport.get_protocol()
    successor.close(b"", CloseCode.GOING_AWAY)
    assert house.allowances.exhausted("192.0.2.1", 0.0) is None
    successor.close(b"", CloseCode.UNAUTHORIZED)
    assert house.allowances.exhausted("192.0.2.1", 0.0) is not None
    again, refused = house.connect("192.0.2.1")
    _upgrade(again)
    assert refused.written.startswith(b"HTTP/1.1 429 ")
    again.connection_lost(None)
    successor.connection_lost(None)
    assert house.allowances.connections == 0


async def test_a_refused_token_too_many_is_answered_otherwise() -> None:
    allowances = Allowances(LIMITS)
    statuses, sent = iter([401, 200, 401, 401]), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await problem(next(statuses), "Said")(scope, receive, send)

    async def send(message: Any) -> None:
        sent.append(message)

    within = RefusedTokens(app, allowances, now=lambda: 0.0)
    for _ in range(3):
        await within({"type": "http", GROUP: "a"}, None, send)  # type: ignore[arg-type]
    # A scope that did not come by the front door has nobody to count for.
    await within({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert [message["status"] for message in sent[::2]] == [401, 200, 429, 401]
    assert len(sent) == 8
    assert json.loads(sent[5]["body"])["detail"] == "too many refused tokens from this address"
    assert (b"retry-after", b"1000") in sent[4]["headers"]


async def test_the_log_is_not_flooded_with_refusals(house: House) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            protocol, transport = house.connect("192.0.2.1")
            protocol.data_received(b"nonsense\r\n\r\n")
            assert transport.written.startswith(b"HTTP/1.1 400 ")
            protocol.connection_lost(None)
    assert [line["event"] for line in logs] == ["http.refused"]


async def test_only_a_proxy_says_that_its_client_speaks_tls(house: House) -> None:
    for peer in ("10.0.0.1", "192.0.2.1"):
        protocol, _ = house.connect(peer)
        await house.ask(protocol, fields="X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n")
    assert [scope["scheme"] for scope in house.scopes] == ["https", "http"]
