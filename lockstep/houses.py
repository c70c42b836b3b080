"""Each house as the composition root sees it: what it needs, what it serves, what runs, when it is ready."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

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
from hub.settings import HubSettings
from kernel.bus import Bus, Topic, entries_topic, marks_topic, revocations_topic, safety_topic, timings_topic
from kernel.io.http import TellAnswered
from kernel.io.origin import Fetcher
from kernel.io.system_time import monotonic, new_id, wall
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from lockstep.front_door import socket_route
from lockstep.keys import Keys
from lockstep.logs import log_answered
from lockstep.settings import Settings
from relay.entitlements import Entitlements
from relay.gate import Gate
from relay.io.at_once import PlaylistsAtOnce
from relay.io.driver import StreamRelay
from relay.io.hls import Hls
from relay.io.operator_door import OperatorDoor
from relay.io.revocation_desk import RevocationDesk
from relay.io.revocation_store import RevocationStore

Run = Callable[[], Coroutine[Any, Any, None]]


class FeedsHouse:
    """Follow the origins, take in the vendors, seal the logs.

    Args:
        settings: everything that is set.
        showings: by event id.
        keys: the vendors' secrets are among them.
        journal: what is on disk; closed by us.
        fetcher: the process's only one.
        bus: what the houses share.
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
        lead_s: float,
        holds_log: Callable[[], bool],
    ) -> None:
        self._journal = journal
        steady = SteadyWall(wall, monotonic)
        self._demuxer = Demuxer(limits=DemuxLimits(max_segment_bytes=settings.limits.max_segment_bytes))
        self.ingests = {
            event_id: StreamIngest(
                showing, fetcher=fetcher, demuxer=self._demuxer, journal=journal, bus=bus, wall=steady, new_id=new_id,
                lead_s=lead_s,
            )
            for event_id, showing in showings.items()
        }  # fmt: skip
        self._ingress = Ingress(
            _source_keys(showings, keys), journal, wall=wall, received=steady, deliver=self._deliver,
            holds_log=holds_log,
        )  # fmt: skip
        self.recovered = False

    @staticmethod
    def topics(showings: Mapping[str, Showing]) -> list[Topic[Any]]:
        """Return the topics that feeds alone publishes."""
        kinds: tuple[Callable[[str], Topic[Any]], ...] = (timings_topic, safety_topic, entries_topic, marks_topic)
        return [kind(event_id) for event_id in showings for kind in kinds]

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


class Desk:
    """Take revocations. One desk serves a deployment: it gives them their offsets, beside the journal.

    Args:
        store: what is on disk; closed by us.
        bus: who tells everybody.
        door: lets operators in.
        index: what is in force.
        apart: whether other processes hear of it by the bus.
    """

    def __init__(
        self, store: RevocationStore, bus: Bus, door: OperatorDoor, index: RevocationIndex, *, apart: bool
    ) -> None:
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

    async def refill(self) -> None:
        """Tell the bus all that is on disk.

        Raises:
            JournalError: the file cannot be read.
        """
        # A log of its own for each of our lives: whatever became of the file, no new revocation takes the offset of an
        # old one and is dropped. That one comes again changes nothing.
        self._bus.begin(revocations_topic(), new_id())
        await self.desk.refill()


class RelayHouse:
    """Serve the gated video.

    Args:
        showings: by event id.
        gate: who may have it.
        fetcher: the process's only one.
        bus: what the houses share.
        now: seconds that never step back.
        tell: is told of answers out of memory.
        entitlements: begins sessions by tokens that the gate knows for entitlements.
    """

    def __init__(
        self,
        showings: Mapping[str, Showing],
        gate: Gate,
        *,
        fetcher: Fetcher,
        bus: Bus,
        now: Callable[[], float],
        tell: TellAnswered = log_answered,
        entitlements: Entitlements | None = None,
    ) -> None:
        self.relays = {
            event_id: StreamRelay(showing, fetcher=fetcher, bus=bus) for event_id, showing in showings.items()
        }
        self.at_once = PlaylistsAtOnce(self.relays, admit=gate, wall=wall, now=now, tell=tell)
        self.hls = Hls(self.relays, gate=gate, fetcher=fetcher, wall=wall, entitlements=entitlements)

    def routes(self) -> list[Route]:
        """Return none: all that lies below /hls/ is the application `hls`."""
        return []

    def parts(self) -> dict[str, Run]:
        """Return what is to be kept running, by name."""
        return {f"relay {event_id}": relay.run for event_id, relay in self.relays.items()}

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether every showing has a picture out. How many have none, not which: anybody may ask."""
        waiting = sum(relay.presentation.text(None) is None for relay in self.relays.values())
        return not waiting, {"showings_without_picture": waiting}


class HubHouse:
    """Fan out the cues.

    Args:
        settings: everything that is set.
        showings: by event id.
        gate: who may come in.
        bus: what the houses share.
    """

    def __init__(self, settings: Settings, showings: Mapping[str, Showing], gate: Gate, *, bus: Bus) -> None:
        limits = HubSettings(heartbeat_ms=settings.heartbeat_ms, max_subscribers=settings.max_subscribers)
        self.hub = Hub(bus, showings, gate, limits, wall=wall, new_id=new_id)

    def routes(self) -> list[Route]:
        """Return the answer to whoever asks for the socket without an upgrade."""
        return [socket_route()]

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the log of every showing is known."""
        waiting = self.hub.logs_unknown()
        return not waiting, {"showings_without_log": waiting}


def _source_keys(showings: Mapping[str, Showing], keys: Keys) -> dict[str, SourceKeys]:
    return {
        source.name: SourceKeys(source.vendor, [parse_secret(keys.webhook_secrets[source.name])], event_id)
        for event_id, showing in showings.items()
        for source in showing.sources
    }
