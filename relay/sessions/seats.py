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
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from kernel.decisions import Ending
from kernel.value import set_aside
from relay.sessions.model import Leaving, Sign, Wish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kernel.tokens import Claims
    from relay.sessions.model import Limit

MAX_SEATS = 200_000
"""Sessions of one process: twice as many as are meant to watch by it. Who is forgotten takes its seat again."""

MAX_DEPARTURES = 100_000
"""Sessions that had to go and are remembered; beyond it the oldest are forgotten, and the book refuses them alone."""

STALE_MS = 10_000
"""What is over for longer is no news: a word that was kept for whoever comes later."""

GRAIN_S = 0.1
"""So exactly it is known when somebody was served last, never later than it was: thousands share one number then, which
lies near by, whereas each one's own would lie somewhere else in memory."""

MAX_QUIET = 100_000
"""Sessions that had a seat here, fell silent and only look at playlists."""


def session_of(claims: Claims) -> str:
    """Return the session of a token; one that says none is a session by itself."""
    return claims.session or claims.jti


_NOTHING = Wish("", "", "", (), 0, 0, {})
"""What somebody wishes who has left."""


class Pulse:
    """What every request for media looks at: all of it lies in one line of a processor's cache.

    `plain_in` are the seats among which it is found by nothing but the claims that it was found by before: once it has
    been served, where the book counts it and no more is to be counted. `seen` is when it was served last. `owed` is the
    round that this sign of life is owed in, 0: it is not. Until `until` the seat counts.
    """

    __slots__ = ("counted", "owed", "plain_in", "seen", "until")

    counted: bool
    owed: int
    plain_in: Seats | None
    seen: float
    until: float


class Seat(Pulse):
    """The seat of a session: what it wished, what it was given, and until when that counts.

    Args:
        wish: what the book was asked for.
        began_ms: since when it is there, by the book.
        expires: when the token ends that it was asked for with, in Unix seconds.
        counted: whether the book has it.
    """

    __slots__ = ("_more", "_served", "began_ms", "expires", "home", "wish")

    home: Seats | None

    def __init__(self, wish: Wish, began_ms: int, expires: int, *, counted: bool, now: float) -> None:
        self.wish = wish
        self.began_ms = began_ms
        self.expires = expires
        self.counted = counted
        self.seen = now
        self.until = now + wish.dead_after_ms / 1_000
        self.owed = 0
        self.home = self.plain_in = None
        self._served = False
        self._more: tuple[Limit, ...] = ()

    @property
    def served(self) -> bool:
        """Return whether it was asked for with media, or has asked for some since."""
        return self._served

    @served.setter
    def served(self, served: bool) -> None:
        self._served = served
        self._settle()

    @property
    def more(self) -> tuple[Limit, ...]:
        """Return what counts it besides, from its second request for media on."""
        return self._more

    @more.setter
    def more(self, more: tuple[Limit, ...]) -> None:
        self._more = more
        self._settle()

    def come(self, home: Seats) -> None:
        """Be one of those seats from now on."""
        self.home = home
        self._settle()

    def go(self) -> None:
        """Be nobody's any more. Tokens that are remembered may know it for hours yet, so it keeps next to nothing."""
        self.home, self.wish = None, _NOTHING
        self._settle()

    def is_of(self, claims: Claims) -> bool:
        """Return whether it is that of a token's bearer, and was asked for for as long as the token lasts."""
        return claims.expires <= self.expires and claims.account == self.wish.account

    def _settle(self) -> None:
        self.plain_in = self.home if self._served and self.counted and not self._more else None


class Departure(NamedTuple):
    """Somebody has to go, or had to. `forget_at` is when its id is a new session's."""

    account: str
    leaving: Leaving
    cut_at: float
    forget_at: float


class Owed(NamedTuple):
    """A sign of life that the book is to be given: of whom, when it was, and what its giver wished."""

    session: str
    seat: Seat
    seen: float
    wish: Wish

    def sign(self, now: float, wall_ms: int) -> Sign:
        """Return it as the book takes it, by the time of day here."""
        return Sign(self.wish.account, self.session, wall_ms - round((now - self.seen) * 1_000))


