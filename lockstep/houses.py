"""Each house as the composition root sees it: what it needs, what it serves, what runs, when it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from starlette.routing import Route

from feeds.io.demux import Demuxer, DemuxLimits
from feeds.io.ingest import StreamIngest
from feeds.io.journal import Journal
from feeds.io.status import status_routes
from feeds.io.webhooks import Ingress, SourceKeys
from feeds.io.webhooks import routes as feed_routes
from feeds.standard_webhooks import parse_secret
from feeds.steady_wall import SteadyWall
from feeds.vendors.contract import ReceivedMessage
from hub.io.driver import Hub
from hub.io.session_ends import SessionEnds
from hub.settings import HubSettings
from kernel.bus import (
    Bus,
    Topic,
    entries_topic,
    marks_topic,
    policies_topic,
    revocations_topic,
    safety_topic,
    timings_topic,
)
from kernel.decisions import Admit
from kernel.io.http import TellAnswered
from kernel.io.origin import Fetcher
from kernel.io.system_time import monotonic, new_id, wall
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from lockstep.front_door import socket_route
from lockstep.keys import Keys, ensure_keys
from lockstep.leaks import LeakRevoker, LeakSettings
from lockstep.logs import log_answered
from lockstep.parts import Parts, Run
from lockstep.place_rules import compile_text, findings_of
from lockstep.settings import Settings
from relay.blackouts import BlackoutIndex
from relay.entitlements import Entitlements
from relay.gate import Gate
from relay.io.at_once import PlaylistsAtOnce
from relay.io.driver import StreamRelay
from relay.io.hls import Hls
from relay.io.leak_watch import LeakWatch
from relay.io.operator_door import OperatorDoor
from relay.io.policy_desk import PolicyDesk
from relay.io.policy_store import PolicyStore
from relay.io.policy_watch import PolicyWatch
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore
from relay.io.session_keeper import SessionKeeper
from relay.policies import PolicyIndex


class House(Protocol):
    """What a process does for showings that come and go while it runs. Doing it again changes nothing."""

    def hear(self, showing: Showing) -> None:
        """Do at once what must not wait for `change`: a showing that is here is to be so."""
        ...

    async def add(self, showing: Showing) -> None:
        """Serve one more showing."""
        ...

    async def change(self, showing: Showing) -> None:
        """Take what a showing is from now on; its origin is the same."""
        ...

    async def remove(self, event_id: str) -> None:
        """Serve a showing no more."""
        ...


class FeedsHouse:
    """Follow the origins, take in the vendors, seal the logs.

    Args:
        settings: everything that is set.
        showings: by event id.
        keys: the vendors' secrets are among them.
        journal: what is on disk; closed by us.
        fetcher: the process's only one.
        bus: what the houses share.
        parts: keeps running what runs.
        lead_s: how long before its time a release mark is given at least, in seconds.
        holds_log: tells whether no other process has taken over the log.
    """

    def __init__(
        self,
        settings: Settings,
        showings: Mapping[str, Showing],
        keys: Keys,
        journal: Journal,
        *,
        fetcher: Fetcher,
        bus: Bus,
        parts: Parts,
        lead_s: float,
        holds_log: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._data_dir = settings.data_dir
        self._fetcher = fetcher
        self._bus = bus
        self._parts = parts
        self._lead_s = lead_s
        self._steady = SteadyWall(wall, monotonic)
        self._demuxer = Demuxer(limits=DemuxLimits(max_segment_bytes=settings.limits.max_segment_bytes))
        self.ingests = {event_id: self._ingest(showing) for event_id, showing in showings.items()}
        self._ingress = Ingress(
            _source_keys(showings.values(), keys), journal, wall=wall, received=self._steady, deliver=self._deliver,
            holds_log=holds_log,
        )  # fmt: skip
        self.recovered = False

    def _ingest(self, showing: Showing) -> StreamIngest:
        return StreamIngest(
            showing, fetcher=self._fetcher, demuxer=self._demuxer, journal=self._journal, bus=self._bus,
            wall=self._steady, new_id=new_id, lead_s=self._lead_s,
        )  # fmt: skip

    @staticmethod
    def topics(event_ids: Iterable[str]) -> list[Topic[Any]]:
        """Return the topics that feeds alone publishes."""
        kinds: tuple[Callable[[str], Topic[Any]], ...] = (timings_topic, safety_topic, entries_topic, marks_topic)
        return [kind(event_id) for event_id in event_ids for kind in kinds]

    def hear(self, showing: Showing) -> None:
        """Do nothing: what is new is taken in after `change`."""

    async def add(self, showing: Showing) -> None:
        """Follow its origin and take in its vendors, from where the journal was left.

        Raises:
            JournalError: the journal cannot be read.
            SettingsError: the secrets cannot be read.
        """
        if showing.event_id in self.ingests:
            return
        await self._ingress.hold(await self._keys_of(showing))
        await self._begin(showing)

    async def change(self, showing: Showing) -> None:
        """Take what a showing is from now on; where that concerns feeds, as after a restart, without losing a message.

        Raises:
            JournalError: the journal cannot be read.
            SettingsError: the secrets cannot be read.
        """
        event_id, former = showing.event_id, self.ingests.get(showing.event_id)
        if former is not None and _for_feeds(former.showing) == _for_feeds(showing):
            former.showing = showing
            return
        keys = await self._keys_of(showing)
        if former is not None:
            self._ingress.forget([source.name for source in former.showing.sources if source.name not in keys])
        # Vendors wait meanwhile, and nothing is under way when the log changes hands.
        await self._ingress.hold(keys)
        if former is not None:
            await self._end(event_id)
        await self._begin(showing)

    async def remove(self, event_id: str) -> None:
        """Follow its origin no more and know its vendors no more; what is on disk stays as long as it would have."""
        ingest = self.ingests.get(event_id)
        if ingest is None:
            return
        self._ingress.forget([source.name for source in ingest.showing.sources])
        await self._ingress.hold({})
        await self._end(event_id, forget=True)
        for topic in self.topics([event_id]):
            # What it held is forgotten. Should the showing come back, its log is told from the journal.
            self._bus.begin(topic, new_id())

    async def _begin(self, showing: Showing) -> None:
        ingest = self._ingest(showing)
        await ingest.restore()
        self.ingests[showing.event_id] = ingest
        try:
            await self._ingress.release([source.name for source in showing.sources])
        except BaseException:
            await self.ingests.pop(showing.event_id).end()
            raise
        self._parts.start(f"ingest {showing.event_id}", ingest.run)

    async def _end(self, event_id: str, *, forget: bool = False) -> None:
        await self._parts.end([f"ingest {event_id}"], forget=forget)
        await self.ingests.pop(event_id).end()

    async def _keys_of(self, showing: Showing) -> dict[str, SourceKeys]:
        if not showing.sources:
            return {}
        names = [source.name for source in showing.sources]
        return _source_keys([showing], await asyncio.to_thread(ensure_keys, self._data_dir, names))

    def routes(self) -> list[Route]:
        """Return the vendors' front door, and how the feeds are."""
        return [*feed_routes(self._ingress), *status_routes(self.ingests, wall)]

    async def recover(self) -> None:
        """Take up where the last process ended, and refill the bus.

        Raises:
            JournalError: the journal cannot be read.
        """
        for ingest in self.ingests.values():
            await ingest.restore()
        await self._ingress.recover()
        self.recovered = True

    def parts(self) -> dict[str, Run]:
        """Return what is to be kept running, by name."""
        return {f"ingest {event_id}": ingest.run for event_id, ingest in self.ingests.items()}

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether it is ready, and what `/readyz` says of it."""
        return self.recovered, {"journal": "recovered" if self.recovered else "recovering"}

    async def aclose(self) -> None:
        """End in the order in which nothing acknowledged can be lost."""
        await self._ingress.aclose()
        await self._demuxer.aclose()
        await self._journal.aclose()

    def _deliver(self, message: ReceivedMessage) -> None:
        self.ingests[message.stream].deliver(message)


def _for_feeds(showing: Showing) -> Showing:
    """Return a showing without what does not concern feeds."""
    return replace(showing, allowed_origins=(), place_policy=None, max_hold_s=1.0)


class Desk:
    """Take revocations. One desk serves a deployment: it gives them their offsets, beside the journal.

    Args:
        store: what is on disk; closed by us.
        bus: who tells everybody.
        door: lets operators in.
        index: what is in force.
        apart: whether other processes hear of it by the bus.
        leaks: whether sessions are revoked that relays find to be no viewer's.
    """

    def __init__(
        self, store: RevocationStore, bus: Bus, door: OperatorDoor, index: RevocationIndex, *, apart: bool,
        leaks: LeakSettings,
    ) -> None:  # fmt: skip
        self._bus = bus
        self.desk = RevocationDesk(
            store,
            bus,
            door,
            wall=wall,
            # Never with a hyphen in front: it is written on command lines.
            new_id=lambda: f"rev_{new_id(12)}",
            live=index.__len__,
            retain=apart,
        )
        self._leaks = LeakRevoker(leaks, bus, self.desk, wall=wall)

    async def refill(self) -> None:
        """Tell the bus all that is on disk.

        Raises:
            JournalError: the file cannot be read.
        """
        # A log of its own for each of our lives: whatever became of the file, no new revocation takes the offset of an
        # old one and is dropped. That one comes again changes nothing.
        self._bus.begin(revocations_topic(), new_id())
        await self.desk.refill()
        self._leaks.start()

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        self._leaks.stop()
        await self.desk.aclose()


class Policies:
    """Know the policies of place, in every process; and take them, where the disk is.

    Args:
        bus: who tells everybody.
        index: those that are in force.
        store: what is on disk, None where that is another process's; closed by us.
        door: lets operators in, None likewise.
    """

    def __init__(self, bus: Bus, index: PolicyIndex, store: PolicyStore | None, door: OperatorDoor | None) -> None:
        self._bus = bus
        self.watch = PolicyWatch(bus, index, compile_text)
        self.desk: PolicyDesk | None = None
        if store is not None and door is not None:
            self.desk = PolicyDesk(
                store, bus, door, wall=wall, compile_=compile_text, findings=findings_of, at_hand=self.watch.at_hand
            )

    async def refill(self) -> None:
        """Tell the bus all that is on disk, if it is here, and listen.

        Raises:
            JournalError: the file cannot be read.
        """
        self.watch.start()
        if self.desk is not None:
            # As with revocations: no record takes the offset of one from an earlier life, and is dropped.
            self._bus.begin(policies_topic(), new_id())
            await self.desk.refill()

    async def aclose(self) -> None:
        """Listen no more; finish what was begun, then close the file."""
        self.watch.stop()
        if self.desk is not None:
            await self.desk.aclose()


class RelayHouse:
    """Serve the gated video.

    Args:
        showings: by event id.
        gate: who may have it.
        fetcher: the process's only one.
        bus: what the houses share.
        parts: keeps running what runs.
        now: seconds that never step back.
        tell: is told of answers out of memory.
        entitlements: begins sessions by tokens that the gate knows for entitlements.
        blackouts: what is dark, and when; None: nothing ever is.
        sessions: gives those who watch their seats; None: nobody is counted.
        leaks: watches who is no viewer; None: nobody does.
    """

    def __init__(
        self,
        showings: Mapping[str, Showing],
        gate: Gate,
        *,
        fetcher: Fetcher,
        bus: Bus,
        parts: Parts,
        now: Callable[[], float],
        tell: TellAnswered = log_answered,
        entitlements: Entitlements | None = None,
        blackouts: BlackoutIndex | None = None,
        sessions: SessionKeeper | None = None,
        leaks: LeakWatch | None = None,
    ) -> None:
        self.leaks = leaks
        self._blackouts = blackouts
        if blackouts is not None:
            blackouts.listen(self._darken)
        self._fetcher = fetcher
        self._bus = bus
        self._parts = parts
        self._awaited = frozenset(showings)
        self.relays: dict[str, StreamRelay] = {}
        for event_id, showing in showings.items():
            self.relays[event_id] = StreamRelay(showing, fetcher=fetcher, bus=bus, others=self.relays)
        self.at_once = PlaylistsAtOnce(
            self.relays, admit=gate, wall=wall, now=now, tell=tell,
            is_seated=None if sessions is None else sessions.is_seated,
        )  # fmt: skip
        self.hls = Hls(
            self.relays, gate=gate, fetcher=fetcher, wall=wall, entitlements=entitlements, sessions=sessions,
            leaks=leaks,
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """Return none: all that lies below /hls/ is the application `hls`."""
        return []

    def parts(self) -> dict[str, Run]:
        """Return what is to be kept running, by name."""
        parts: dict[str, Run] = {f"relay {event_id}": relay.run for event_id, relay in self.relays.items()}
        return parts if self.leaks is None else {**parts, "leaks": self.leaks.run}

    def hear(self, showing: Showing) -> None:
        """Do nothing: `change` comes soon enough for whoever asks next."""

    async def add(self, showing: Showing) -> None:
        """Serve the video of one more showing."""
        event_id = showing.event_id
        if event_id in self.relays:
            await self.change(showing)
        else:
            self.relays[event_id] = relay = StreamRelay(
                showing, fetcher=self._fetcher, bus=self._bus, others=self.relays
            )  # fmt: skip
            self._darken(event_id)
            self._parts.start(f"relay {event_id}", relay.run)

    async def change(self, showing: Showing) -> None:
        """Take what a showing is from now on."""
        self.relays[showing.event_id].change(showing)
        self.at_once.forget()

    def _darken(self, event_id: str | None = None) -> None:
        """Tell showings, or one of them, what blackouts they have."""
        if self._blackouts is None:
            return
        for one, relay in self.relays.items():
            if event_id in (None, one):
                relay.on_blackouts(self._blackouts.windows(one), self._blackouts.redirects(one))

    async def remove(self, event_id: str) -> None:
        """Answer 404 from now on, and end the bodies that are under way."""
        if self.relays.pop(event_id, None) is None:
            return
        self.at_once.forget()
        await self._parts.end([f"relay {event_id}"], forget=True)

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether every showing of the settings has a picture out.

        How many have none, not which: anybody may ask. Those that were made since may wait for days.
        """
        waiting = [event_id for event_id, relay in self.relays.items() if relay.presentation.text(None) is None]
        return self._awaited.isdisjoint(waiting), {"showings_without_picture": len(waiting)}


