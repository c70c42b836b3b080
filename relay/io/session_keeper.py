"""Give the sessions of one process their seats in the book, sign for them while they watch, and end those that must go.

Whoever admits or dismisses tells all processes who has to go (`kernel.bus.sessions_signal`); each of them warns and
cuts what it serves to that session, by a timer of its own. A session that is not seated here waits once for the book,
at its first request; all later ones look into a dict. Every two seconds the book is told who was sent media since, in
batches, and says how they stand; so whatever went past us on the bus is known then.

The book may be lost or out of reach. Out of reach: who has a seat keeps it for as long as the gate lets running
sessions go on, nobody new comes in. Lost: those whom the book does not know and we have just served take their seats
again, as old as they were; who was sent away stays away, for that is remembered here.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import structlog

from kernel.bus import sessions_signal
from kernel.decisions import Ending, Scope
from kernel.errors import BookUnavailable
from kernel.tokens import Reason
from relay.io.asked_book import AskedBook
from relay.sessions.counts import SessionCounts
from relay.sessions.model import Evicted, Full, Leaving, Life, Limit, Outcome, Seated, Session, Sign, Wish
from relay.sessions.seats import Owed, Seats, session_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from kernel.bus import Bus, Cancel
    from kernel.decisions import Whence
    from kernel.tokens import Claims
    from relay.sessions.book import SessionBook
    from relay.sessions.model import About

T = TypeVar("T")
log = structlog.get_logger("sessions")

SIGN_S = 2.0
"""How often the book is told who watches: one of fifteen in the shortest time after which somebody counts as gone."""

BATCH = 256
"""Signs of life in one call: less than a millisecond of the loop where the book is in this process."""

SAME_MS = 20
"""Clocks that are no further apart count as one: so long an answer may be on its way."""

SWEPT_AT_ONCE = 500
"""Seats whose time may be up that are looked at in one turn of the loop: half a millisecond."""

REFILL_AT_ONCE = 32
"""Sessions that take their seats again at a time in a book that was lost."""

PROMPT_S = 0.1
"""An answer that took no longer says what time it is by the book."""

MAX_LOOKED_FOR = 20_000
"""Sessions of sockets that the book is asked about in one go: as many as there may be sockets."""

TELL_REFUSED_S = 10.0
"""How often those who look on are told that one and the same session was refused: its player may ask all the time."""

MAX_UNTIL_MS = 99_999_999_999_999
"""Fourteen digits: what scripts of Redis can reckon with, and the year 5138."""

_NEVER = float("-inf")


class Denial(NamedTuple):
    """Why a session has no seat.

    Args:
        reason: session_limit, evicted, or stale where the book cannot be asked.
        code: the limit's, or why it was sent away.
        retry_s: when there may be room, in seconds from now; None where that is not known.
    """

    reason: Reason
    code: str = ""
    retry_s: int | None = None


class Ends(Protocol):
    """Who serves sessions that have to go."""

    def warn_session(self, session: str, ending: Ending) -> None:
        """Say to a session that it has to go."""
        ...

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        """End, now, all that goes out to a session."""
        ...


def _no_limits(_: Claims) -> tuple[Limit, ...]:
    return ()


def _nothing(_: Claims, __: Whence) -> About:
    return {}


class SessionKeeper:
    """Keep the seats of one process.

    Args:
        book: who watches, anywhere; closed by whoever closes `book`, through which all ask it.
        bus: tells all processes who has to go.
        wall: the time of day in Unix seconds.
        now: seconds that never step back, the running loop's.
        limits: what counts a session from its first request on.
        more: what counts it besides, from its second request for media on.
        about: what operators are told of it.
        dead_after_s: for how long a session of a showing may show no sign of life, in seconds, by event id.
        max_stale_running_s: for how long whoever has a seat keeps it while the book cannot be asked, in seconds.

    `on_leaving` is called with those who have to go by what is asked here, before the asker is answered.
    """

    def __init__(
        self,
        book: SessionBook,
        bus: Bus,
        *,
        wall: Callable[[], float],
        now: Callable[[], float],
        limits: Callable[[Claims], tuple[Limit, ...]] = _no_limits,
        more: Callable[[Claims], tuple[Limit, ...]] = _no_limits,
        about: Callable[[Claims, Whence], About] = _nothing,
        dead_after_s: Callable[[str], float] = lambda _: 30.0,
        max_stale_running_s: float = 60.0,
    ) -> None:
        self.counts = SessionCounts()
        self.book = AskedBook(book, now=now, counts=self.counts)
        self._bus = bus
        self._wall, self._now = wall, now
        self._limits, self._more, self._about = limits, more, about
        self._dead_after_s = dead_after_s
        self._max_stale_running_s = max_stale_running_s
        self._seats = Seats()
        self._ends: Ends | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancel: Cancel | None = None
        self._admissions: dict[tuple[str, str], asyncio.Task[Denial | None]] = {}
        self._looked_for: dict[str, str] = {}
        self._refused: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._sign_at = _NEVER
        # By how much the book's time is ahead of ours.
        self._skew_ms = 0
        self.on_leaving: Callable[[Session], None] = lambda _: None

    def start(self, ends: Ends) -> None:
        """Listen to who has to go, and have them warned and ended."""
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._cancel = self._bus.listen(sessions_signal(), self._heard)

    def stop(self) -> None:
        """Listen no more, and end nobody any more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop = self._ends = None

    @property
    def endings(self) -> Mapping[str, Ending]:
        """Return who has to go, by session, for the gate to look into."""
        return self._seats.endings

    def is_sent_away(self, session: str) -> bool:
        """Return whether a session had to go, and its time is up."""
        ending = self._seats.endings.get(session)
        return ending is not None and ending.at_ms <= 1_000 * self._wall()

    def __len__(self) -> int:
        """Return how many sessions have a seat here."""
        return len(self._seats)

    # What requests ask.

    def is_seated(self, claims: Claims) -> bool:
        """Return whether the bearer of `claims` has a seat; asking for a playlist is no sign of life."""
        return self._seats.has(claims, self._now())

    def touch(self, claims: Claims) -> bool:
        """Take a request for media for a sign of life; return whether the session has a seat, else `seat` it."""
        return self._seats.touch(claims, self._now())

    async def seat(self, claims: Claims, whence: Whence, *, media: bool) -> Denial | None:
        """Take a seat for a session, or say why there is none. All who ask for one session wait for one answer.

        Args:
            claims: those of an admitted token.
            whence: where the request comes from.
            media: whether it is for media, and not for a playlist. Who was here, fell silent and looks at playlists
                takes no seat by that: a player that pauses would push out the one that plays.
        """
        key = session_of(claims)
        if not media and self._seats.is_quiet(key, self._now()):
            return None
        task = self._admissions.get((claims.account, key))
        if task is None:
            task = asyncio.create_task(self._seat(claims, whence, media=media))
            self._admissions[claims.account, key] = task
            task.add_done_callback(lambda _: self._admissions.pop((claims.account, key), None))
        # Who hangs up does not end it for the others.
        return await asyncio.shield(task)

    def look(self, claims: Claims) -> None:
        """Find out, soon, whether a session that has a socket here was sent away; that takes no seat."""
        key = session_of(claims)
        if (
            Scope.WATCH in claims.scopes
            and self._seats.find(key) is None
            and self._seats.departure(key) is None
            and len(self._looked_for) < MAX_LOOKED_FOR
        ):
            self._looked_for[key] = claims.account
            self._wake.set()

    # What desks ask.

    async def admit(self, wish: Wish) -> Outcome:
        """Ask the book to let a session in, and tell everybody who has to go for it.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        before = self._wall()
        outcome = await self._heeded(self.book.admit(wish))
        if isinstance(outcome, Seated):
            after = self._wall()
            if after - before < PROMPT_S:
                # It was seen just now, by the book's time.
                skew_ms = outcome.session.seen_ms - round(500 * (before + after))
                self._skew_ms = skew_ms if abs(skew_ms) > SAME_MS else 0
            self.counts.admissions["seated"] += 1
            if outcome.session.leaving is not None:
                self._depart(wish.account, wish.session, outcome.session.leaving)
            for one in outcome.leaving:
                self._send_away(one)
        elif isinstance(outcome, Evicted):
            self.counts.admissions["evicted"] += 1
            self._depart(wish.account, wish.session, outcome.leaving)
        else:
            self.counts.admissions["full"] += 1
            self._tell_refused(wish, outcome)
        return outcome

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away, and tell everybody; return it with its `leaving`, None if it is not there.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        dismissed = await self.book.dismiss(
            account, session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms
        )  # fmt: skip
        if dismissed is not None:
            self._send_away(dismissed)
        return dismissed

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself, here and everywhere; return whether it was there.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        # First here: a sign of life that is on its way must not bring it back.
        self._leave(account, session)
        was_there = await self.book.release(account, session)
        self._bus.signal(sessions_signal(), ["released", account, session, "", 0, "", "", "", 0])
        return was_there

    # What runs.

    async def run(self) -> None:
        """Sign for those who watch, and look for those who have sockets, until cancelled."""
        while True:
            self._wake.clear()
            await self._look()
            if self._now() >= self._sign_at:
                self._sign_at = self._now() + SIGN_S
                await self._sign()
                await self._sweep()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._sign_at - self._now())):
                    await self._wake.wait()

    async def _seat(self, claims: Claims, whence: Whence, *, media: bool) -> Denial | None:
        key, now = session_of(claims), self._now()
        dead_after_ms = round(1_000 * self._dead_after_s(claims.event_id))
        limits, more, began_ms = self._limits(claims), self._more(claims), None
        former = self._seats.find(key)
        if former is not None and former.wish.account == claims.account and now - former.seen <= dead_after_ms / 1_000:
            # Whoever we have just served is as old as it was, should the book have lost it.
            began_ms = former.began_ms
            if more and (not former.more or (media and former.served)):
                limits, more = (*limits, *more), ()
        wish = Wish(
            claims.account, key, claims.event_id, limits, min(1_000 * claims.ends, MAX_UNTIL_MS), dead_after_ms,
            self._about(claims, whence), began_ms,
        )  # fmt: skip
        try:
            outcome = await self.admit(wish)
        except BookUnavailable:
            self.counts.admissions["unavailable"] += 1
            return Denial(Reason.STALE)
        counted = isinstance(outcome, Seated)
        if isinstance(outcome, Evicted):
            return Denial(Reason.EVICTED, outcome.leaving.code)
        if isinstance(outcome, Full):
            if outcome.limit.key or limits:
                return await self._refuse(claims.account, key, outcome.limit, outcome.retry_ms)
            # Nothing limits it, and whoever issued its token counts by himself: the account has more than are listed.
            began_ms = self._book_ms()
        else:
            began_ms = outcome.session.began_ms
        seat = self._seats.take(wish, began_ms, claims.expires, now=self._now(), counted=counted)
        seat.more = more
        seat.served = seat.served or media
        return None

    async def _refuse(self, account: str, session: str, limit: Limit, retry_ms: int | None) -> Denial | None:
        if self._seats.find(session) is not None and limit.memory_ms is not None:
            # It was in, and came last of those that a rule counts which remembers whom it sends away.
            with contextlib.suppress(BookUnavailable):
                gone = await self.dismiss(
                    account, session, code=limit.code, by="", grace_ms=limit.grace_ms, memory_ms=limit.memory_ms
                )  # fmt: skip
                if gone is not None:
                    return None if limit.grace_ms else Denial(Reason.EVICTED, limit.code)
        if self._leave(account, session):
            # It was in, and more counts it now than did: who is refused keeps no seat.
            with contextlib.suppress(BookUnavailable):
                await self.book.release(account, session)
            self._end(session, Reason.SESSION_LIMIT, limit.code)
        retry_s = None if retry_ms is None else max(1, -(-retry_ms // 1_000))
        return Denial(Reason.SESSION_LIMIT, limit.code, retry_s)

    async def _sign(self) -> None:
        """Tell the book who watches, and take in how they stand."""
        self._seats.begin_round()
        while owed := self._seats.take_owed(BATCH):
            now, wall_ms = self._now(), round(1_000 * self._wall())
            try:
                standings = await self._heeded(self.book.saw([one.sign(now, wall_ms) for one in owed]))
            except BookUnavailable:
                self._seats.owe(owed)
                return
            gone: list[Owed] = []
            for one, (life, leaving) in zip(owed, standings, strict=True):
                if self._seats.find(one.session) is not one.seat:
                    continue  # it has left meanwhile
                if life is Life.GONE:
                    gone.append(one)
                elif life is not Life.EVICTED:
                    self._seats.confirm(one)
                if leaving is not None:
                    self._depart(one.wish.account, one.session, leaving)
            for first in range(0, len(gone), REFILL_AT_ONCE):
                await asyncio.gather(*(self._seat_again(one) for one in gone[first : first + REFILL_AT_ONCE]))
            await asyncio.sleep(0)

    async def _seat_again(self, owed: Owed) -> None:
        """Have the book know a session that we have just served, and that it has lost."""
        session, seat, wish = owed.session, owed.seat, owed.wish
        if self._seats.departure(session) is not None or wish.until_ms <= self._book_ms():
            return
        try:
            outcome = await self.admit(wish._replace(began_ms=seat.began_ms))
        except BookUnavailable:
            self._seats.owe([owed])
            return
        if self._seats.find(session) is not seat:
            return
        self.counts.refilled += 1
        if isinstance(outcome, Seated):
            self._seats.confirm(owed)
        elif isinstance(outcome, Full):
            log.info("session.displaced", session=session, code=outcome.limit.code)
            self._seats.leave(session)
            self._end(session, Reason.SESSION_LIMIT, outcome.limit.code)

    async def _sweep(self) -> None:
        """Forget whose time is up, with the others' turns in between."""
        for _ in range(0, len(self._seats) + SWEPT_AT_ONCE, SWEPT_AT_ONCE):
            if not self._seats.sweep(self._now(), SWEPT_AT_ONCE):
                return
            await asyncio.sleep(0)

    async def _look(self) -> None:
        """Ask the book about sessions that have sockets here: an old sign of life changes nothing."""
        looked_for, self._looked_for = list(self._looked_for.items()), {}
        for first in range(0, len(looked_for), BATCH):
            some = looked_for[first : first + BATCH]
            try:
                standings = await self.book.saw([Sign(account, key, 0) for key, account in some])
            except BookUnavailable:
                return  # they are looked for again at the next review
            for (key, account), (_, leaving) in zip(some, standings, strict=True):
                if leaving is not None:
                    self._depart(account, key, leaving)

    async def _heeded(self, asked: Coroutine[Any, Any, T]) -> T:
        """Wait for the book; nobody loses a seat while it cannot be asked."""
        try:
            return await asked
        finally:
            lost_at = self.book.lost_at
            self._seats.hold_on(_NEVER if lost_at is None else lost_at + self._max_stale_running_s)

    # Who has to go.

    def _send_away(self, one: Session) -> None:
        leaving = one.leaving
        assert leaving is not None  # that is what it is here for
        self.counts.evicted(leaving.code)
        self.on_leaving(one)
        log.info(
            "session.leaving", session=one.session, account=one.account, code=leaving.code, key=leaving.key,
            left_ms=leaving.at_ms - self._book_ms(),
        )  # fmt: skip
        self._depart(one.account, one.session, leaving)
        self._bus.signal(
            sessions_signal(),
            ["leaving", one.account, one.session, one.event_id, leaving.at_ms, leaving.code, leaving.key, leaving.by,
             leaving.until_ms],
        )  # fmt: skip

    def _depart(self, account: str, session: str, leaving: Leaving) -> None:
        now, wall_ms = self._now(), round(1_000 * self._wall())
        if self._seats.depart(
            account, session, leaving, now=now, now_ms=wall_ms + self._skew_ms, wall_ms=wall_ms
        ):  # fmt: skip
            departure = self._seats.departure(session)
            if self._ends is not None and departure is not None and departure.cut_at > now:
                self._ends.warn_session(session, self._seats.endings[session])
            self._cut_due()

    def _cut_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for session, leaving in self._seats.take_cut(self._now()):
            self._end(session, Reason.EVICTED, leaving.code)
        at = self._seats.next_deadline()
        if at is not None and self._loop is not None:
            self._timer = self._loop.call_at(at, self._cut_due)

    def _end(self, session: str, reason: Reason, code: str) -> None:
        if self._ends is not None:
            self._ends.end_session(session, reason, code)

    def _leave(self, account: str, session: str) -> bool:
        seat = self._seats.find(session)
        if seat is None or seat.wish.account != account:
            return False
        self._seats.leave(session)
        return True

    def _tell_refused(self, wish: Wish, full: Full) -> None:
        now = self._now()
        if now < self._refused.get(wish.session, _NEVER):
            return
        if len(self._refused) >= MAX_LOOKED_FOR:
            self._refused.clear()
        self._refused[wish.session] = now + TELL_REFUSED_S
        log.info("session.refused", session=wish.session, account=wish.account, code=full.limit.code)
        self._bus.signal(
            sessions_signal(),
            ["refused", wish.account, wish.session, wish.event_id, self._book_ms(), full.limit.code, full.limit.key, "",
             0],
        )  # fmt: skip

    def _heard(self, record: list[Any]) -> None:
        try:
            kind, account, session, _, at_ms, code, key, by, until_ms = record
            leaving = Leaving(int(at_ms), str(code), str(key), str(by), int(until_ms))
        except (TypeError, ValueError):
            log.warning("session.not_understood")
            return
        # Our own word comes back, too; it is no news.
        if kind == "leaving":
            self._depart(str(account), str(session), leaving)
        elif kind == "released":
            self._leave(str(account), str(session))

    def _book_ms(self) -> int:
        return round(1_000 * self._wall()) + self._skew_ms
