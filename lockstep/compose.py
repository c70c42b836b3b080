"""Put the three houses together in one process: one loop, one bus, one fetcher, one journal, one port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from feeds.io.demux import Demuxer, DemuxLimits
from feeds.io.ingest import StreamIngest
from feeds.io.journal import Journal
from feeds.io.status import status_routes
from feeds.io.webhooks import Ingress, SourceKeys
from feeds.io.webhooks import routes as feed_routes
from feeds.standard_webhooks import parse_secret
from feeds.vendors.contract import ReceivedMessage
from hub.io.driver import Hub
from hub.settings import HubSettings
from kernel.bus import Bus
from kernel.io.http import AccessLog, exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.io.system_time import new_id, wall
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from lockstep.allowances import Allowances
from lockstep.enforcement import Enforcement
from lockstep.front_door import below, socket_route
from lockstep.key_watch import KeyWatch
from lockstep.keys import Keys
from lockstep.logs import log_answered
from lockstep.loop_watch import LoopWatch
from lockstep.metrics import FeedsCollector, ProcessCollector, metrics_route
from lockstep.settings import Settings
from relay.gate import Gate, StaleLimits
from relay.io.at_once import PlaylistsAtOnce
from relay.io.driver import StreamRelay
from relay.io.hls import Hls
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

log = structlog.get_logger("lockstep")

RESTART_S = 1.0
"""How long a part that failed unexpectedly rests before it is started again."""


class Deployment:
    """Everything that runs in one process. Make it with `start`, end it with `stop`."""

    def __init__(
        self,
        settings: Settings,
        showings: dict[str, Showing],
        keys: Keys,
        journal: Journal,
        revoked: RevocationStore,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._showings = showings
        self._journal = journal
        self.bus = MemoryBus(loop.time)
        self._fetcher = Fetcher(
            [showing.origin for showing in showings.values()],
            limits=settings.limits.to_fetch_limits(),
            local_dirs={showing.origin: showing.local_dir for showing in showings.values() if showing.local_dir},
            now=loop.time,
        )
        self._demuxer = Demuxer(limits=DemuxLimits(max_segment_bytes=settings.limits.max_segment_bytes))
        self._ingests = {
            event_id: StreamIngest(
                showing,
                fetcher=self._fetcher,
                demuxer=self._demuxer,
                journal=journal,
                bus=self.bus,
                wall=wall,
                new_id=new_id,
            )
            for event_id, showing in showings.items()
        }
        self._relays = {
            event_id: StreamRelay(showing, fetcher=self._fetcher, bus=self.bus)
            for event_id, showing in showings.items()
        }
        self._tokens = TokenCache(TokenVerifier(keys.signing))
        self._key_watch = KeyWatch(settings.data_dir, self._tokens.rotate)
        index = RevocationIndex()
        stale_s = settings.max_stale_running_s
        gate = Gate(self._tokens, index, lag_s=self.bus.lag_s, limits=StaleLimits(running_s=stale_s))
        self.hub = Hub(
            self.bus,
            showings,
            gate,
            HubSettings(heartbeat_ms=settings.heartbeat_ms, max_subscribers=settings.max_subscribers),
            wall=wall,
            new_id=new_id,
        )
        self.allowances = Allowances(settings.per_address.to_address_limits())
        self._ingress = Ingress(_source_keys(showings, keys), journal, wall=wall, deliver=self._deliver)
        self.at_once = PlaylistsAtOnce(self._relays, admit=gate, wall=wall, now=loop.time, tell=log_answered)
        hls = Hls(self._relays, gate=gate, fetcher=self._fetcher, wall=wall)
        self._enforcement = Enforcement(
            self.bus, index, [hls.flights, self.hub], wall=wall, max_stale_running_s=stale_s
        )
        self._desk = _desk(revoked, self.bus, keys, index)
        routes = [
            *self._desk.routes(),
            *feed_routes(self._ingress),
            *status_routes(self._ingests, wall),
            *hls.routes(),
            socket_route(),
            *self._health_routes(),
            metrics_route(FeedsCollector(self._ingests), ProcessCollector(lambda: self._watch, self.allowances)),
        ]
        self.app: ASGIApp = AccessLog(below("/hls/", hls, _framework(routes)), now=loop.time, tell=log_answered)
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: LoopWatch | None = None
        self._recovered = False

    @classmethod
    async def start(cls, settings: Settings, showings: dict[str, Showing], keys: Keys) -> Deployment:
        """Open what is on disk, take up where the last process ended, and begin to follow the origins.

        Raises:
            JournalError: the journal cannot be opened or read.
            SettingsError: a key is wrong.
        """
        journal = await Journal.open(settings.data_dir / "journal.sqlite", now=wall)
        try:
            revoked = await RevocationStore.open(settings.data_dir / "revocations.sqlite")
        except BaseException:
            await journal.aclose()
            raise
        try:
            deployment = cls(settings, showings, keys, journal, revoked)
            # Nobody is admitted before it is known who is not to be.
            deployment._enforcement.start()
            await deployment._desk.refill()
            # The hub listens before the journal refills the bus, and hears all of it.
            deployment.hub.start()
            for ingest in deployment._ingests.values():
                await ingest.restore()
            await deployment._ingress.recover()
        except BaseException:
            await revoked.aclose()
            await journal.aclose()
            raise
        deployment._recovered = True
        deployment._supervise("keys", deployment._key_watch.run)
        deployment._supervise("enforcement", deployment._enforcement.run)
        deployment._supervise("revocations", deployment._desk.run)
        deployment._watch = LoopWatch(asyncio.get_running_loop())
        for event_id in showings:
            deployment._supervise(f"ingest {event_id}", deployment._ingests[event_id].run)
            deployment._supervise(f"relay {event_id}", deployment._relays[event_id].run)
        return deployment

    def reread_keys(self) -> None:
        """Take up changed signing keys at once, without waiting for the next look at the file."""
        self._key_watch.look()

    async def drain(self) -> None:
        """Tell every subscriber that we are going, before the server closes their connections."""
        await self.hub.drain()

    async def stop(self) -> None:
        """End everything in the order in which nothing acknowledged can be lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._enforcement.stop()
        await self._desk.aclose()
        if self._watch is not None:
            await self._watch.aclose()
        await self._ingress.aclose()
        await self._demuxer.aclose()
        await self._fetcher.aclose()
        await self._journal.aclose()

    def _deliver(self, message: ReceivedMessage) -> None:
        self._ingests[message.stream].deliver(message)

    def _supervise(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def again() -> None:
            while True:
                try:
                    await run()
                except Exception:
                    # A fault of ours in one showing must not end the others; the log says that it is one.
                    log.exception("part.failed", part=name)
                await asyncio.sleep(RESTART_S)

        self._tasks.append(asyncio.create_task(again(), name=name))

    def _health_routes(self) -> list[Route]:
        async def livez(_: Request) -> Response:
            return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})

        async def readyz(_: Request) -> Response:
            waiting = [event_id for event_id, relay in self._relays.items() if relay.presentation.text(None) is None]
            ready = self._recovered and not waiting
            body = {
                "status": "ready" if ready else "starting",
                "journal": "recovered" if self._recovered else "recovering",
                # How many, not which: anybody may ask.
                "showings": len(self._relays),
                "showings_without_picture": len(waiting),
            }
            return JSONResponse(body, 200 if ready else 503, headers={"Cache-Control": "no-store"})

        return [Route("/livez", livez), Route("/readyz", readyz)]


def _desk(store: RevocationStore, bus: Bus, keys: Keys, index: RevocationIndex) -> RevocationDesk:
    return RevocationDesk(
        store,
        bus,
        keys.known_operators(),
        wall=wall,
        # Never with a hyphen in front: it is written on command lines.
        new_id=lambda: f"rev_{new_id(12)}",
        live=index.__len__,
        retain=False,
    )


def _framework(routes: list[Route]) -> Starlette:
    app = Starlette(routes=routes, exception_handlers=exception_handlers)
    # It would send whoever asks with a slash too many to the host that their Host header names.
    app.router.redirect_slashes = False
    return app


def _source_keys(showings: dict[str, Showing], keys: Keys) -> dict[str, SourceKeys]:
    return {
        source.name: SourceKeys(source.vendor, [parse_secret(keys.webhook_secrets[source.name])], event_id)
        for event_id, showing in showings.items()
        for source in showing.sources
    }
