from __future__ import annotations

import contextlib
import resource
import socket

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.io.socket import Socket
from kernel.errors import SettingsError
from lockstep.allowances import AddressLimits, Allowances
from lockstep.front_door import (
    FrontDoor,
    PlainDoor,
    allow_connections,
    below,
    listen,
    make_server,
    socket_route,
    url_of,
)
from lockstep.peers import TrustedProxies
from lockstep.reception import Reception


async def _app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nothing is served here")


def test_a_port_is_opened_and_named() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as listening:
        assert url_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.listen()
        with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1 port"):
            listen("127.0.0.1", listening.getsockname()[1])


def test_as_many_connections_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        assert allow_connections() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address_stands_in_brackets() -> None:
    try:
        listening = listen("::1", 0)
    except SettingsError:
        pytest.skip("this machine has no IPv6 loopback")
    with contextlib.closing(listening):
        assert url_of(listening).startswith("http://[::1]:")


async def test_the_server_leaves_signals_alone_and_has_its_own_door() -> None:
    allowances = Allowances(AddressLimits())
    server = make_server(_app, Socket, proxies=TrustedProxies(), allowances=allowances, at_once=lambda *_: None)
    door, sockets = server.config.http, server.config.ws
    assert isinstance(door, type)
    assert issubclass(door, Reception)
    assert issubclass(door, FrontDoor)
    assert door.allowances is allowances
    assert isinstance(sockets, type)
    assert issubclass(sockets, Socket)
    # Uvicorn's own belief in proxies knows no hops.
    assert not server.config.proxy_headers
    assert not server.config.ws_per_message_deflate
    with server.capture_signals():
        pass


def test_the_socket_has_a_plain_answer() -> None:
    assert socket_route().path == "/api/v1/wagering/subscribe"


async def test_a_prefix_leads_inside() -> None:
    asked: list[str] = []

    def app(name: str) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(name)

        return answer

    both = below("/hls/", app("hls"), app("others"))
    for scope in (
        {"type": "http", "path": "/hls/x"},
        {"type": "http", "path": "/hls"},
        {"type": "http", "path": "/x/hls/"},
        {"type": "lifespan"},
    ):
        await both(scope, None, None)  # type: ignore[arg-type]
    assert asked == ["hls", "others", "others", "others"]


async def test_without_a_hub_nothing_is_upgraded() -> None:
    server = make_server(_app, None, proxies=TrustedProxies([]), allowances=Allowances(AddressLimits()))
    assert isinstance(server.config.http, type)
    assert issubclass(server.config.http, PlainDoor)
    assert server.config.ws == "none"
