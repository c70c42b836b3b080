"""What one process knows of those who watch by it: who has a seat in the book, who has to go, who is to be signed for.

A seat counts for as long as the book is known to count it: until `dead_after_s` behind the last sign of life that the
book has taken. Only while the book cannot be asked it counts for longer (`hold_on`). Who has to go is known for all
sessions that this process was told of, seated here or not, and is remembered until the book would have forgotten it:
a book that is lost frees nobody.

Times without a unit in their name are seconds of the process's steady clock; `now_ms` is the book's own time, as far as
that is known here, in Unix milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from kernel.decisions import Ending
from relay.sessions.model import Leaving, Sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kernel.tokens import Claims
    from relay.sessions.model import Limit, Wish

MAX_SEATS = 200_000
"""Sessions of one process: twice as many as are meant to watch by it. Who is forgotten takes its seat again."""

MAX_DEPARTURES = 100_000
"""Sessions that had to go and are remembered; beyond it the oldest are forgotten, and the book refuses them alone."""

STALE_MS = 10_000
"""What is over for longer is no news: a word that was kept for whoever comes later."""

MAX_QUIET = 100_000
"""Sessions that had a seat here, fell silent and only look at playlists."""


def session_of(claims: Claims) -> str:
    """Return the session of a token; one that says none is a session by itself."""
    return claims.session or claims.jti


class Seat:
    """The seat of a session: what it wished, what it was given, and until when that counts.

    Args:
        wish: what the book was asked for.
        began_ms: since when it is there, by the book.
        expires: when the token ends that it was asked for with, in Unix seconds.
        counted: whether the book has it.
    """

    __slots__ = ("began_ms", "counted", "expires", "more", "owed", "seen", "served", "token", "until", "wish")

    token: str
    """The `jti` of the token that was looked at last, the very object: asked again, nothing else of it is looked at."""

    more: tuple[Limit, ...]
    """What counts it besides, from its second request for media on."""

    def __init__(self, wish: Wish, began_ms: int, expires: int, *, counted: bool, now: float) -> None:
        self.wish = wish
        self.began_ms = began_ms
        self.expires = expires
        self.counted = counted
        self.seen = now
        self.until = now + wish.dead_after_ms / 1_000
        self.owed = False
        self.served = False
        self.more = ()
        self.token = ""


def _is_of(seat: Seat, claims: Claims) -> bool:
    """Tell whether a seat is that of a token's bearer, and was asked for for as long as the token lasts."""
    if claims.expires > seat.expires or claims.account != seat.wish.account:
        return False
    seat.token = claims.jti
    return True


class Departure(NamedTuple):
    """Somebody has to go, or had to. `forget_at` is when its id is a new session's."""

    account: str
    leaving: Leaving
    cut_at: float
    forget_at: float


class Owed(NamedTuple):
    """A sign of life that the book is to be given: of whom, and when it was."""

    session: str
    seat: Seat
    seen: float

    def sign(self, now: float, wall_ms: int) -> Sign:
        """Return it as the book takes it, by the time of day here."""
        return Sign(self.seat.wish.account, self.session, wall_ms - round((now - self.seen) * 1_000))


