"""Desks for viewers with everything behind them but a server, for tests of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx2
from starlette.applications import Starlette

from kernel.bus import sessions_signal
from kernel.errors import BookUnavailable
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from kernel.strict_json import encode
from kernel.tokens import Keyring, Purpose
from lockstep.place_rules import ANYWHERE
from relay.entitlements import Entitlements
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.driver import StreamRelay
from relay.io.playback_desk import Counting, PlaybackDesk
from relay.io.ticket_desk import TicketDesk
from relay.io.viewer_calls import ViewerCalls
from relay.place.model import IpPlace, Point, known_place
from relay.policies import PolicyIndex
from relay.sessions.about import about_of
from relay.sessions.counts import SessionCounts
from relay.sessions.limits import limits_for
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Outcome, Wish
from relay.sessions.networks import NetworkBook
from relay.sessions.policies import SessionPolicies
from relay.whereabouts import Whereabouts
from tests.support.tokens import KEYS, NOW, cache, claims

BEGIN, STOP = "/api/v1/playback/sessions", "/api/v1/playback/sessions/stop"
KEEP, RELEASE, RENEW = "/api/playback/heartbeat", "/api/playback/release", "/api/playback/refresh"
GAME = Showing("game", "http://127.0.0.1:9/index.m3u8", allowed_origins=("https://player.test",))
LAPTOP = {"browser": "Firefox 150", "os": "Linux", "screen": "1920x1080", "webgl_hash": "ab12"}
LOS_ANGELES = {"lat": 34.0522, "lon": -118.2437, "accuracy_m": 12.5, "at": NOW * 1000}


class Atlas:
    """Everybody is in Pasadena."""

    version = "v1"

    def locate(self, address: str) -> IpPlace:
        return known_place(address, "US", "US-CA", "Pasadena", point=Point(-118.14, 34.15), accuracy_m=5_000.0)


class Far(NetworkBook):
    """Cannot be asked when it is lost."""

    lost = False

    async def admit(self, wish: Wish) -> Outcome:
        if self.lost:
            raise BookUnavailable("gone")
        return await super().admit(wish)


class Rig:
    def __init__(self) -> None:
        self.now, self.counts = float(NOW), SessionCounts()
        self.bus, self.index, self.fixes = MemoryBus(lambda: 0.0), RevocationIndex(), FixBook()
        self.policies, self.place_policies, self.lag_s = SessionPolicies(), PolicyIndex(), 0.0
        numbers = count(1)
        self.entitlements = Entitlements(KEYS, new_id=lambda: f"id-{next(numbers)}")
        atlas = Atlas()
        whereabouts = Whereabouts(
            atlas, self.place_policies, lambda _: None, self.fixes, sessions=self.policies, anywhere=ANYWHERE
        )  # fmt: skip
        gate = Gate(
            cache(), self.index, entitlements=self.entitlements, whereabouts=whereabouts, lag_s=lambda: self.lag_s
        )  # fmt: skip
        self.book = Far(MemoryBook(wall=lambda: self.now))
        self.told: list[Any] = []
        self.bus.listen(sessions_signal(), self.told.append)
        self.template: dict[str, Any] | None = None
        counting = Counting(
            lambda said: limits_for(said, self.policies),
            lambda said, whence: about_of(said, whence, atlas.locate(whence.address)), lambda _: 30.0,
        )  # fmt: skip
        fetcher = Fetcher([GAME.origin], now=lambda: 0.0)
        self.fetcher = fetcher
        relay = StreamRelay(GAME, fetcher=fetcher, bus=self.bus)
        calls = ViewerCalls(gate, {"game": GAME}, wall=lambda: self.now)
        desk = PlaybackDesk(
            calls, gate, self.entitlements, whereabouts, self.book, counting=counting, bus=self.bus,
            relays={"game": relay}, wall=lambda: self.now, player_event=lambda _: self.template,
        )  # fmt: skip
        self.tickets = TicketDesk(
            calls, gate, self.entitlements, self.book, self.book, policies=self.policies, bus=self.bus,
            wall=lambda: self.now, counts=self.counts,
        )  # fmt: skip
        routes = [*desk.routes(), *self.tickets.routes()]
        app = Starlette(routes=routes, exception_handlers=exception_handlers)
        self.app = app
        self.http = self.client("203.0.113.7")

    def client(self, address: str) -> httpx2.AsyncClient:
        """Return a client at an address."""
        transport = httpx2.ASGITransport(app=self.app, client=(address, 1))
        return httpx2.AsyncClient(transport=transport, base_url="http://viewer.test", headers={"User-Agent": "VLC/3"})

    def policy(self, **fields: Any) -> None:
        assert self.policies.heard("event:game", encode({"event_id": "game", "session_policy": fields})) is None

    async def begin(self, http: httpx2.AsyncClient | None = None, **body: Any) -> httpx2.Response:
        return await (http or self.http).post(BEGIN, json={"token": bought(), **body})

    async def ask(self, path: str, text: str, **body: Any) -> httpx2.Response:
        return await self.http.post(path, json=body, headers={"Authorization": f"Bearer {text}"})


def bought(**changes: Any) -> str:
    """Return the token of an entitlement."""
    return Keyring(KEYS).issue(claims(**{"session": "", "jti": "bought", **changes}), Purpose.ENTITLEMENT)


@asynccontextmanager
async def desks() -> AsyncIterator[Rig]:
    """Have desks, and close what is behind them."""
    rig = Rig()
    try:
        yield rig
    finally:
        await rig.http.aclose()
        await rig.fetcher.aclose()
