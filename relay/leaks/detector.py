"""Find sessions that are no viewer's: online, from their segment requests alone.

Rules of the house:

1. `note` is called for every segment that went out, so an ordinary request costs some comparisons and nothing else:
   the next segment of the same rendition, to the same network, no further ahead than players load. Whoever keeps a
   session's record at hand asks `follows` first, and is spared to have it looked for.
2. Whatever is not that is judged at once (`relay/leaks/signals.py`).
3. A sweep of ten seconds, in slices, lets everything decay, tells of levels that fall, forgets who is gone, and finds
   each showing's median: the count of every session goes into one small histogram.
4. Each change of level is told once. A level rises at its threshold and falls well below it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from relay.leaks.model import Finding, LeakLimits, Level, Part
from relay.leaks.record import Record
from relay.leaks.signals import PLAY_RATE, SUSPECT_UNTIL_S, is_plain, parts_of, score_of

SWEEP_S = 10.0
"""How long a sweep over all sessions takes, in seconds."""

SLICES = 200
"""In how many steps: 100,000 sessions are 500 in each, a millisecond."""

FORGET_S = 90.0
"""How long a session is remembered behind what it has fetched: players that wait longer begin anew anyway."""

FORGET_SUSPECT_S = 600.0
"""The same for one that was told of: it does not become a stranger by holding its breath."""

FIRST = 12
SELDOM = 3
"""A page is asked for with a session's first segments; after those, where the number has none of these bits."""

MIN_CROWD = 50
"""Sessions of a showing that make a median."""

MAX_COUNT = 255
"""Counts beyond are one: no median is there."""

GRAIN_S = 0.1
"""So exactly it is known until when somebody has fetched who fetches in time."""

_A_SECOND = 1 / PLAY_RATE


class _Crowd:
    """The sessions of one showing; `queue` is what the sweep goes through, with records in it that are gone."""

    __slots__ = ("counts", "median", "queue", "records", "renditions")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.queue: list[Record] = []
        self.renditions: dict[str, str] = {}
        self.counts = [0] * (MAX_COUNT + 1)
        self.median: int | None = None

    def settle(self) -> None:
        """Take the median of what was counted, and begin to count anew."""
        total = sum(self.counts)
        self.median = None
        if total >= MIN_CROWD:
            below = 0
            for count, sessions in enumerate(self.counts):
                below += sessions
                if 2 * below >= total:
                    self.median = count
                    break
        self.counts = [0] * (MAX_COUNT + 1)