class Seats:
    """Know the sessions of this process.

    Args:
        max_seats: how many are known at most.
        max_departures: of how many it is remembered at most that they had to go.
    """

    def __init__(self, *, max_seats: int = MAX_SEATS, max_departures: int = MAX_DEPARTURES) -> None:
        self._max_seats, self._max_departures = max_seats, max_departures
        self._seats: dict[str, Seat] = {}
        # Those whose signs of life are owed, and how many of them have left since.
        self._owed: list[Seat] = []
        self._n_left = 0
        self._lap = 1
        self._round: deque[Seat] = deque()
        # When those were seen who are seen now, and until when they are.
        self._seen = self._seen_until = float("-inf")
        self._untils: dict[float, float] = {}
        # Their oldest are let go of one by one, which in a dict would take longer and longer.
        self._quiet: OrderedDict[str, None] = OrderedDict()
        self._departures: OrderedDict[str, Departure] = OrderedDict()
        self._endings: dict[str, Ending] = {}
        self._cuts: list[tuple[float, str]] = []
        self._forgets: list[tuple[float, str]] = []
        # By the second in which they are to be looked at next: a heap of them would take as much again as the seats do.
        self._ends: dict[int, deque[Seat]] = {}
        self._seconds: list[int] = []
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
        return len(self._owed) - self._n_left + len(self._round)

    # What every request asks.

    def has(self, claims: Claims, now: float) -> bool:
        """Return whether the bearer of `claims` has a seat; asking is no sign of life."""
        seat = claims.seat
        return (seat is not None and seat.plain_in is self and now < seat.until) or self._found(claims, now) is not None

    def touch(self, claims: Claims, now: float) -> bool:
        """Take a sign of life; return whether its giver has a seat, and needs not be judged by more than it was."""
        seat = claims.seat
        if seat is None or seat.plain_in is not self or now >= seat.until:
            seat = self._found(claims, now)
            if seat is None or (seat.more and seat.served):
                return False
            seat.served = True
        if now >= self._seen_until:
            self._seen, self._seen_until = now, now + GRAIN_S
        seat.seen = self._seen
        if not seat.owed and seat.counted:
            seat.owed = self._lap
            self._owed.append(seat)
        return True

    def _found(self, claims: Claims, now: float) -> Seat | None:
        """Return the seat of a token's bearer, if it counts; the claims know it from then on."""
        seat = self._seats.get(session_of(claims))
        if seat is None or (now >= seat.until and now >= self._held_until) or not seat.is_of(claims):
            return None
        if claims.seat is not seat:
            set_aside(claims, "seat", seat)
        return seat

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
        former = self._seats.get(key)
        self.leave(key)
        self._quiet.pop(key, None)
        while len(self._seats) >= self._max_seats:
            self.leave(next(iter(self._seats)))
        seat = self._seats[key] = Seat(wish, began_ms, expires, counted=counted, now=now)
        seat.come(self)
        if former is not None:
            seat.served = former.served
        self._look_again(seat, seat.until)
        return seat

    def leave(self, session: str) -> None:
        """Note that a session has no seat any more."""
        seat = self._seats.pop(session, None)
        if seat is not None:
            seat.go()
            if seat.owed == self._lap:
                self._n_left += 1

    def begin_round(self) -> None:
        """Have all that is owed by now taken, before what comes meanwhile."""
        self._round.extend(self._owed)
        self._owed = []
        self._n_left = 0
        self._lap += 1
        self._untils = {}

    def take_owed(self, count: int) -> list[Owed]:
        """Return the next signs of life of this round, `count` at most, and owe them no more."""
        taken: list[Owed] = []
        while self._round and len(taken) < count:
            seat = self._round.popleft()
            if seat.home is self:
                seat.owed = 0
                taken.append(Owed(seat.wish.session, seat, seat.seen, seat.wish))
        return taken

    def owe(self, owed: list[Owed]) -> None:
        """Owe signs of life again: the book did not take them."""
        for _, seat, _, _ in owed:
            if seat.home is self and not seat.owed:
                seat.owed = self._lap
                self._owed.append(seat)

    def confirm(self, owed: Owed) -> None:
        """Note that the book has taken a sign of life, and counts its giver."""
        until = owed.seen + owed.wish.dead_after_ms / 1_000
        if until > owed.seat.until:
            owed.seat.until = self._untils.setdefault(until, until)

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
        while left and self._seconds and self._seconds[0] <= now and now >= self._held_until:
            due = self._ends[self._seconds[0]]
            if not due:
                del self._ends[heappop(self._seconds)]
                continue
            left -= 1
            self._end(due.popleft(), now)
        return not left

    def _look_again(self, seat: Seat, at: float) -> None:
        second = ceil(at)
        if second not in self._ends:
            self._ends[second] = deque()
            heappush(self._seconds, second)
        self._ends[second].append(seat)

    def _end(self, seat: Seat, now: float) -> None:
        """Let go of a seat, if its time is up: within a second."""
        if seat.home is not self:
            return
        if now < seat.until:
            self._look_again(seat, seat.until)
        elif seat.owed:
            # The book has not been asked about it yet.
            self._look_again(seat, now + 1.0)
        else:
            session = seat.wish.session
            self.leave(session)
            self._quiet[session] = None
            if len(self._quiet) > MAX_QUIET:
                self._quiet.popitem(last=False)
