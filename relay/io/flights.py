"""What is on its way to viewers: the connections that carry granted answers, and how they are cut.

A body that is sent in steps ends at the next one; what our buffers and the kernel have taken by then would still reach
a slow client for seconds. So a revocation ends the connection itself. Between two answers it stays bound to the claims
of the last one: whoever is revoked has nothing more to ask on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from kernel.blackouts import ZoneSet
from kernel.decisions import NOWHERE, Ending, Judge, Scope, Whence
from kernel.grants import Grants
from kernel.revocation import Subject, SubjectKind
from kernel.tokens import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel.io.cut import Connection
    from kernel.tokens import Claims

log = structlog.get_logger("relay")

REVIEWED_AT_ONCE = 200
"""Connections that are looked at in one turn of the loop: 2 ms, if all places are new."""


class Flights:
    """Bind connections to the claims by which they are answered."""

    def __init__(self) -> None:
        self._grants: Grants[Connection] = Grants()
        self._whence: dict[Connection, tuple[Whence, ZoneSet]] = {}

    def __len__(self) -> int:
        """Return how many connections are bound."""
        return len(self._grants)

    def __contains__(self, connection: Connection) -> bool:
        """Return whether a connection is bound: it is neither cut nor gone."""
        return self._grants.of(connection) is not None

    def bind(self, connection: Connection, claims: Claims, whence: Whence = NOWHERE, zones: ZoneSet = ()) -> None:
        """Bind a connection to the claims of the answer that begins; those of the one before no longer count.

        `zones` are the blackouts that applied when it began.
        """
        known = self._grants.of(connection)
        if known is None:
            connection.when_lost(self._lost)
        # They are the same ones nearly always, and to compare what they say takes as long as all else here.
        if known is not claims and known != claims:
            self._grants.add(connection, claims)
        self._whence[connection] = (whence, zones)

    def let_go(self, connection: Connection) -> None:
        """Bind a connection to nothing any more: it asks for something else, so its last answer is complete."""
        self._lost(connection)

    def revoke(self, subject: Subject) -> None:
        """Cut, now, whatever goes out to whom a revocation concerns."""
        self._cut(self._grants.find(subject), "revoked")

    def warn_session(self, session: str, ending: Ending) -> None:
        """Do nothing: a player is told with what it asks for next."""

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        """Cut, now, whatever goes out to a session."""
        self._cut(self._grants.of_session(session), str(reason))

    def cut(self, connection: Connection) -> None:
        """Cut a connection over which something goes out that is not granted any more."""
        self._cut([connection], "lapsed")

    def end_all(self) -> None:
        """Cut everything: it is not known any more who may go on."""
        self._cut(self._grants.all(), "stale")

    def review(self, judge: Judge) -> Iterator[None]:
        """Ask again about everybody who is here, and cut whom it is not granted any more; pauses between slices."""
        refused: list[Connection] = []
        for number, connection in enumerate(self._grants.all(), 1):
            claims, (whence, zones) = self._grants.of(connection), self._whence.get(connection, (NOWHERE, ()))
            # Gone since the review began.
            if claims is not None:
                decision = judge(claims, whence, Scope.WATCH)
                if not decision.admitted or _are_dark_now(decision.zones, zones):
                    refused.append(connection)
            if number % REVIEWED_AT_ONCE == 0:
                self._cut(refused, "refused")
                refused = []
                yield
        self._cut(refused, "refused")

    def sessions(self, account: str, event_id: str) -> set[str]:
        """Return the sessions of an account at an event that something goes out to, or has lately."""
        found = (self._grants.of(one) for one in self._grants.find(Subject(SubjectKind.ACCOUNT, account, event_id)))
        return {claims.session for claims in found if claims is not None}

    def _lost(self, connection: Connection) -> None:
        self._grants.remove(connection)
        self._whence.pop(connection, None)

    def _cut(self, connections: list[Connection], why: str) -> None:
        for connection in connections:
            self._lost(connection)
            connection.cut()
        if connections:
            log.info("connections.cut", why=why, count=len(connections))


def _are_dark_now(zones: ZoneSet, former: ZoneSet) -> bool:
    """Tell whether what is on its way may have become dark since it began."""
    if zones is former:
        return False
    # Pictures that are on their way were before the blackout was made: one that begins later hides none of them.
    return any((veil.window.start is None or veil.window.start < veil.made) and veil not in former for veil in zones)