class HubHouse:
    """Fan out the cues.

    Args:
        settings: everything that is set.
        showings: by event id.
        admit: who may come in.
        bus: what the houses share.
    """

    def __init__(self, settings: Settings, showings: Mapping[str, Showing], admit: Admit, *, bus: Bus) -> None:
        limits = HubSettings(heartbeat_ms=settings.heartbeat_ms, max_subscribers=settings.max_subscribers)
        self._awaited = frozenset(showings)
        self.hub = Hub(bus, showings, admit, limits, wall=wall, new_id=new_id)
        self.ends = SessionEnds(self.hub)

    def routes(self) -> list[Route]:
        """Return the answer to whoever asks for the socket without an upgrade."""
        return [socket_route()]

    def hear(self, showing: Showing) -> None:
        """Keep what is the desks' from everybody else before the first of it comes."""
        if showing.event_id in self.hub.streams:
            self.hub.change(showing)

    async def add(self, showing: Showing) -> None:
        """Fan out one more showing."""
        if showing.event_id in self.hub.streams:
            self.hub.change(showing)
        else:
            self.hub.add(showing)

    async def change(self, showing: Showing) -> None:
        """Take what a showing is from now on."""
        self.hub.change(showing)

    async def remove(self, event_id: str) -> None:
        """Say goodbye to everybody of a showing."""
        if event_id in self.hub.streams:
            await self.hub.remove(event_id)

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the log of every showing of the settings is known."""
        waiting = [event_id for event_id, stream in self.hub.streams.items() if stream.epoch is None]
        return self._awaited.isdisjoint(waiting), {"showings_without_log": len(waiting)}


def _source_keys(showings: Iterable[Showing], keys: Keys) -> dict[str, SourceKeys]:
    return {
        source.name: SourceKeys(source.vendor, [parse_secret(keys.webhook_secrets[source.name])], showing.event_id)
        for showing in showings
        for source in showing.sources
    }
