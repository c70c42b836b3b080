"""Put houses together in one process, all three or one alone: one loop, one bus, one fetcher, one port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Literal

import structlog
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from hub.io.socket import Socket
from kernel.decisions import Decision, Scope, Whence
from kernel.io.http import AccessLog, exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.io.redis_bus import RedisBus
from kernel.io.system_time import monotonic, new_id, wall
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from kernel.tokens import Claims
from lockstep.admission import Admission
from lockstep.allowances import Allowances
from lockstep.answers import AnswerCounts
from lockstep.blackouts import BlackoutFiles, BlackoutHouse
from lockstep.console.console import Console, read_console
from lockstep.disk import Disk
from lockstep.enforcement import Enforcement, Enforcer
from lockstep.front_door import below
from lockstep.health import health_routes
from lockstep.houses import Desk, FeedsHouse, HubHouse, Policies, RelayHouse
from lockstep.key_watch import KeyWatch
from lockstep.keys import Keys
from lockstep.leaks import leak_watch
from lockstep.logs import log_answered
from lockstep.loop_watch import LoopWatch
from lockstep.measures.feeds import feeds_readings
from lockstep.measures.hub import hub_readings
from lockstep.measures.measure import Reading
from lockstep.measures.place import place_readings
from lockstep.measures.process import (
    blackout_readings,
    bus_readings,
    door_readings,
    gate_readings,
    loop_readings,
    origin_readings,
    policy_readings,
)
from lockstep.measures.relay import relay_readings
from lockstep.measures.sessions import session_readings
from lockstep.metrics import metrics_route
from lockstep.openapi import openapi_route
from lockstep.parts import Parts, Run
from lockstep.place_rules import ANYWHERE
from lockstep.playback import Playback
from lockstep.seating import Seating
from lockstep.session_policies import SessionPolicyHouse
from lockstep.sessions import open_book
from lockstep.settings import Settings
from lockstep.showings.desk import ShowingDesk
from lockstep.showings.lineup import Lineup
from lockstep.showings.origins import AllowedOrigins, urls_of
from lockstep.showings.words import SHOWINGS
from relay.audit import Auditor
from relay.blackouts import BlackoutIndex, Blackouts
from relay.fixes import FixBook
from relay.gate import Gate, StaleLimits
from relay.io.at_once import PlaylistsAtOnce
from relay.io.audit_store import FOLDER, AuditStore
from relay.io.locator import Locator, PlaceFiles
from relay.io.operator_door import OperatorDoor, allow_together
from relay.io.session_keeper import Ends
from relay.io.viewer_desk import ViewerDesk
from relay.operators import Operator, Operators
from relay.policies import PolicyIndex
from relay.quota import Quota
from relay.sessions.book import SessionBook
from relay.sessions.policies import SessionPolicies
from relay.whereabouts import Whereabouts

log = structlog.get_logger("lockstep")

VERSION = version("lockstep-hub")

LEAD_S = 0.2
"""How long before its time a mark is given at least where houses are apart: relays hear of it, and read the playlist
that lists its segment, before it is due. So they open together."""

House = Literal["feeds", "relay", "hub"]
ALL_HOUSES: tuple[House, ...] = ("feeds", "relay", "hub")


class Deployment:
    """Everything that runs in one process. Make it with `start`, end it with `stop`."""

    def __init__(
        self, settings: Settings, showings: dict[str, Showing], keys: Keys, *, houses: tuple[House, ...],
        bus: MemoryBus | RedisBus, disk: Disk | None, admission: Admission, locator: Locator,
        book: SessionBook, records: AuditStore | None = None,
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        apart = isinstance(bus, RedisBus)
        self._showings = showings = dict(showings)
        self.bus = bus
        by_api = settings.showings_api
        # What is trusted of an origin that comes by API, the settings have said.
        trusted = [*(showing.origin for showing in showings.values()), *urls_of(by_api.origin_hosts)]
        self._fetcher = _fetcher(settings, showings, trusted)
        self._admission = admission
        self._operators = Operators(keys.known_operators())
        self._quota = Quota(settings.per_operator.to_quota_limits())
        self._key_watch = KeyWatch(settings.data_dir, admission.rotate, take_operators=self._take_operators)
        self.allowances = Allowances(settings.per_address.to_address_limits())
        self.answers = AnswerCounts(log_answered)
        self._index, stale_s = RevocationIndex(), settings.max_stale_running_s
        self.policies, self._records, self._disk = PolicyIndex(), records, disk
        self.audit = Auditor(records.put if records is not None else lambda _: None)
        self.locator = locator
        fixes, self.blackouts = FixBook(), BlackoutIndex()
        self.session_policies = SessionPolicies(*settings.sessions.to_policies())
        self._seating = _seating(settings, book, bus, self.session_policies, locator)
        whereabouts = Whereabouts(
            locator, self.policies, self._governing, fixes, sessions=self.session_policies, anywhere=ANYWHERE
        )  # fmt: skip
        self._gate = gate = self._make_gate(whereabouts, fixes, StaleLimits(running_s=stale_s))
        self._parts = parts = Parts()
        self._feeds = self._relay = self._hub = self._desk = self._door = None
        if disk is not None:
            lead_s = LEAD_S if apart else 0.0
            holds = bus.holds_log if isinstance(bus, RedisBus) else lambda: True
            self._door = door = OperatorDoor(
                self._operators, quota=self._quota, repeats=disk.repeats, wall=wall, now=loop.time, holds_log=holds
            )
            self._feeds = FeedsHouse(
                settings, showings, keys, disk.journal, fetcher=self._fetcher, bus=bus, parts=parts, lead_s=lead_s,
                holds_log=holds,
            )  # fmt: skip
            self._desk = Desk(disk.revoked, bus, door, self._index, apart=apart, leaks=settings.leaks)
        self._policies = Policies(bus, self.policies, disk.policies if disk else None, self._door)
        self._session_policies = SessionPolicyHouse(
            bus, self.session_policies, disk.session_policies if disk else None, self._door
        )
        files = BlackoutFiles(disk.blackouts, disk.cuts) if disk else None
        self._dark = BlackoutHouse(bus, self.blackouts, files, self._door, showings, self._fetcher)
        if "relay" in houses:
            self._relay = RelayHouse(
                showings, gate, fetcher=self._fetcher, bus=bus, parts=parts, now=loop.time, tell=self.answers,
                entitlements=self._admission.entitlements, blackouts=self.blackouts, sessions=self._seating.keeper,
                leaks=leak_watch(settings.leaks, bus, now=loop.time, wall=wall),
            )  # fmt: skip
        if "hub" in houses:
            self._hub = HubHouse(settings, showings, self._seating.looking(gate), bus=bus)
        # The hub first: it hears all that feeds says of a showing that is new.
        self._houses = [house for house in (self._hub, self._relay, self._feeds) if house is not None]
        self.lineup = Lineup(bus, showings, self._houses)
        self.lineup.on_change(self._dark.look_again)
        self._showing_desk = self._make_showing_desk(settings, AllowedOrigins(trusted, by_api.origin_dir))
        self._enforcement = Enforcement(
            bus, self._index, self._enforcers(), judge=self._judge, wall=wall, max_stale_running_s=stale_s
        )
        self._viewers = self._viewer_desk(whereabouts)
        self._console = self._make_console()
        self._playback = self._make_playback(settings, whereabouts)
        self._watch: LoopWatch | None = None
        self.app: ASGIApp = AccessLog(self._application(), now=loop.time, tell=self.answers)

    def _make_gate(self, whereabouts: Whereabouts, fixes: FixBook, limits: StaleLimits) -> Gate:
        return Gate(
            self._admission.tokens, self._index, entitlements=self._admission.entitlements, lag_s=self.bus.lag_s,
            limits=limits, clock=monotonic, whereabouts=whereabouts, notes=self.audit,
            blackouts=Blackouts(self.locator, self.blackouts, fixes),
            endings=self._seating.keeper.endings, seated=self._seating.keeper.is_seated,
        )  # fmt: skip

    def _make_showing_desk(self, settings: Settings, origins: AllowedOrigins) -> ShowingDesk | None:
        if self._disk is None or self._door is None:
            return None
        return ShowingDesk(
            self._disk.showings, self.bus, self._door, settings=settings.showings, resolved=self._showings,
            origins=origins, data_dir=settings.data_dir, max_showings=settings.showings_api.max_showings, wall=wall,
            lineup=self.lineup,
        )  # fmt: skip

    def _viewer_desk(self, whereabouts: Whereabouts) -> ViewerDesk | None:
        # Whatever may change what a place means: who is here is asked about again.
        look_again = self._enforcement.look_again
        self.policies.listen(lambda _: look_again())
        self.blackouts.listen(look_again)
        self.session_policies.listen(look_again)
        self.locator.on_change(look_again)
        self.lineup.on_change(look_again)
        if not (self._relay or self._hub):
            return None
        return ViewerDesk(
            self._gate, whereabouts, self.bus, self._showings, sessions=self._sessions_of, moved=look_again, wall=wall
        )

    def _make_console(self) -> Console | None:
        # The relay knows most: who watches, where addresses are, and what is dark.
        if self._relay is None or (assets := read_console()) is None:
            return None
        return Console(
            assets, self._operators, self._quota, bus=self.bus, keeper=self._seating.keeper,
            policies=self.session_policies, blackouts=self.blackouts, locator=self.locator, showings=self._showings,
            now=asyncio.get_running_loop().time,
        )  # fmt: skip

    def _make_playback(self, settings: Settings, whereabouts: Whereabouts) -> Playback:
        flights = self._relay.hls.flights if self._relay else None
        rules, tenant = self._disk.stream_count if self._disk else None, settings.sessions.tenant
        made = Playback(
            self._seating, self.session_policies, self._gate, self._door, bus=self.bus, rules=rules, tenant=tenant,
            flights=flights,
        )  # fmt: skip
        if self._relay is not None:
            made.begin(self._admission.entitlements, whereabouts, self._showings, self._relay.relays)
        return made

    def _enforcers(self) -> list[Enforcer]:
        enforcers: list[Enforcer] = []
        enforcers += [self._relay.hls.flights] if self._relay else []
        enforcers += [self._hub.hub] if self._hub else []
        return enforcers

    def routes(self) -> list[Route]:
        """Return all routes of this process, but for the video."""
        return [
            *(self._desk.desk.routes() if self._desk else ()),
            *(self._showing_desk.routes() if self._showing_desk else ()),
            *(self._policies.desk.routes() if self._policies.desk else ()),
            *self._dark.routes(),
            *self._session_policies.routes(),
            *self._playback.routes(),
            *(self._viewers.routes() if self._viewers else ()),
            *(self._console.routes() if self._console else ()),
            *(route for house in self._houses for route in house.routes()),
            *health_routes(self.bus, self._houses, self._showings),
            metrics_route(self.readings),
        ]

    def _application(self) -> ASGIApp:
        routes = self.routes()
        framework = _framework([*routes, openapi_route(routes)])
        return below("/hls/", self._relay.hls, framework) if self._relay else framework

    def readings(self) -> Iterator[Reading]:
        """Read all that there is to measure in this process."""
        yield from loop_readings(self._watch, self._parts.failures, VERSION)
        yield from door_readings(self.allowances, self.answers, self._quota)
        yield from gate_readings(self._gate, len(self._index))
        yield from policy_readings(self.policies, self._records)
        yield from blackout_readings(self.blackouts)
        yield from origin_readings(self._fetcher.counts)
        yield from bus_readings(self.bus)
        yield from place_readings(self.locator, wall())
        if self._feeds is not None and self._disk is not None:
            yield from feeds_readings(self._feeds.ingests, self._disk.writes())
        if self._relay is not None:
            yield from relay_readings(self._relay.relays, self._relay.hls.flights, self._relay.leaks)
        if self._hub is not None:
            yield from hub_readings(self._hub.hub)
        yield from session_readings(self._seating.keeper)

    @property
    def at_once(self) -> PlaylistsAtOnce | None:
        """Return what answers from memory, None where there is no relay."""
        return self._relay.at_once if self._relay else None

    @classmethod
    async def start(
        cls,
        settings: Settings,
        showings: dict[str, Showing],
        keys: Keys,
        *,
        houses: tuple[House, ...] = ALL_HOUSES,
        bus_url: str | None = None,
    ) -> Deployment:
        """Open what is on disk and on the bus, take up where the last process ended, and begin.

        Args:
            settings: everything that is set.
            showings: by event id.
            keys: the deployment's secrets.
            houses: those that run in this process.
            bus_url: the Redis that they share with others; None: nobody else, the bus is within this process.

        Raises:
            JournalError: the journal cannot be opened or read.
            LogHeld: another process writes the log.
            SettingsError: a key, the bus URL, the issuer of entitlements, or what says where addresses are is wrong.
        """
        loop = asyncio.get_running_loop()
        admission = await Admission.open(settings, keys)
        # Whoever admits nobody needs to know nobody's place.
        admits = "relay" in houses or "hub" in houses
        locator = Locator(settings.place.to_files() if admits else PlaceFiles(), reload_s=settings.place.reload_s)
        bus = _redis_bus(bus_url, settings.bus.prefix) if bus_url else MemoryBus(loop.time)
        disk = await Disk.open(settings.data_dir) if "feeds" in houses else None
        records = book = None
        try:
            records = await _open_records(settings, houses)
            book = await open_book(settings, bus_url)
            await asyncio.to_thread(read_console)
            if isinstance(bus, RedisBus) and disk is not None:
                await bus.open(FeedsHouse.topics(showings), journal=await disk.journal.name(new_id))
            elif isinstance(bus, RedisBus):
                await bus.open()
            await asyncio.to_thread(locator.open)
            deployment = cls(
                settings, showings, keys, houses=houses, bus=bus, disk=disk, admission=admission, locator=locator,
                records=records, book=book,
            )  # fmt: skip
            await deployment._begin()
        except BaseException:
            locator.close()
            if isinstance(bus, RedisBus):
                await bus.aclose()
            if disk is not None:
                await disk.aclose()
            if records is not None:
                await records.aclose()
            if book is not None:
                await book.aclose()
            raise
        return deployment

    async def _begin(self) -> None:
        # Nobody is admitted before it is known who is not to be.
        self._enforcement.start()
        self._start_seating()
        parts: dict[str, Run] = {
            "keys": self._key_watch.run,
            "enforcement": self._enforcement.run,
            "review": self._enforcement.review,
            "place": self.locator.run,
            "showings": self.lineup.run,
        }
        parts |= self._admission.parts()
        parts["sessions"] = self._seating.keeper.run
        if self._desk is not None:
            await self._desk.refill()
            parts["revocations"] = self._desk.desk.run
        if self._showing_desk is not None:
            self.bus.begin(SHOWINGS, new_id())
            await self._showing_desk.refill()
        self.lineup.start()
        if self._viewers is not None:
            self._viewers.start()
        await self._policies.refill()
        await self._dark.refill()
        await self._session_policies.refill()
        await self._playback.refill()
        parts["policies"] = self._policies.watch.run
        parts["blackouts"] = self._dark.watch.run
        # The hub listens before the journal refills the bus, and hears all of it.
        if self._hub is not None:
            self._hub.hub.start()
        if self._feeds is not None:
            await self._feeds.recover()
            parts |= self._feeds.parts()
            if isinstance(self.bus, RedisBus):
                parts["tenure"] = self._give_way
        if isinstance(self.bus, RedisBus):
            # Nobody may come in before what the bus retains is known here.
            await self.bus.caught_up()
        await self._policies.watch.settle()
        await self._dark.watch.settle()
        if self._relay is not None:
            parts |= self._relay.parts()
        self._watch = LoopWatch(asyncio.get_running_loop())
        self._parts.start_all(parts)
        # What was made by API before the last process ended is there before anybody asks for it.
        await self.lineup.settle()

    def _start_seating(self) -> None:
        ends: list[Ends] = [self._relay.hls.flights] if self._relay else []
        ends += [self._hub.ends] if self._hub else []
        if self._relay is not None:
            self._seating.relays = self._relay.relays
        self._seating.start(ends)

    def reread_keys(self) -> None:
        """Take up changed signing keys at once, without waiting for the next look at the file."""
        self._key_watch.look()

    def _governing(self, event_id: str) -> str | None:
        showing = self._showings.get(event_id)
        return showing.place_policy if showing is not None else None

    def _sessions_of(self, account: str, event_id: str) -> set[str]:
        return self._relay.hls.flights.sessions(account, event_id) if self._relay else set()

    def _judge(self, claims: Claims, whence: Whence, scope: Scope) -> Decision:
        decision = self._gate.decide(claims, claims.event_id, scope, now=wall(), whence=whence)
        self._seating.look(decision)
        return decision

    def _take_operators(self, operators: Sequence[Operator]) -> None:
        self._operators.replace(operators)
        self._quota.keep(frozenset(one.name for one in operators))

    def protocol_class(self) -> type[Socket] | None:
        """Return the class that serves the hub's sockets, None where there is no hub."""
        return self._hub.hub.protocol_class() if self._hub is not None else None

    def counts(self) -> Mapping[str, int]:
        """Return what there is to count in the hub."""
        return self._hub.hub.counts() if self._hub is not None else {}

    async def drain(self) -> None:
        """Tell every subscriber that we are going, before the server closes their connections."""
        if self._hub is not None:
            await self._hub.hub.drain()

    async def stop(self) -> None:
        """End everything in the order in which nothing acknowledged can be lost."""
        await self._parts.aclose()
        self.lineup.stop()
        if self._viewers is not None:
            self._viewers.stop()
        self._enforcement.stop()
        await self._seating.aclose()
        if self._door is not None:
            await self._door.aclose()
        if self._desk is not None:
            await self._desk.aclose()
        if self._showing_desk is not None:
            await self._showing_desk.aclose()
        await self._policies.aclose()
        await self._dark.aclose()
        await self._session_policies.aclose()
        await self._playback.aclose()
        if self._disk is not None:
            await self._disk.repeats.aclose()
        if self._watch is not None:
            await self._watch.aclose()
        if self._feeds is not None:
            await self._feeds.aclose()
        await self._fetcher.aclose()
        self.locator.close()
        if self._records is not None:
            await self._records.aclose()
        if isinstance(self.bus, RedisBus):
            await self.bus.aclose()

    async def _give_way(self) -> None:
        """Stop feeding once another process has taken over the log; what is said of it here is heard by nobody."""
        assert isinstance(self.bus, RedisBus)
        assert self._feeds is not None
        await self.bus.superseded.wait()
        await self._parts.end([*self._feeds.parts(), "revocations", "showings"])
        await asyncio.Event().wait()


