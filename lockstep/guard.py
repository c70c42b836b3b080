"""The front door: uvicorn's HTTP protocol with a deadline and limits for the request's head.

uvicorn alone waits for a head for ever, and its parser takes 20 MB of headers and two Host headers. Here a head is
refused as soon as it breaks a rule, before any of it reaches the application. What follows an upgrade request in the
same packet goes to the WebSocket protocol: uvicorn would drop it. A protocol that can take the head as it was parsed
(`Upgradable`) is given that; to any other it is replayed, as uvicorn does.

An upgraded connection is no request: what uvicorn finds out and keeps for those, such as both addresses, is done once
the head shows that there is one. When ten thousand sockets come back at once, that is a quarter of the front door.

Which names of uvicorn's class are relied on is in `RELIED_ON`; a test holds them against the installed version.
"""

from __future__ import annotations

import contextlib
import http
import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import httptools
import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from kernel.io.cut import EXTENSION, cut
from lockstep.stragglers import stragglers_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kernel.io.cut import Connection

log = structlog.get_logger("http")

RELIED_ON = (
    "connection_made", "connection_lost", "data_received", "on_message_begin", "on_url", "on_header",
    "on_headers_complete", "on_message_complete", "handle_websocket_upgrade", "_should_upgrade",
    "_unset_keepalive_if_required",
)  # fmt: skip
"""Methods of uvicorn's HttpToolsProtocol that are called or overridden here."""

