"""Sessions by API in one process: begun and kept where there is video, looked at and ended where operators come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from kernel.io.cut import connection_of
from kernel.io.system_time import wall
from lockstep.stream_count import StreamCountHouse
from relay.io.owner_door import OwnerDoor
from relay.io.playback_desk import PlaybackDesk
from relay.io.player_desk import PlayerDesk
from relay.io.session_desk import SessionDesk
from relay.io.ticket_desk import TicketDesk
from relay.io.viewer_calls import ViewerCalls
from relay.stream_count.kicks import ORIGINATOR
from relay.stream_count.player_event import template_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from kernel.bus import Bus
    from kernel.showings import Showing
    from kernel.tokens import Claims
    from lockstep.seating import Seating
    from relay.entitlements import Entitlements
    from relay.gate import Gate
    from relay.io.driver import StreamRelay
    from relay.io.flights import Flights
    from relay.io.operator_door import OperatorDoor
    from relay.io.session_policy_store import SessionPolicyStore
    from relay.sessions.policies import SessionPolicies
    from relay.whereabouts import Whereabouts


class Playback:
    """Answer for sessions.

    Args:
        seating: lets them in, and sends them away.
        policies: how many there may be.
        gate: decides.
        door: lets operators in; None: they come in elsewhere.
        bus: what the houses share.
        rules: the stream count's rules on disk, None where that is another process's; closed by us.
        tenant: what the deployment is called in kick events.
        flights: what is on its way from here; None: there is no video.
    """

    def __init__(
        self, seating: Seating, policies: SessionPolicies, gate: Gate, door: OperatorDoor | None, *,
        bus: Bus, rules: SessionPolicyStore | None = None, tenant: str = ORIGINATOR, flights: Flights | None = None,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._tenant = tenant
        self._stream_count = StreamCountHouse(bus, seating.stream_rules, rules, door)
        self.players: PlayerDesk | None = None
        self._flights = flights
        self._seating = seating
        self._policies = policies
        self._gate = gate
        self.viewers: PlaybackDesk | None = None
        self.tickets: TicketDesk | None = None
        self.desk: SessionDesk | None = None
        if door is not None:
            owners = OwnerDoor(door, gate, wall=wall)
            self.desk = SessionDesk(
                owners, seating.keeper.book, seating.keeper, policies, wall=wall, let_go=self._let_go
            )

    def begin(
        self, entitlements: Entitlements, whereabouts: Whereabouts, showings: Mapping[str, Showing],
        relays: Mapping[str, StreamRelay],
    ) -> None:  # fmt: skip
        """Take in viewers as well.

        Args:
            entitlements: issues sessions' tokens.
            whereabouts: what place says of sessions.
            showings: all that there are, by event id.
            relays: those that are served here.
        """
        keeper, rules, bus = self._seating.keeper, self._seating.stream_rules, self._bus

        def player_event(claims: Claims) -> dict[str, Any]:
            return template_of(claims, rules.rules, entitlements.keyring)

        calls = ViewerCalls(self._gate, showings, wall=wall, let_go=self._let_go)
        self.viewers = PlaybackDesk(
            calls, self._gate, entitlements, whereabouts, keeper, counting=self._seating.counting, bus=bus,
            relays=relays, wall=wall, player_event=player_event,
        )  # fmt: skip
        self.tickets = TicketDesk(
            calls, self._gate, entitlements, keeper, keeper.book, policies=self._policies, bus=bus, wall=wall,
            counts=keeper.counts,
        )  # fmt: skip
        self.players = PlayerDesk(
            entitlements.player_events, self._gate, keeper, rules, bus, wall=wall, tenant=self._tenant,
            let_go=self._let_go,
        )  # fmt: skip

    async def refill(self) -> None:
        """Tell the bus what is on disk, if it is here, and listen.

        Raises:
            JournalError: the file cannot be read.
        """
        await self._stream_count.refill()
        if self.players is not None:
            self.players.start()

    async def aclose(self) -> None:
        """Listen no more; finish what was begun."""
        if self.players is not None:
            self.players.stop()
        await self._stream_count.aclose()

    def _let_go(self, request: Request) -> None:
        connection = connection_of(request.scope)
        if self._flights is not None and connection is not None and connection in self._flights:
            self._flights.let_go(connection)

    def routes(self) -> list[Route]:
        """Return what is served here."""
        desks = (self.desk, self.viewers, self.tickets, self.players)
        served = [route for desk in desks if desk is not None for route in desk.routes()]
        return [*self._stream_count.routes(), *served]
