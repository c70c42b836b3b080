"""One Lockstep process in the simulation: the real houses, put together as in `lockstep/compose.py`.

Only what touches the world differs: time, names and dice are the simulation's, the origin answers from memory, segments
are read on the loop, the journal's work is done on the loop, and connections come from the simulated network.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from uvicorn.server import ServerState

from feeds.io.ingest import StreamIngest
from feeds.io.journal import Journal
from feeds.io.webhooks import Ingress, SourceKeys
from feeds.io.webhooks import routes as feed_routes
from feeds.steady_wall import SteadyWall
from hub.io.driver import Hub
from hub.settings import HubSettings
from kernel.bus import revocations_topic
from kernel.io.http import AccessLog, exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.revocation import RevocationIndex
from lockstep.allowances import AddressLimits, Allowances
from lockstep.blackouts import BlackoutFiles, BlackoutHouse
from lockstep.enforcement import Enforcement
from lockstep.front_door import below, make_server, socket_route
from lockstep.peers import TrustedProxies
from relay.blackouts import BlackoutIndex, Blackouts
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.at_once import PlaylistsAtOnce
from relay.io.blackout_store import BlackoutStore
from relay.io.cut_store import CutStore
from relay.io.driver import StreamRelay
from relay.io.hls import Hls
from relay.io.locator import Locator
from relay.io.operator_door import OperatorDoor
from relay.io.repeats import Repeats
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore
from relay.operators import Operators
from relay.quota import Quota
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier
from tests.sim.operator import OPERATOR
from tests.sim.origin import InLoopDemuxer
from tests.sim.vendor import SECRET
from tests.support.tokens import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from feeds.vendors.contract import ReceivedMessage
    from kernel.decisions import Decision, Scope, Whence
    from kernel.showings import Showing
    from kernel.tokens import Claims
    from tests.sim.world import World

RESTART_S = 1.0


class Process:
    """Everything that a kill -9 takes away."""

    def __init__(self, world: World, showings: dict[str, Showing]) -> None:
        self.world = world
        self.showings = showings
        self.alive = True
        self.serves_since = float("inf")
        self.hub: Hub
        self._fetcher: Fetcher | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open what is on disk, take up where the last process ended, and listen."""
        world, showings = self.world, self.showings
        loop = world.loop
        bus = MemoryBus(loop.time)
        for event_id, showing in showings.items():
            world.judge.watch(bus, event_id, lambda: self.alive, auto_hold=showing.auto_hold)
        journal = await Journal.open(world.disk.path, now=world.wall, commits=world.disk.commit_class())
        origins = [showing.origin for showing in showings.values()]
        fetcher = self._fetcher = Fetcher(origins, now=loop.time, http=world.origin)
        demuxer, steady = InLoopDemuxer(world.dice), SteadyWall(world.wall, loop.time)
        ingests = {
            event_id: StreamIngest(
                showing, fetcher=fetcher, demuxer=demuxer, journal=journal, bus=bus, wall=steady,
                new_id=world.new_id,
            )
            for event_id, showing in showings.items()
        }  # fmt: skip
        relays: dict[str, StreamRelay] = {}
        for event_id, showing in showings.items():
            relays[event_id] = StreamRelay(showing, fetcher=fetcher, bus=bus, others=relays)
        index, dark = RevocationIndex(), BlackoutIndex()
        gate = Gate(TokenCache(TokenVerifier(KEYS)), index, blackouts=Blackouts(Locator(), dark, FixBook()))
        settings = HubSettings(hash_interval_s=1.5, drain_s=0.3, retry_ms=200, retry_spread_ms=1_000, **world.plan.hub)
        self.hub = Hub(bus, showings, gate, settings, wall=world.wall, new_id=world.new_id)

        def deliver(message: ReceivedMessage) -> None:
            if self.alive:
                ingests[message.stream].deliver(message)

        ingress = Ingress(_keys(showings), journal, wall=world.wall, received=steady, deliver=deliver)
        at_once = PlaylistsAtOnce(relays, admit=gate, wall=world.wall, now=loop.time)
        hls = Hls(relays, gate=gate, fetcher=fetcher, wall=world.wall)
        world.judge.watch_grants(bus, lambda: self.alive)
        # Nobody is admitted before it is known who is not to be.

        def judge(claims: Claims, whence: Whence, scope: Scope) -> Decision:
            return gate.decide(claims, claims.event_id, scope, now=world.wall(), whence=whence)

        enforcement = Enforcement(
            bus, index, [hls.flights, self.hub], judge=judge, wall=world.wall, max_stale_running_s=60.0
        )
        enforcement.start()
        dark.listen(enforcement.look_again)
        for event_id, relay in relays.items():
            dark.listen(partial(_darken, relay, dark, event_id))
        store = await RevocationStore.open(world.disk.beside("revocations"), commits=world.disk.commit_class())
        repeats = await Repeats.open(world.disk.beside("repeats"), commits=world.disk.commit_class())
        door = OperatorDoor(
            Operators([OPERATOR]), quota=Quota(), repeats=repeats, wall=world.wall, now=loop.time
        )  # fmt: skip
        desk = RevocationDesk(
            store, bus, door, wall=world.wall, new_id=world.new_id, live=index.__len__, retain=False
        )  # fmt: skip
        bus.begin(revocations_topic(), world.new_id())
        await desk.refill()
        blackouts = await self._blackouts(bus, dark, door)
        await blackouts.refill()
        routes = [*desk.routes(), *blackouts.routes(), *feed_routes(ingress), *hls.routes(), socket_route()]
        framework = Starlette(routes=routes, exception_handlers=exception_handlers)
        app = AccessLog(below("/hls/", hls, framework), now=loop.time)
        # The hub listens before the journal refills the bus, and hears all of it.
        self.hub.start()
        for ingest in ingests.values():
            await ingest.restore()
        await ingress.recover()
        for event_id in showings:
            world.judge.restored(event_id)
            self._supervise(f"ingest {event_id}", ingests[event_id].run)
            self._supervise(f"relay {event_id}", relays[event_id].run)
        self._supervise("enforcement", enforcement.run)
        self._supervise("review", enforcement.review)
        self._supervise("revocations", desk.run)
        self._supervise("blackouts", blackouts.watch.run)
        world.operator.restarted()
        world.blackouts.judge()
        self._listen(app, at_once)
        self.serves_since = loop.time()

    async def _blackouts(self, bus: MemoryBus, index: BlackoutIndex, door: OperatorDoor) -> BlackoutHouse:
        disk, world = self.world.disk, self.world
        files = BlackoutFiles(
            await BlackoutStore.open(disk.beside("blackouts"), commits=disk.commit_class()),
            await CutStore.open(disk.beside("cuts"), commits=disk.commit_class()),
        )
        return BlackoutHouse(bus, index, files, door, self.showings, wall=world.wall, new_id=world.new_id)

    def kill(self, *, silent: bool) -> None:
        """End now, wherever it stands: first nothing that it does has an effect any more, then its tasks go.

        `silent`: nobody's connection is reset, as when a machine loses its power.
        """
        self.alive = False
        world = self.world
        world.net.deafen("server", 80)
        world.net.power_off(silent=silent)
        world.disk.crash()
        if self._fetcher is not None:
            self._tasks.append(asyncio.ensure_future(self._fetcher.aclose()))
        for task in self._tasks:
            task.cancel()

    def _listen(self, app: Any, at_once: PlaylistsAtOnce) -> None:
        allowances = Allowances(AddressLimits())
        server = make_server(
            app, self.hub.protocol_class(), proxies=TrustedProxies(), allowances=allowances, at_once=at_once
        )
        config = server.config
        config.load()
        state = ServerState()
        http: Callable[..., Any] = config.http_protocol_class

        def factory() -> Any:
            return http(config=config, server_state=state, app_state={}, _loop=self.world.loop)

        self.world.net.listen("server", 80, factory, self.world.judge.accepted)

    def _supervise(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def again() -> None:
            while True:
                try:
                    await run()
                except Exception as error:
                    self.world.judge.fail("part", f"{name} failed: {error!r}")
                await asyncio.sleep(RESTART_S)

        self._tasks.append(asyncio.create_task(again(), name=name))


def _darken(relay: StreamRelay, index: BlackoutIndex, event_id: str) -> None:
    relay.on_blackouts(index.windows(event_id), index.redirects(event_id))


def _keys(showings: dict[str, Showing]) -> dict[str, SourceKeys]:
    return {
        source.name: SourceKeys(source.vendor, [SECRET], event_id)
        for event_id, showing in showings.items()
        for source in showing.sources
    }