class Detector:
    """Judge sessions by their segment requests.

    Args:
        limits: from which score on what is done, and how many sessions are remembered.
        page_of: finds, by a clue, the host of the page that shows a segment, where that may not; else None. It is asked
            of the first segments of a session, then now and then: looking costs more than all the rest.

    Times are seconds of one clock that never steps back.
    """

    def __init__(self, limits: LeakLimits | None = None, page_of: Callable[[Any], str | None] = lambda _: None) -> None:
        self.limits = limits or LeakLimits()
        self._page_of = page_of
        self._crowds: dict[str, _Crowd] = {}
        self._sweep: Generator[list[Finding], float, None] | None = None
        self._due: float | None = None
        self._began = 0.0
        # Thousands fetch one segment at one time: they share the numbers of it, which lie near by then, whereas each
        # session's own would lie somewhere else in memory.
        self._until = self._seconds = 0.0
        self._until_ends = float("-inf")
        self._sure = 0
        self.n_sessions = 0
        """How many sessions are remembered."""

    def note(
        self, session: str, now: float, event_id: str, rendition: str, msn: int, seconds: float, n_bytes: int,
        network: int, clue: Any = None, *, picture: bool = True,
    ) -> Finding | None:  # fmt: skip
        """Take note of a segment that went out; return what has changed by it.

        Args:
            session: the claim `sid`.
            now: when.
            event_id: the showing.
            rendition: which.
            msn: the segment's number.
            seconds: how long it is.
            n_bytes: how large it is.
            network: where it went: a number for the network, below 2**30.
            clue: by what `page_of` finds its page; None: any may show it.
            picture: whether it carries the picture; sound and text are fetched beside it by everybody.
        """
        crowd = self._crowds.get(event_id)
        record = None if crowd is None else crowd.records.get(session)
        if crowd is None or record is None:
            crowd, record = self._begin(session, now, event_id, rendition, msn, network)
        page = None
        if clue is not None and (msn < record.sure or not msn & SELDOM):
            page = self._page_of(clue)
        if network == record.network and page is None:
            if not picture:
                return None
            if msn == record.front + 1 and rendition == record.rendition:
                record.front = msn
                until = record.until
                record.until = until = (until if until > now else now) + seconds * _A_SECOND
                if until - now < SUSPECT_UNTIL_S and record.case is None:
                    return None
                return self._judged(session, event_id, crowd, record, now, 8 * n_bytes / seconds if seconds else 0.0)
        return self._uncommon(
            session, now, event_id, rendition, msn, seconds, n_bytes, network, page, crowd, record,
            picture=picture,
        )  # fmt: skip

    def follows(self, record: Record, now: float, rendition: str, msn: int, seconds: float) -> bool:
        """Take note of a segment with the picture by the record of its session, if it is as a viewer's ought to be.

        It must have gone to the record's network, and no page be shown it that may not: whoever asks has seen to that,
        by `Trail.mark`, `Trail.sure` and `SELDOM`.

        Args:
            record: what `find` returned after one with the picture; it may be forgotten by now.
            now: when.
            rendition: which.
            msn: the segment's number.
            seconds: how long it is.

        Returns:
            Whether it was the next of an ordinary viewer, and all is done. Else nothing is: `note` it.
        """
        if msn != record.front + 1 or rendition != record.rendition or record.plain_in is not self:
            return False
        until = record.until
        if until > now:
            until += seconds * _A_SECOND
            if until - now >= SUSPECT_UNTIL_S:
                return False
        else:
            if now >= self._until_ends or seconds != self._seconds:
                self._until, self._until_ends = now + seconds * _A_SECOND, now + GRAIN_S
                self._seconds = seconds
            until = self._until
        record.front, record.until = msn, until
        return True

    def goes_with(self, record: Record) -> bool:
        """Tell whether nothing is to be noted of sound or text, by the record of its session; it is as above."""
        return record.plain_in is self

    def find(self, session: str, event_id: str) -> Record | None:
        """Return what is remembered of a session, for `follows`."""
        crowd = self._crowds.get(event_id)
        return None if crowd is None else crowd.records.get(session)

    def level(self, session: str, event_id: str) -> Level:
        """Return what was told of a session last."""
        record = self.find(session, event_id)
        return Level.NONE if record is None or record.case is None else Level(record.case.level)

    def forget(self, session: str, event_id: str) -> None:
        """Know nothing of a session any more; nothing is told of it."""
        crowd = self._crowds.get(event_id)
        record = None if crowd is None else crowd.records.pop(session, None)
        if record is not None:
            record.go()
            self.n_sessions -= 1

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` has something to do, None: never, as things stand."""
        return self._due

    def handle_timer(self, *, now: float) -> list[Finding]:
        """Sweep a slice; return whose level has fallen."""
        if self._due is None or now < self._due:
            return []
        step_s = SWEEP_S / SLICES
        try:
            if self._sweep is None:
                self._began = now
                self._sweep = self._swept(now)
                findings = next(self._sweep)
            else:
                findings = self._sweep.send(now)
            self._due = now + step_s
        except StopIteration:
            # Everything decays once in this time, however few there are.
            self._sweep, findings = None, []
            self._due = max(now + step_s, self._began + SWEEP_S) if self.n_sessions else None
        return findings

    # Within.

    def _begin(
        self, session: str, now: float, event_id: str, rendition: str, msn: int, network: int
    ) -> tuple[_Crowd, Record]:
        crowd = self._crowds.get(event_id)
        if crowd is None:
            crowd = self._crowds[event_id] = _Crowd()
        if self.n_sessions >= self.limits.max_sessions:
            fullest = max(self._crowds.values(), key=lambda one: len(one.records))
            fullest.records.pop(next(iter(fullest.records))).go()
            self.n_sessions -= 1
        known = crowd.renditions.setdefault(rendition, rendition)
        if msn + FIRST != self._sure:
            self._sure = msn + FIRST
        record = crowd.records[session] = Record(session, network, known, msn - 1, now, sure=self._sure)
        record.come(self)
        crowd.queue.append(record)
        self.n_sessions += 1
        if self._due is None:
            self._due = now + SWEEP_S
        return crowd, record

    def _uncommon(
        self, session: str, now: float, event_id: str, rendition: str, msn: int, seconds: float, n_bytes: int,
        network: int, page: str | None, crowd: _Crowd, record: Record, *, picture: bool,
    ) -> Finding | None:  # fmt: skip
        if network != record.network:
            record.begin_case().come_from(record.network, network, now)
            record.network = network
        if page is not None:
            case = record.begin_case()
            case.foreign += 1
            case.page = page
        if picture and record.is_new(crowd.renditions.setdefault(rendition, rendition), msn, seconds, now):
            record.until = max(record.until, now) + seconds * _A_SECOND
        bps = 8 * n_bytes / seconds if picture and seconds else 0.0
        return self._judged(session, event_id, crowd, record, now, bps)

    def _judged(
        self, session: str, event_id: str, crowd: _Crowd, record: Record, now: float, bps: float
    ) -> Finding | None:
        """Tell of a level that has risen."""
        case = record.case
        if case is not None and bps:
            case.bps = bps
        if is_plain(record, now, bps):
            return None
        record.settle()
        parts = parts_of(record, now=now, bps=bps or (case.bps if case is not None else 0.0), median=crowd.median)
        score = score_of(parts)
        level = self.limits.level(score)
        if level == Level.NONE or (case is not None and level <= case.level):
            return None
        case = record.begin_case()
        case.level, case.bps = level, bps or case.bps
        return Finding(session, event_id, level, score, tuple(parts))

    def _swept(self, began: float) -> Generator[list[Finding], float, None]:
        """Go over all sessions, in slices, once: let everything decay, forget who is gone, count what they fetch.

        Who sends a slice's time gets whose level has fallen in it.
        """
        slice_ = max(1, -(-self.n_sessions // SLICES))
        now, found, left = began, [], slice_
        for event_id, crowd in list(self._crowds.items()):
            queue = crowd.queue
            # What comes meanwhile waits for the next: nobody's beginning is halved before it is all there.
            place, end = 0, len(queue)
            while place < min(end, len(queue)):
                record = queue[place]
                finding = self._aged(event_id, crowd, record, now)
                if finding is not None:
                    found.append(finding)
                if crowd.records.get(record.session) is record:
                    place += 1
                else:
                    queue[place] = queue[-1]
                    queue.pop()
                left -= 1
                if not left:
                    now = yield found
                    found, left = [], slice_
            crowd.settle()
            if not crowd.records:
                del self._crowds[event_id]
        yield found

    def _aged(self, event_id: str, crowd: _Crowd, record: Record, now: float) -> Finding | None:
        session = record.session
        if crowd.records.get(session) is not record:
            return None
        crowd.counts[min(record.decay(), MAX_COUNT)] += 1
        case = record.case
        if case is None:
            if record.until < now - FORGET_S:
                self.forget(session, event_id)
            return None
        case.decay(now)
        parts: list[Part] = []
        score = 0.0
        former = Level(case.level)
        if former and record.until >= now - FORGET_SUSPECT_S:
            parts = parts_of(record, now=now, bps=case.bps, median=crowd.median)
            score = score_of(parts)
        level = self.limits.falls_to(former, score)
        case.level = level
        if case.is_closed(now):
            record.case = None
        return Finding(session, event_id, level, score, tuple(parts)) if level < former else None
