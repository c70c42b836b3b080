"""Watch sessions for leaks while they are served: feed the detector, tell what it finds, warn, pace, have revoked.

What went out is told when its body is over, with what was really sent: a player that gives a segment up has not
fetched it. Of those that nothing is found of, nothing is kept here: their claims know what the detector remembers of
them, or it would be looked for in four places at every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import structlog

from kernel.io.http import problem
from kernel.revocation import Subject, SubjectKind
from kernel.value import Record, set_aside
from relay.binding import network_of
from relay.io.body import GrantedBody
from relay.leaks.detector import SELDOM, Detector
from relay.leaks.model import Finding, LeakLimits, Level
from relay.leaks.pacing import MAX_BACKLOG_S, Pace
from relay.leaks.pages import foreign_page, is_host
from relay.leaks.word import MAX_WORDS_CHARS, Suspect

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

    from kernel.showings import Showing
    from kernel.tokens import Claims
    from relay.playlist import Listed

log = structlog.get_logger("relay")

IDLE_S = 1.0
"""How often it is looked whether there is something to do, while there is nothing."""

WARNING_WORD = "leak_suspected"
"""What the field `Lockstep-Warning` says."""

_WITHOUT_PICTURE = frozenset("asic")
"""Renditions' names that begin so are sound, text and I-frames (`relay/variants.py`)."""

_MARK = 0xFF
"""By so many bits of an address it is told from others without working out its network. They make a small number, one
object for all: each session's own would lie somewhere else in memory. One change of network in 256 is not noticed by
it. It is salted, and nothing of an address is kept with a session."""


class _Suspect:
    """A session that was told of."""

    __slots__ = ("event_id", "level", "pace")

    def __init__(self, event_id: str, level: Level) -> None:
        self.event_id = event_id
        self.level = level
        self.pace = Pace()


class LeakWatch:
    """Watch the sessions of all showings.

    Args:
        limits: from which score on what is done.
        now: seconds that never step back.
        wall: the time of day in Unix seconds.
        revoke: has a session revoked; None: nobody can.
    """

    def __init__(
        self,
        limits: LeakLimits,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        revoke: Callable[[Suspect], None] | None = None,
    ) -> None:
        self._detector = Detector(limits, _page)
        self.follows, self.goes_with = self._detector.follows, self._detector.goes_with
        """What is asked first of each segment."""
        self.now = now
        self._wall = wall
        self._revoke = revoke
        self.told_of: dict[str, _Suspect] = {}
        """The sessions whose answers are `marked`."""
        self.found: dict[Level, int] = dict.fromkeys((Level.WARN, Level.THROTTLE, Level.REVOKE), 0)
        """How often a session rose to each level."""

    @property
    def n_sessions(self) -> int:
        """Return how many sessions are remembered."""
        return self._detector.n_sessions

    def suspects(self) -> dict[Level, int]:
        """Return how many sessions are at each level now."""
        counts = dict.fromkeys(self.found, 0)
        for suspect in self.told_of.values():
            counts[suspect.level] += 1
        return counts

    def look(self, fetch: Fetch, length: int) -> None:
        """Take note of a segment that is not simply the next of an ordinary viewer. `length` is the whole segment's."""
        claims, listed, allowed = fetch.claims, fetch.listed, fetch.showing.allowed_origins
        picture, clue = fetch.rendition[0] not in _WITHOUT_PICTURE, (fetch.scope, allowed) if allowed else None
        session, event_id = claims.session or claims.jti, fetch.showing.event_id
        record, mark = self._detector.find(session, event_id), hash(fetch.address) & _MARK
        network = record.network if record is not None and record.mark == mark else _network(fetch.address)
        finding = self._detector.note(
            session, self.now(), event_id, fetch.rendition, listed.key.msn, listed.segment.duration_s, length, network,
            clue, picture=picture,
        )  # fmt: skip
        if record is None:
            record = self._detector.find(session, event_id)
        if record is not None:
            record.mark = mark
            if picture and claims.fetches is not record and claims.event_id == event_id:
                set_aside(claims, "fetches", record)
        if finding is not None:
            self._tell(finding, claims)

    def marked(self, response: Response, claims: Claims, listed: Listed) -> Response:
        """Return what a session is answered with a segment: warned, paced, or told to wait, if it was told of."""
        suspect = self.told_of.get(claims.session or claims.jti)
        if suspect is None or not isinstance(response, GrantedBody):
            return response
        if suspect.level >= Level.THROTTLE:
            if suspect.pace.backlog_s(now=self.now()) > MAX_BACKLOG_S:
                response = problem(
                    429, "Too Many Requests", detail="this session is paced to the speed at which it is watched",
                    headers={"Retry-After": str(int(MAX_BACKLOG_S))},
                )  # fmt: skip
            else:
                seconds = listed.segment.duration_s / max(1, response.whole_bytes)
                response.pace = partial(self._wait_s, suspect.pace, seconds)
        response.headers["Lockstep-Warning"] = WARNING_WORD
        return response

    async def run(self) -> None:
        """Let what is long ago count less, until cancelled."""
        while True:
            due = self._detector.next_deadline()
            await asyncio.sleep(IDLE_S if due is None else max(0.0, due - self.now()))
            self.tick()

    def tick(self) -> None:
        """Do what is due."""
        for finding in self._detector.handle_timer(now=self.now()):
            self._tell(finding, None)
        for session, suspect in list(self.told_of.items()):
            if self._detector.level(session, suspect.event_id) is Level.NONE:
                # Forgotten, where there were too many to remember all.
                del self.told_of[session]

    def _wait_s(self, pace: Pace, seconds_a_byte: float, n_bytes: int) -> float:
        return pace.wait_s(n_bytes * seconds_a_byte, now=self.now())

    def _tell(self, finding: Finding, claims: Claims | None) -> None:
        """Tell of a level that has changed; `claims` are the session's where it has risen."""
        if finding.level is Level.NONE:
            self.told_of.pop(finding.session, None)
        elif (known := self.told_of.get(finding.session)) is not None:
            known.level, known.event_id = finding.level, finding.event_id
        else:
            self.told_of[finding.session] = _Suspect(finding.event_id, finding.level)
        fields: dict[str, Any] = {
            "session": finding.session,
            "event_id": finding.event_id,
            "action": finding.level.name.lower(),
            "score": round(finding.score, 2),
            "signals": {part.signal: round(part.weight, 2) for part in finding.parts},
            "reasons": list(finding.reasons),
        }
        if claims is None:
            log.info("session.suspected", **fields)
            return
        log.warning("session.suspected", account=claims.account, **fields)
        self.found[finding.level] += 1
        if finding.level is Level.REVOKE and self._revoke is not None:
            kind, value = (SubjectKind.SESSION, claims.session) if claims.session else (SubjectKind.TOKEN, claims.jti)
            words = "; ".join(finding.reasons)[:MAX_WORDS_CHARS]
            self._revoke(Suspect(Subject(kind, value), words, self._wall(), claims.ends))


