"""Who comes in by the one port, and how often: the client's address, and the limits of each address.

The client's address is found once for each request and stands in its scope as `client`; a socket's class gets it by way
of `app_state`. A connection from a trusted proxy is not limited itself: it counts for the client of its last request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.utils import get_remote_addr

from hub.close_codes import CloseCode
from kernel.io.http import problem
from lockstep.allowances import Allowances, Over
from lockstep.guard import Refused
from lockstep.patience import AtOnce, PatientHttp
from lockstep.peers import TrustedProxies, address_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hub.io.socket import Socket


GROUP = "lockstep.address_group"
"""Where a request's scope, or a socket's app_state, holds what its address is limited by."""

_DETAILS = {
    "connections": "too many connections from this address",
    "half_open": "too many connections from this address that have asked for nothing",
    "requests": "too many requests from this address",
    "refused_tokens": "too many refused tokens from this address",
}


class Reception(PatientHttp):
    """Serve a connection as long as its address keeps to its limits. Made by `reception`."""

    proxies: ClassVar[TrustedProxies]
    allowances: ClassVar[Allowances]

    # What this connection is counted for, None while it is not.
    _counted: str | None = None
    _half_open = False
    _is_proxy = False
    _peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, or send it away."""
        super().connection_made(transport)
        # It may be gone already; then it has no address.
        self._peer = (get_remote_addr(transport) or ("", 0))[0]
        self._asker, self._is_proxy = self._peer, self.proxies.trusts(self._peer)
        if not self._is_proxy:
            over = self._count_for(address_group(self._peer), half_open=True)
            if over is not None:
                self._refuse(_too_many(over))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._uncount()
        super().connection_lost(exc)

    def _check_head(self) -> None:
        super()._check_head()
        over = None
        if self._is_proxy:
            self._asker = self.proxies.client(self._peer, self.headers)
            group = address_group(self._asker)
            if group != self._counted:
                over = self._recount(group)
        else:
            assert self._counted is not None  # since the connection was made
            group = self._counted
            if self._half_open:
                self._half_open = False
                self.allowances.asked(group)
        over = over or self.allowances.request(group, self.loop.time())
        if over is not None:
            self._stop_with(_too_many(over))

    def _complete_scope(self) -> None:
        if self._is_proxy:
            self.scope["client"] = (self._asker, 0)
            self.scope["scheme"] = self.proxies.scheme(self.headers)
        cast("dict[str, Any]", self.scope)[GROUP] = self._counted

    def _refuse(self, refusal: Refused) -> None:
        # A line for each of five thousand refusals is a part of the attack.
        if refusal.tell and self._counted is not None:
            refusal.tell = self.allowances.is_news(self._counted, self.loop.time())
        super()._refuse(refusal)

    def _upgrade(self, rest: bytes) -> None:
        if self._upgrades and not self._answering():
            assert self._counted is not None  # the head was checked
            over = self.allowances.exhausted(self._counted, self.loop.time())
            if over is not None:
                self._refuse(_too_many(over))
                return
            self.app_state = {**self.app_state, GROUP: self._counted, "client": (self._asker, 0)}
            # From here the socket counts: this protocol is not told when the connection ends.
            self._counted = None
        super()._upgrade(rest)

    def _count_for(self, group: str, *, half_open: bool = False) -> Over | None:
        self._counted, self._half_open = group, half_open
        return self.allowances.enter(group, half_open=half_open, now=self.loop.time())

    def _recount(self, group: str) -> Over | None:
        self._uncount()
        return self._count_for(group)

    def _uncount(self) -> None:
        if self._counted is not None:
            self.allowances.leave(self._counted, half_open=self._half_open)
            self._counted, self._half_open = None, False


def reception(
    base: type[PatientHttp], proxies: TrustedProxies, allowances: Allowances, at_once: AtOnce | None = None
) -> type[Reception]:
    """Return a protocol class for uvicorn's `Config(http=...)`.

    Args:
        base: what decides which paths are upgraded.
        proxies: whose forwarding headers count.
        allowances: the process's only ones.
        at_once: answers from memory, asked before the application.
    """
    # A plain function would become a method of the class.
    quick = None if at_once is None else staticmethod(at_once)
    return type("Reception", (Reception, base), {"proxies": proxies, "allowances": allowances, "at_once": quick})


def counted_socket(base: type[Socket], allowances: Allowances) -> type[Socket]:
    """Return the hub's socket class, counted: for `Config(ws=...)`."""

    class CountedSocket(base):  # type: ignore[valid-type, misc]
        """A socket that counts until it is lost, and as a guess if its token is refused."""

        __slots__ = ("_group",)

        def __init__(self, *, config: object, server_state: Any, app_state: dict[str, Any]) -> None:
            super().__init__(config=config, server_state=server_state, app_state=app_state)
            self._group: str = app_state[GROUP]

        def connection_lost(self, exc: Exception | None) -> None:
            allowances.leave(self._group, half_open=False)
            super().connection_lost(exc)

        def close(self, bye: bytes, code: CloseCode) -> None:
            if code is CloseCode.UNAUTHORIZED:
                allowances.guess(self._group, asyncio.get_running_loop().time())
            super().close(bye, code)

    return CountedSocket


class RefusedTokens:
    """Answer 429 instead of 401 to an address that had too many tokens refused.

    Tokens are verified all the same: who shares an address with an attacker, and has a genuine one, is served.

    Args:
        app: the application within.
        allowances: the process's only ones.
        now: seconds that never step back.
    """

    def __init__(self, app: ASGIApp, allowances: Allowances, *, now: Callable[[], float]) -> None:
        self._app = app
        self._allowances = allowances
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        group = scope.get(GROUP)
        if group is None:
            await self._app(scope, receive, send)
            return
        replaced = False

        async def counted(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 401:
                over = self._allowances.guess(group, self._now())
                if over is not None:
                    replaced = True
                    refusal = _too_many(over)
                    answer = problem(
                        429,
                        "Too Many Requests",
                        detail=refusal.detail,
                        headers={"Retry-After": str(over.retry_after_s)},
                    )
                    await answer(scope, receive, send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, counted)


def _too_many(over: Over) -> Refused:
    return Refused(429, _DETAILS[over.why], retry_after_s=over.retry_after_s)
