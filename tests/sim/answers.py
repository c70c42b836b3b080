"""What goes out over HTTP and to sockets, and whether it may: grants (I8), revocations (I9), what sessions have (I1).

Requests are read where clients write them, answers where the server does, and once more where they land: a revoked
client that reads slowly must not go on reading what the network still holds.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from kernel.revocation import Revocation, Subject, SubjectKind
from tests.sim import sights
from tests.sim.dark import Dark

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel.bus import Bus
    from kernel.revocation import RevocationChange
    from tests.sim.judge import Judge
    from tests.sim.net import SimTransport
    from tests.sim.record import Conn, Record
    from tests.support.invariants import Fact

REVOKED_S = 0.25
"""I9: how long a revocation may take within one process."""

LATE_S = 0.03
"""How late timers are at the worst of times here, but for a process that stands still."""

_ASKED = re.compile(rb"^GET (?:/hls/([^/ ]+)/([^/ ]+)/(\S+)|/api/v1/wagering/subscribe\?event_id=(\S+)) HTTP/1.1\r\n")
_BEARER = re.compile(rb"\r\nauthorization: bearer (\S+)\r\n", re.IGNORECASE)
_SEGMENT = re.compile(rb"main/[0-9]+-([0-9]+)\.ts")
_RANGE = re.compile(rb"\r\ncontent-range: bytes ([0-9]+)-[0-9]+/([0-9]+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


@dataclass
class Asks:
    """What one connection asks for: by whom, of which showing, which segment; and what has been answered."""

    claims: dict[str, Any]
    event_id: str
    msn: int | None
    status: int = 0
    head: bytes = b""
    start: int = 0
    length: int = 0
    body: int = 0


@dataclass
class Answers:
    """Watch all connections of one simulation for the judge."""

    judge: Judge
    revoked: dict[Subject, float] = field(default_factory=dict)
    """What the present process knows to be revoked, and since when."""
    lifted: dict[Subject, float] = field(default_factory=dict)
    """What was taken back, and when."""
    bodies_cut: int = 0
    on_flooded: Callable[[str], None] | None = None
    """Is told who has been sent away for a flood."""
    dark: Dark = field(init=False)
    _halves: dict[tuple[str, str, int], list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know of no blackout."""
        self.dark = Dark(self.judge)

    def watch(self, bus: Bus, topic: Any, is_alive: Any) -> None:
        """Follow the revocations of a new process, which begins without any."""
        self.revoked.clear()
        self._halves.clear()
        bus.subscribe(topic, lambda _, change: self._on_change(change) if is_alive() else None)

    def accepted(self, conn: Conn, client: SimTransport) -> None:
        """Follow a connection from the client's side as well."""
        client.tap = partial(self._asked, conn)
        client.landed = partial(self._landed, conn)

    def since(self, conn: Conn) -> float | None:
        """Return since when whoever is behind a connection is revoked, None if it is not."""
        if conn.asks is None or not self.revoked:
            return None
        claims = conn.asks.claims
        found = [at for subject, at in self.revoked.items() if _concerns(subject, claims)]
        return min(found, default=None)

    def answered(self, conn: Conn, data: bytes) -> None:
        """Judge what the server writes over HTTP."""
        asks = conn.asks
        if asks is None:
            return
        if not asks.status:
            asks.head += data
            if b"\r\n\r\n" not in asks.head:
                return
            head, _, data = asks.head.partition(b"\r\n\r\n")
            self._head(conn, asks, head + b"\r\n")
        if asks.status not in (200, 206) or not data:
            return
        since, now = self.since(conn), self.judge.now()
        if since is not None and now > since + REVOKED_S and self.judge.busy_until < since:
            self.judge.fail("I9", f"{conn.who} gets {len(data)} bytes at {now}, revoked since {since}")
        asks.body += len(data)
        if asks.msn is not None:
            self.dark.body(conn, self.judge.records[asks.event_id], asks.msn, len(data))
            self._count(conn, asks)

    def dismissed(self, conn: Conn, code: int) -> None:
        """Judge a farewell: nobody is told to be revoked who is not (I9: un-revoke as fast), or to be inside (I11)."""
        if code == 4510 and self.since(conn) is None:
            self.judge.fail("I9", f"{conn.who} is told that it is revoked, and is not")
        if code == 4504 and not self.dark.is_inside(conn):
            self.judge.fail("I11", f"{conn.who} is told that it is inside of a blackout, and is not")
        self.judge.counts["sockets closed by blackouts"] += code == 4504
        if code == 4429 and self.on_flooded is not None:
            self.on_flooded(conn.who)

    def cue(self, conn: Conn, record: Record, fact: Fact, *, late: bool) -> None:
        """Judge a cue that is written: none goes to the revoked (I9), none of what is dark to those inside (I11)."""
        self.dark.cue(conn, record, fact, late=late)
        since, now = self.since(conn), self.judge.now()
        if since is not None and now > since + REVOKED_S and self.judge.busy_until < since:
            self.judge.fail("I9", f"{conn.who} was sent {fact.o}, revoked since {since}")

    def _head(self, conn: Conn, asks: Asks, head: bytes) -> None:
        asks.status = int(head[9:12])
        length, part = _LENGTH.search(head), _RANGE.search(head)
        asks.length = int(length[1]) if length else 0
        if part:
            asks.start, asks.length = int(part[1]), int(part[2])
        if asks.status == 403 and self.since(conn) is None and not self.dark.is_inside(conn):
            self.judge.fail("I9", f"{conn.who} is refused, and is neither revoked nor inside of a blackout")

    def _count(self, conn: Conn, asks: Asks) -> None:
        """I1: a session has a segment when half of its bytes have gone out."""
        assert asks.msn is not None  # the caller has seen to it
        session = asks.claims["sid"]
        key = (session, asks.event_id, asks.msn)
        spans = [*self._halves.get(key, ()), (asks.start, asks.start + asks.body)]
        if 2 * _covered(spans) >= asks.length:
            record = self.judge.records[asks.event_id]
            served = record.served.setdefault(session, set())
            for other in self.judge.conns.values() if asks.msn not in served else ():
                if other.who == session and other.mode == "viewer" and other.event_id == asks.event_id:
                    # Until now it could see by what was known before.
                    sights.upto(other, record, self.judge.now())
            served.add(asks.msn)
        if asks.start or asks.body < asks.length:
            kept = [one for one in self._halves.get(key, ()) if one[0] != asks.start]
            self._halves[key] = [*kept, spans[-1]]

    def _asked(self, conn: Conn, data: bytes) -> None:
        if conn.asks is not None:
            return
        found = _ASKED.match(data)
        if found is None:
            return
        token, event_id, rest, subscribed = found.groups()
        bearer = _BEARER.search(data)
        text = token or (bearer[1] if bearer else b"")
        msn = _SEGMENT.fullmatch(rest) if rest else None
        conn.asks = Asks(_claims_in(text), (event_id or subscribed).decode(), int(msn[1]) if msn else None)

    def _landed(self, conn: Conn, data: bytes) -> None:
        """I9, at the client, however slowly it reads."""
        since, now = self.since(conn), self.judge.now()
        # What a connection held that the server had closed before is out of its hands.
        if (
            since is None
            or not conn.alive
            or conn.began > since
            or now <= since + REVOKED_S + LATE_S
            or self.judge.busy_until >= since
        ):
            return
        if conn.is_socket and not conn.greeted_at <= since:
            return  # it is told so, and closed
        if conn.is_socket or (conn.asks is not None and conn.asks.status in (200, 206)):
            self.judge.fail("I9", f"{len(data)} bytes reach {conn.who} at {now}, revoked since {since}")

    def _on_change(self, change: RevocationChange) -> None:
        now = self.judge.now()
        if isinstance(change, Revocation):
            self.judge.note(f"revoked {change.subject.kind.value} {change.subject.value}")
            self.revoked.setdefault(change.subject, now)
            self.bodies_cut += sum(
                conn.asks is not None and conn.asks.msn is not None and 0 < conn.asks.body < conn.asks.length
                for conn in self.judge.conns.values()
                if self.since(conn) == now
            )
        else:
            self.judge.note(f"reinstated {change.subject.kind.value} {change.subject.value}")
            self.revoked.pop(change.subject, None)


def _covered(spans: list[tuple[int, int]]) -> int:
    total, reached = 0, 0
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _claims_in(token: bytes) -> dict[str, Any]:
    """Return what a token says, verified by nobody: the simulation issues none that are forged."""
    payload = token.split(b".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    return said


def _concerns(subject: Subject, claims: dict[str, Any]) -> bool:
    if subject.event_id is not None and subject.event_id != claims["evt"]:
        return False
    name = {
        SubjectKind.TOKEN: "jti", SubjectKind.SESSION: "sid", SubjectKind.ACCOUNT: "sub", SubjectKind.EVENT: "evt",
    }  # fmt: skip
    return bool(claims[name[subject.kind]] == subject.value)
