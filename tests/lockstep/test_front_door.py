from __future__ import annotations

import contextlib
import socket

import pytest

from kernel.errors import SettingsError
from lockstep.front_door import FrontDoor, listen, make_server, socket_route, url_of


async def _app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nothing is served here")


def test_a_port_is_opened_and_named() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as listening:
        assert url_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.listen()
        with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1 port"):
            listen("127.0.0.1", listening.getsockname()[1])


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address_stands_in_brackets() -> None:
    try:
        listening = listen("::1", 0)
    except SettingsError:
        pytest.skip("this machine has no IPv6 loopback")
    with contextlib.closing(listening):
        assert url_of(listening).startswith("http://[::1]:")


def test_the_server_leaves_signals_and_headers_of_proxies_alone() -> None:
    server = make_server(_app, FrontDoor)
    assert server.config.http is FrontDoor
    assert not server.config.proxy_headers
    assert not server.config.ws_per_message_deflate
    with server.capture_signals():
        pass


def test_the_socket_has_a_plain_answer() -> None:
    assert socket_route().path == "/api/v1/wagering/subscribe"