class Fetch(Record):
    """A segment that is on its way to somebody; one is made for each that is sent.

    Args:
        watch: what takes note of it.
        scope: the request's.
        address: the client's.
        claims: whose.
        showing: of which showing.
        rendition: which one.
        listed: the segment.
        then: who else is told how much of it went out, and first; its first argument is `whose`.
        whose: what they are told it by.
    """

    watch: LeakWatch
    scope: Scope
    address: str
    claims: Claims
    showing: Showing
    rendition: str
    listed: Listed
    then: Callable[[Any, int, int, int], None]
    whose: Any

    def sent(self, start: int, stop: int, length: int) -> None:
        """Take note of how much of it went out: from byte `start` to `stop`, of `length` bytes."""
        self.then(self.whose, start, stop, length)
        if not start and 2 * stop < length:
            # Given up at the beginning is not fetched; by pieces it counts as often as pieces are large.
            return
        watch, rendition, listed, record = self.watch, self.rendition, self.listed, self.claims.fetches
        msn, allowed = listed.key.msn, self.showing.allowed_origins
        if (
            record is None
            or record.mark != hash(self.address) & _MARK
            or (allowed and (msn < record.sure or not msn & SELDOM) and _page((self.scope, allowed)) is not None)
            or not (
                watch.follows(record, watch.now(), rendition, msn, listed.segment.duration_s)
                or (rendition[0] in _WITHOUT_PICTURE and watch.goes_with(record))
            )
        ):
            watch.look(self, length)


@lru_cache(maxsize=4_096)
def _network(address: str) -> int:
    # Salted, as an address's mark is. It is asked for where a session begins or has another address, no more.
    return hash(network_of(address)) & 0x3FFF_FFFF


def _page(clue: tuple[Scope, tuple[str, ...]]) -> str | None:
    scope, allowed = clue
    for name, value in scope["headers"]:
        if name == b"referer":
            page = _foreign(value, allowed)
            return None if page is None else _but_ours(page, scope)
    return None


@lru_cache(maxsize=4_096)
def _foreign(referer: bytes, allowed: tuple[str, ...]) -> str | None:
    return foreign_page(referer.decode("latin-1"), allowed)


def _but_ours(page: str, scope: Scope) -> str | None:
    # A page of our own server may show everything.
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return None if is_host(page, hosts) else page