class Seats:
    """Know the sessions of this process.

    Args:
        max_seats: how many are known at most.
        max_departures: of how many it is remembered at most that they had to go.
    """

    def __init__(self, *, max_seats: int = MAX_SEATS, max_departures: int = MAX_DEPARTURES) -> None:
        self._max_seats, self._max_departures = max_seats, max_departures
        self._seats: dict[str, Seat] = {}
        self._owed: dict[str, Seat] = {}
        self._round: deque[tuple[str, Seat]] = deque()
        # Their oldest are let go of one by one, which in a dict would take longer and longer.
        self._quiet: OrderedDict[str, None] = OrderedDict()
        self._departures: OrderedDict[str, Departure] = OrderedDict()
        self._endings: dict[str, Ending] = {}
        self._cuts: list[tuple[float, str]] = []
        self._forgets: list[tuple[float, str]] = []
        self._ends: list[tuple[float, int, Seat]] = []
        self._taken = 0
        self._held_until = float("-inf")

    def __len__(self) -> int:
        """Return how many sessions have a seat."""
        return len(self._seats)

    @property
    def endings(self) -> Mapping[str, Ending]:
        """Return who has to go, or had to, by session: always the same object, which the gate looks into."""
        return self._endings

    @property
    def n_owed(self) -> int:
        """Return how many signs of life are owed."""
        return len(self._owed) + len(self._round)

    # What every request asks.

    def has(self, claims: Claims, now: float) -> bool:
        """Return whether the bearer of `claims` has a seat; asking is no sign of life."""
        seat = self._seats.get(claims.session or claims.jti)
        return (
            seat is not None
            and (now < seat.until or now < self._held_until)
            and (seat.token is claims.jti or _is_of(seat, claims))
        )

    def touch(self, claims: Claims, now: float) -> bool:
        """Take a sign of life; return whether its giver has a seat, and needs not be judged by more than it was."""
        key = claims.session or claims.jti
        seat = self._seats.get(key)
        if (
            seat is None
            or (now >= seat.until and now >= self._held_until)
            or (seat.token is not claims.jti and not _is_of(seat, claims))
            or (seat.more and seat.served)
        ):
            return False
        seat.seen, seat.served = now, True
        if not seat.owed and seat.counted:
            seat.owed = True
            self._owed[key] = seat
        return True

    def is_quiet(self, session: str, now: float) -> bool:
        """Return whether a session had a seat here, and has not asked for media since it lost it by its silence."""
        seat = self._seats.get(session)
        if seat is None:
            return session in self._quiet
        return seat.counted and not seat.owed and now >= seat.until

    # What the book says.

    def find(self, session: str) -> Seat | None:
        """Return the seat of a session, whether or not it still counts."""
        return self._seats.get(session)

    def take(self, wish: Wish, began_ms: int, expires: int, *, now: float, counted: bool = True) -> Seat:
        """Note that a session has a seat from now on; what was owed for the one before is not owed any more."""
        key = wish.session
        former = self._seats.pop(key, None)
        self._owed.pop(key, None)
        self._quiet.pop(key, None)
        while len(self._seats) >= self._max_seats:
            self.leave(next(iter(self._seats)))
        seat = self._seats[key] = Seat(wish, began_ms, expires, counted=counted, now=now)
        if former is not None:
            seat.served = former.served
        self._taken += 1
        heappush(self._ends, (seat.until, self._taken, seat))
        return seat

    def leave(self, session: str) -> None:
        """Note that a session has no seat any more."""
        self._seats.pop(session, None)
        self._owed.pop(session, None)

    def begin_round(self) -> None:
        """Have all that is owed by now taken, before what comes meanwhile."""
        self._round.extend(self._owed.items())
        self._owed = {}

    def take_owed(self, count: int) -> list[Owed]:
        """Return the next signs of life of this round, `count` at most, and owe them no more."""
        taken: list[Owed] = []
        while self._round and len(taken) < count:
            session, seat = self._round.popleft()
            if seat.owed and self._seats.get(session) is seat:
                seat.owed = False
                taken.append(Owed(session, seat, seat.seen))
        return taken

    def owe(self, owed: list[Owed]) -> None:
        """Owe signs of life again: the book did not take them."""
        for session, seat, _ in owed:
            if self._seats.get(session) is seat and not seat.owed:
                seat.owed = True
                self._owed[session] = seat

    def confirm(self, owed: Owed) -> None:
        """Note that the book has taken a sign of life, and counts its giver."""
        owed.seat.until = max(owed.seat.until, owed.seen + owed.seat.wish.dead_after_ms / 1_000)

    def hold_on(self, until: float) -> None:
        """Let all who have a seat keep it until then, for the book cannot be asked; `float("-inf")` ends that."""
        self._held_until = until

    # Who has to go.

    def depart(self, account: str, session: str, leaving: Leaving, *, now: float, now_ms: int, wall_ms: int) -> bool:
        """Note that a session has to go.

        Args:
            account: whose.
            session: which.
            leaving: when and why, in the book's time.
            now: the time.
            now_ms: the same in the book's.
            wall_ms: the same by the time of day here.

        Returns:
            Whether that is news: it was not known, or is to be sooner.
        """
        cut_at = now + max(0, leaving.at_ms - now_ms) / 1_000
        forget_at = now + (leaving.until_ms - now_ms) / 1_000
        known = self._departures.get(session)
        if max(leaving.at_ms, leaving.until_ms) < now_ms - STALE_MS:
            # Its id may be a new session's by now.
            return False
        if known is not None and (known.cut_at <= now or leaving.at_ms >= known.leaving.at_ms):
            return False
        self._departures[session] = Departure(account, leaving, cut_at, max(cut_at, forget_at))
        by = leaving.by if leaving.key else ""
        self._endings[session] = Ending(wall_ms + max(0, leaving.at_ms - now_ms), leaving.code, by)
        heappush(self._cuts, (cut_at, session))
        heappush(self._forgets, (max(cut_at, forget_at), session))
        if len(self._departures) > self._max_departures:
            oldest, _ = self._departures.popitem(last=False)
            del self._endings[oldest]
        if len(self._forgets) > 2 * self._max_departures:
            self._forgets = sorted((one.forget_at, session) for session, one in self._departures.items())
        return True

    def departure(self, session: str) -> Departure | None:
        """Return that a session has to go, or had to and is remembered."""
        return self._departures.get(session)

    def take_cut(self, now: float) -> list[tuple[str, Leaving]]:
        """Return those whose time has come, each once; they have no seat any more."""
        cut = []
        while self._cuts and self._cuts[0][0] <= now:
            at, session = heappop(self._cuts)
            departure = self._departures.get(session)
            if departure is None or departure.cut_at != at:
                continue  # forgotten, or to be cut sooner, which has happened
            self.leave(session)
            # Whatever becomes of the time of day: it is over.
            self._endings[session] = self._endings[session]._replace(at_ms=0)
            cut.append((session, departure.leaving))
        return cut

    def next_deadline(self) -> float | None:
        """Return when somebody is to be cut next."""
        return self._cuts[0][0] if self._cuts else None

    def sweep(self, now: float, count: int) -> bool:
        """Forget up to `count` whose time is up; return whether there may be more of them.

        Nobody loses a seat while the book cannot be asked.
        """
        left = count
        while left and self._forgets and self._forgets[0][0] <= now:
            at, session = heappop(self._forgets)
            departure = self._departures.get(session)
            if departure is not None and departure.forget_at == at and departure.cut_at <= now:
                del self._departures[session], self._endings[session]
            left -= 1
        while left and self._ends and self._ends[0][0] <= now and now >= self._held_until:
            _, number, seat = heappop(self._ends)
            session = seat.wish.session
            left -= 1
            if self._seats.get(session) is not seat:
                continue
            if now < seat.until:
                heappush(self._ends, (seat.until, number, seat))
            elif seat.owed:
                # The book has not been asked about it yet.
                heappush(self._ends, (now + 1.0, number, seat))
            else:
                self.leave(session)
                self._quiet[session] = None
                if len(self._quiet) > MAX_QUIET:
                    self._quiet.popitem(last=False)
        return not left
