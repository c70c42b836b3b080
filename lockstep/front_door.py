"""The one port: HTTP routes and the hub's sockets side by side."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config, Server

from hub.io.socket import Socket
from kernel.errors import SettingsError
from kernel.io.http import problem
from lockstep.allowances import Allowances
from lockstep.patience import AtOnce, PatientHttp
from lockstep.peers import TrustedProxies
from lockstep.reception import RefusedTokens, counted_socket, reception

SOCKET_PATH = "/api/v1/wagering/subscribe"

GRACE_S = 5
"""How long answers under way may take once the server is told to stop; uvicorn by itself waits for ever."""

KEEP_ALIVE_S = 15
"""How long an idle connection is kept: above a player's interval between segments, and below 30 s, because uvicorn does
not cancel the timer of a connection that was reset."""


class FrontDoor(PatientHttp):
    """Let the hub's path be upgraded, and no other: there is one kind of socket."""

    path: ClassVar[bytes] = SOCKET_PATH.encode()

    def _may_upgrade(self) -> bool:
        return self.url.partition(b"?")[0] == self.path and super()._may_upgrade()


class PlainDoor(PatientHttp):
    """Upgrade nothing: there is no hub in this process."""

    def _may_upgrade(self) -> bool:
        return False


class QuietServer(Server):
    """Serve until told to stop; signals are the command's business, not the server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

    Args:
        host: an address or a name of this machine; an IPv6 address without brackets.
        port: 0 for a free one.

    Raises:
        SettingsError: it cannot be opened; the text says why.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listening


def allow_connections() -> int:
    """Allow as many open files as the system lets us, and return how many: a connection is one.

    The soft limit is 1,024 on many systems, for programs that use select(2); Go's runtime raises it likewise.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def url_of(listening: socket.socket) -> str:
    """Return the URL at which an open port answers."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(
    app: ASGIApp,
    socket_protocol: type[Socket] | None,
    *,
    proxies: TrustedProxies,
    allowances: Allowances,
    at_once: AtOnce | None = None,
) -> QuietServer:
    """Return a server for the routes of `app` and, on the same port, the hub's sockets.

    Args:
        app: all routes.
        socket_protocol: the hub's protocol class; None where there is no hub.
        proxies: whose forwarding headers count.
        allowances: the process's only ones.
        at_once: answers from memory, asked before the application.
    """
    config = Config(
        RefusedTokens(app, allowances, now=asyncio.get_running_loop().time),
        loop="none",
        http=reception(FrontDoor if socket_protocol else PlainDoor, proxies, allowances, at_once),
        ws=counted_socket(socket_protocol, allowances) if socket_protocol else "none",
        lifespan="off",
        log_config=None,
        access_log=False,
        # Uvicorn's own belief in proxies knows no hops; `reception` has it.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        backlog=4096,
    )
    return QuietServer(config)


def below(prefix: str, inside: ASGIApp, others: ASGIApp) -> ASGIApp:
    """Return an application that hands what lies below a prefix to `inside`, and all else to `others`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = inside if scope["type"] == "http" and scope["path"].startswith(prefix) else others
        await chosen(scope, receive, send)

    return app


async def _plain_get(_: Request) -> Response:
    # RFC 9110, 15.5.22: the answer to a request that must be upgraded names the protocol.
    return problem(
        426,
        "Upgrade Required",
        detail="this is a WebSocket: connect with Upgrade: websocket",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def socket_route() -> Route:
    """Return the answer to whoever asks for the socket without an upgrade."""
    return Route(SOCKET_PATH, _plain_get, methods=["GET"])
