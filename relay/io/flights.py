"""What is on its way to viewers: the connections that carry granted answers, and how they are cut.

A body that is sent in steps ends at the next one; what our buffers and the kernel have taken by then would still reach
a slow client for seconds. So a revocation ends the connection itself. Between two answers it stays bound to the claims
of the last one: whoever is revoked has nothing more to ask on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from kernel.grants import Grants

if TYPE_CHECKING:
    from kernel.io.cut import Connection
    from kernel.revocation import Subject
    from kernel.tokens import Claims

log = structlog.get_logger("relay")


class Flights:
    """Bind connections to the claims by which they are answered."""

    def __init__(self) -> None:
        self._grants: Grants[Connection] = Grants()

    def __len__(self) -> int:
        """Return how many connections are bound."""
        return len(self._grants)

    def bind(self, connection: Connection, claims: Claims) -> None:
        """Bind a connection to the claims of the answer that begins; those of the one before no longer count."""
        known = self._grants.of(connection)
        if known is None:
            connection.when_lost(self._grants.remove)
        if known != claims:
            self._grants.add(connection, claims)

    def revoke(self, subject: Subject) -> None:
        """Cut, now, whatever goes out to whom a revocation concerns."""
        self._cut(self._grants.find(subject), "revoked")

    def end_all(self) -> None:
        """Cut everything: it is not known any more who may go on."""
        self._cut(self._grants.all(), "stale")

    def _cut(self, connections: list[Connection], why: str) -> None:
        for connection in connections:
            self._grants.remove(connection)
            connection.cut()
        if connections:
            log.info("connections.cut", why=why, count=len(connections))