_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")  # RFC 9110, 7.2: uri-host [":" port]


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What a request's head may cost.

    Args:
        head_timeout_s: from the connection, or the first byte of a further request, to the end of the head. Players
            send it in one packet. Apache allows 20 s, nginx 60.
        max_head_bytes: target and fields together; nginx's four buffers of 8 KiB.
        max_fields: Apache stops at 100; browsers send about 20.
        unsent_bytes: TCP_NOTSENT_LOWAT: how much the kernel takes beyond what is on its way, so that a cut is one.
            Half of the 256 KiB steps in which bodies go out.
    """

    head_timeout_s: float = 10.0
    max_head_bytes: int = 32 << 10
    max_fields: int = 64
    unsent_bytes: int = 128 << 10


@runtime_checkable
class Upgradable(Protocol):
    """A WebSocket protocol that needs no bytes of the handshake, only what they say."""

    def upgrade_received(self, method: str, target: str, fields: list[tuple[bytes, bytes]], rest: bytes) -> None:
        """Answer an upgrade request.

        Args:
            method: as it stands in the request line, whose version is HTTP/1.1.
            target: path and query, as they stand there.
            fields: names in lower case, and their values.
            rest: what came behind the head in the same packet.
        """
        ...


class Refused(Exception):
    """Stop the parser: the head breaks a rule.

    Args:
        status: of the answer.
        detail: what is wrong, and the remedy.
        retry_after_s: when to come back, in seconds.
        tell: whether the log hears of it.
    """

    def __init__(self, status: int, detail: str, *, retry_after_s: int | None = None, tell: bool = True) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.tell = tell


class GuardedHttp(HttpToolsProtocol):
    """Serve HTTP/1.1 as uvicorn does, once the head of the request has passed."""

    limits: ClassVar[GuardLimits] = GuardLimits()

    # Whether the bytes that come next belong to a head: one is expected, or has begun.
    _in_head = True
    # Whether a request line has begun, so that a client without one is idle rather than slow.
    _begun = False
    # Whether the head that was last complete asks for a WebSocket that there is.
    _upgrades = False
    _heads = _head_bytes = _raw_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    # Whether it has passed, and it is soon this connection's turn to be let go of.
    _overdue = False
    _stopped: Refused | None = None
    _closed = False
    # Whom to tell that the connection is gone; nearly always nobody, so there is no dict until somebody asks.
    _watchers: dict[Callable[[Connection], None], None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the first head's deadline. What only requests need comes with the first of them."""
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind, on a reset either, where uvicorn leaves its own."""
        self._stop_deadline()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._tell_lost()
        scope: Any = self.scope
        if scope is not None:
            # It holds this protocol and is held by it, as the parser is, which uvicorn lets go of here too.
            scope.pop("extensions", None)

    def cut(self) -> None:
        """End the connection; nothing more reaches the peer."""
        cut(self.transport)

    def when_lost(self, tell: Callable[[Connection], None]) -> None:
        """Have `tell` called with this connection once it is gone."""
        self._watchers = self._watchers or {}
        self._watchers[tell] = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse, answer or upgrade."""
        self._unset_keepalive_if_required()
        if self._closed:
            return
        heads, in_head = self._heads, self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._stopped or Refused(400, "this is no HTTP/1.1 request"))
            return
        same_head = in_head and self._heads == heads
        if same_head and self._begun:
            # A field that does not end is not seen by the callbacks: packets of nothing but head are counted here.
            self._raw_bytes += len(data)
            if self._raw_bytes > self.limits.max_head_bytes:
                self._refuse(Refused(431, self._too_large()))
                return
        if self._in_head and (self._begun or same_head):
            self._start_deadline()

    def on_message_begin(self) -> None:
        """Begin to count."""
        # uvicorn makes the request's scope here already.
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_head = self._begun = True
        self._head_bytes = self._raw_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the target's bytes."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field and its bytes."""
        if len(self.headers) >= self.limits.max_fields:
            self._stop(431, f"at most {self.limits.max_fields} header fields are taken")
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check what only the whole head shows, then hand the request on."""
        self._stop_deadline()
        self._in_head = self._begun = False
        self._heads += 1
        self._upgrades = self.parser.should_upgrade() and self._may_upgrade()
        self._check_head()
        if self._upgrades:
            return
        if self._heads == 1:
            self._meet_first_request()
        if self._is_answered_at_once():
            return
        read = (self.url, self.headers, self.expect_100_continue)
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = read
        self.scope["headers"] = self.headers
        # ASGI has no word for it: the application may need to end the connection for good.
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]
        self._complete_scope()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect a further head."""
        super().on_message_complete()
        self._in_head = True

    def _should_upgrade(self) -> bool:
        # uvicorn asks at every turn; the answer stands with the head.
        return self._upgrades

    def _may_upgrade(self) -> bool:
        """Return whether the head asks for a WebSocket that there is."""
        # RFC 6455, 4.2.1: HTTP/1.1 or higher.
        return super()._should_upgrade() and self.parser.get_http_version() == "1.1"

    def _meet_first_request(self) -> None:
        """Set the socket up for bodies, and learn who speaks to whom."""
        self.server, self.client = get_local_addr(self.transport), get_remote_addr(self.transport)
        accepted = self.transport.get_extra_info("socket")
        # A socket of another family (Unix, for a proxy beside us) has no such options.
        if accepted is not None and accepted.family in (socket.AF_INET, socket.AF_INET6):
            # The peer may be gone already; then the transport finds out by itself.
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, self.limits.unsent_bytes)

    def _is_answered_at_once(self) -> bool:
        """Tell whether a subclass answers this request by itself; then it sees to `on_message_complete`, too."""
        return False

    def _complete_scope(self) -> None:
        """Let a subclass say more of the request."""

    def _check_head(self) -> None:
        fields: dict[bytes, list[bytes]] = {b"host": [], b"content-length": [], b"transfer-encoding": []}
        for name, value in self.headers:
            if name in fields:
                fields[name].append(value)
        hosts, lengths, encodings = fields.values()
        old = self.parser.get_http_version() == "1.0"
        # RFC 9112, 3.2: a request without Host, with several, or with an invalid one is answered with 400.
        if len(hosts) > 1 or not (hosts or old) or not all(map(_HOST.fullmatch, hosts)):
            self._stop(400, "exactly one valid Host header must be there")
        # RFC 9112, 6.1: both together, or chunks in HTTP/1.0, are how requests are smuggled.
        if len(lengths) > 1 or (encodings and (lengths or old)):
            self._stop(400, "the length of the body is ambiguous")
        if self._upgrades and (encodings or lengths not in ([], [b"0"])):
            self._stop(400, "an upgrade request has no body")

    def _count(self, n_bytes: int) -> None:
        self._head_bytes += n_bytes
        if self._head_bytes > self.limits.max_head_bytes:
            self._stop(431, self._too_large())

    def _too_large(self) -> str:
        return f"at most {self.limits.max_head_bytes} bytes of request head are taken"

    def _stop(self, status: int, detail: str) -> None:
        self._stop_with(Refused(status, detail))

    def _stop_with(self, refusal: Refused) -> None:
        self._stopped = refusal
        raise refusal

    def _start_deadline(self) -> None:
        if self._deadline is None and not self._overdue:
            self._deadline = self.loop.call_later(self.limits.head_timeout_s, self._late)

    def _stop_deadline(self) -> None:
        self._overdue = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline, self._overdue = None, True
        stragglers_of(self.loop).add(self.loop, self._let_go)

    def _let_go(self) -> None:
        if not self._overdue:
            return  # it has been quicker, or has gone
        self._overdue = False
        if not self._begun:
            # Idle: a browser's spare connection, which would take a 408 for the answer to its next request.
            if not self._answering():
                self._closed = True
                self.transport.close()
            return
        self._refuse(Refused(408, f"the request's head was not complete within {self.limits.head_timeout_s:g} s"))

    def _answering(self) -> bool:
        # None before the first request, whatever uvicorn's annotation says.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, refusal: Refused) -> None:
        self._closed = True
        self._stop_deadline()
        if self.transport.is_closing():
            return
        if refusal.tell:
            peer = (get_remote_addr(self.transport) or ("",))[0]
            log.info("http.refused", status=refusal.status, detail=refusal.detail, peer=peer)
        # In the middle of an earlier answer, ours would be read as a part of that.
        if not self._answering():
            self.transport.write(_problem_bytes(refusal))
        self.transport.close()

    def _tell_lost(self) -> None:
        watchers, self._watchers = self._watchers or {}, None
        for tell in watchers:
            tell(self)

    def _upgrade(self, rest: bytes) -> None:
        if not self._should_upgrade():
            # RFC 9110, 7.8: an upgrade may be ignored. The parser has let go of what follows, so this is the last.
            if self._answering():
                self.cycle.keep_alive = False
            return
        if self._answering():
            self._refuse(Refused(400, "an upgrade request cannot follow one that is not yet answered"))
            return
        # From here on it is the socket's connection, no longer one that requests come over.
        self._tell_lost()
        kind: Any = self.ws_protocol_class
        if issubclass(kind, Upgradable):
            # What uvicorn's `handle_websocket_upgrade` does, without writing a head to be parsed again.
            self.connections.discard(self)
            socket_ = kind(config=self.config, server_state=self.server_state, app_state=self.app_state)
            socket_.connection_made(self.transport)
            self.transport.set_protocol(socket_)
            # The parser has let no byte beyond ASCII through (RFC 3986, 2).
            method, target = self.parser.get_method().decode("ascii"), self.url.decode("ascii")
            # It holds this protocol and is held by it: apart, both are gone at once, without the collector.
            self.parser = None  # type: ignore[assignment]
            socket_.upgrade_received(method, target, self.headers, rest)
            return
        # uvicorn replays the method from the scope, which it would have made.
        self.scope = {"method": self.parser.get_method().decode("ascii"), "headers": self.headers}  # type: ignore[typeddict-item]
        self.handle_websocket_upgrade()
        if rest and not self.transport.is_closing():
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]


def guarded_protocol(limits: GuardLimits) -> type[GuardedHttp]:
    """Return a protocol class with limits of its own, for uvicorn's `Config(http=...)`."""
    return type("GuardedHttp", (GuardedHttp,), {"limits": limits})


def _problem_bytes(refusal: Refused) -> bytes:
    title = http.HTTPStatus(refusal.status).phrase
    body = json.dumps(
        {"type": "about:blank", "title": title, "status": refusal.status, "detail": refusal.detail},
        separators=(",", ":"),
    ).encode()
    head = (
        f"HTTP/1.1 {refusal.status} {title}\r\nContent-Type: application/problem+json\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    )
    retry = "" if refusal.retry_after_s is None else f"Retry-After: {refusal.retry_after_s}\r\n"
    return f"{head}{retry}\r\n".encode("ascii") + body