async def _open_records(settings: Settings, houses: tuple[House, ...]) -> AuditStore | None:
    """Open the audit of a process, if anybody is admitted there."""
    if not {"relay", "hub"} & set(houses):
        return None
    name = "serve" if houses == ALL_HOUSES else "-".join(houses)
    folder = settings.data_dir / FOLDER
    return await AuditStore.open(folder, name, retention_days=settings.audit.retention_days, wall=wall)


def _seating(
    settings: Settings, book: SessionBook, bus: MemoryBus | RedisBus, policies: SessionPolicies,
    locator: Locator,
) -> Seating:  # fmt: skip
    return Seating(
        book, bus, policies, locate=locator.locate, now=asyncio.get_running_loop().time,
        dead_after_s=settings.sessions.dead_after_s, max_stale_running_s=settings.max_stale_running_s,
    )  # fmt: skip


def _fetcher(settings: Settings, showings: Mapping[str, Showing], trusted: Sequence[str]) -> Fetcher:
    folder = settings.showings_api.origin_dir
    return Fetcher(
        trusted,
        limits=settings.limits.to_fetch_limits(),
        local_dirs={showing.origin: showing.local_dir for showing in showings.values() if showing.local_dir},
        folders=[folder] if folder else (),
        now=asyncio.get_running_loop().time,
    )


def _redis_bus(url: str, prefix: str) -> RedisBus:
    return RedisBus(url, monotonic=monotonic, new_id=new_id, prefix=prefix)


def _framework(routes: list[Route]) -> Starlette:
    allow_together(routes)
    app = Starlette(routes=routes, exception_handlers=exception_handlers)
    # It would send whoever asks with a slash too many to the host that their Host header names.
    app.router.redirect_slashes = False
    return app
