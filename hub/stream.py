"""One showing's stream as the hub sees it: what the bus says goes in, deliveries come out.

Nothing here waits or writes: the driver calls in with bus time `now`, takes the deliveries, and calls `timer` no
earlier than `next_deadline()`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hub.arrears import JOINS, Arrears
from hub.backlog import Backlog
from hub.cohort import Cohort, Delivery
from hub.cohorts import Cohorts
from hub.floors import Floors
from hub.frontier import Edge, LiveClock, Sync, VodClock
from hub.path import Path
from hub.playhead import ReportedClock
from hub.reporters import Reporters
from hub.snapshot import batches
from hub.subscriber import wish_mark
from hub.wagering import Wagering
from kernel.pts import TICKS_PER_MS
from kernel.timeline import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hub.cursor import Cursor
    from hub.frontier import Clock
    from hub.settings import HubSettings
    from hub.snapshot import Batch, Message
    from hub.subscriber import Subscriber
    from kernel.blackouts import ZoneSet
    from kernel.cues import Entry
    from kernel.feed_state import FeedState
    from kernel.marks import Opened, Served
    from kernel.showings import Showing
    from kernel.timeline import MediaTime, SegmentTiming, StreamState


class Stream:
    """Hold the cues of one stream until their picture is out for those who wait for them."""

    def __init__(self, showing: Showing, settings: HubSettings) -> None:
        self.showing = showing
        self.epoch: str | None = None
        self.subscribers: dict[int, Subscriber] = {}
        self._wagering = Wagering(settings.max_wager_lag_s)
        self._backlog = Backlog(
            max_entries=settings.backlog_entries, max_age_s=settings.backlog_s, max_prices=settings.backlog_prices
        )
        self._floors = Floors()
        self._arrears = Arrears(self._backlog, self._floors, settings.piece_bytes)
        self._path = Path()
        self._edge = Edge(self._path)
        self._reporters = Reporters(self._edge, self._path, settings.max_wager_lag_s)
        self.joins = dict.fromkeys(JOINS, 0)
        """How those came who have subscribed: anew, resumed, or with a cursor that could not be resumed from."""
        self._recalled: list[Subscriber] = []
        self._judged: dict[int, Subscriber] = {}
        self._blacked_out: dict[int, Subscriber] = {}
        self._inside: Counter[ZoneSet] = Counter()
        self._cohorts = Cohorts(self._edge, self._path, self._backlog, self._floors)

    # What the bus says.

    def add_entry(self, entry: Entry, now: float) -> None:
        """Take in a sealed entry; safety goes out at once, what is due already too."""
        if entry.due is not None:
            self.add_entries((entry,), now)
        elif self._backlog.append(entry, now):
            self._floors.raise_by(entry.cue.type, entry.cue.body)
            self._send_safety(entry, now)

    def add_entries(self, entries: Sequence[Entry], now: float) -> None:
        """Take in sealed entries of the log that come together; those that are due already become due together."""
        if any(entry.due is None for entry in entries):
            # Safety has a topic of its own; whoever puts it here is not made to wait for it.
            for entry in entries:
                self.add_entry(entry, now)
            return
        new = [entry for entry in entries if self._backlog.append(entry, now)]
        if not new:
            return
        self._cohorts.take(new, now)
        self._backlog.thin(self._cohorts.passed_by_all(), now)

    def add_timing(self, timing: SegmentTiming, now: float) -> None:
        """Take in where a segment lies. Parts are within their segment and change nothing here."""
        if timing.part is None:
            self._path.lay(timing)
            self._cohorts.lay(timing)
            self._move(now)

    def set_state(self, state: StreamState, now: float) -> None:
        """Take in what the stream is; who subscribed before it was known is put where it belongs."""
        was_unknown, self._edge.state = self._edge.state is None, state
        if was_unknown and not state.live:
            for subscriber in self.subscribers.values():
                subscriber.clock = None  # What it took for live was none.
                if subscriber.mode == "viewer":
                    self._set_apart(subscriber, now)
        self._move(now, whole=True)

    def open(self, opened: Opened, now: float) -> None:
        """Move the frontier to what the relay opened."""
        had_ended, had_opened = self._edge.ended, self._edge.upto > BEGINNING
        if self._edge.open(opened, now):
            if not had_opened:
                self._arrears.place(self.subscribers.values(), self._edge.upto)
            self._move(now, whole=self._edge.ended is not had_ended, since=opened.at)
            for subscriber in self._reporters.left_behind():
                self._judge_lag(subscriber, now)

    def serve(self, served: Served, now: float) -> bool:
        """Take in what a relay has served to a session; return whether anybody here was concerned."""
        concerned = self._reporters.serve(served, now)
        for subscriber in concerned:
            self._cohorts.look_again(self._cohorts[subscriber.cohort], now)
        return bool(concerned)

    def set_feeds(self, states: Iterable[FeedState], now: float) -> list[FeedState]:
        """Take in how the sources are; return those that have changed."""
        changed = self._wagering.set_feeds(states)
        self._judge(now)
        return changed

    def set_epoch(self, epoch: str) -> bool:
        """Take in the log's epoch; return True if another one was known: offsets begin anew."""
        changed = self.epoch is not None and self.epoch != epoch
        self.epoch = self._arrears.epoch = epoch
        if changed:
            self._backlog.clear()
            self._cohorts.begin_anew()
        return changed

    # Who listens.

    def join(self, subscriber: Subscriber, now: float, cur: str | None = None) -> str | None:
        """Subscribe somebody: from where `cur` says, or with a snapshot of what is due by now, then what follows.

        Live, from the frontier as it stands; VOD viewers from the first segment. What they are to be sent first is
        owed to them: call `next_owed`.

        Returns:
            Why `cur` could not be resumed from, None if it could or there is none.
        """
        self._move_shared(now)
        subscriber.zones = subscriber.inside
        self._inside[subscriber.zones] += 1
        cohort = self._cohort_for(subscriber, now)
        subscriber.cohort = cohort.number
        subscriber.wish = wish_mark(subscriber.mode, subscriber.filter)
        self.subscribers[subscriber.number] = subscriber
        why = self._arrears.resume(subscriber, cur, self._edge.upto) if cur is not None else None
        self.joins[why or ("new" if cur is None else "resumed")] += 1
        if cur is not None and why is None and not cohort.shared:
            cohort.known = subscriber.known
        if cur is None or why is not None:
            self._arrears.tell_state(subscriber, cohort, self._cohorts.base_for(cohort, now))
        self._cohorts.schedule(cohort)
        self._judge_lag(subscriber, now)
        if cohort.veil is not None:
            self._draw(subscriber, cohort)
        return why

    def leave(self, subscriber: Subscriber, *, plays_on: bool = False) -> None:
        """Unsubscribe somebody; who is not subscribed stays so. One that plays on joins again, and is where it was."""
        was_here = self.subscribers.pop(subscriber.number, None) is not None
        cohort = self._cohorts.get(subscriber.cohort)
        clock = subscriber.clock if cohort is None or cohort.shared else cohort.clock
        self._part(subscriber)
        if was_here:
            self._leave_zones(subscriber.zones)
        self._blacked_out.pop(subscriber.number, None)
        self._reporters.dismiss(subscriber)
        self._judged.pop(subscriber.number, None)
        subscriber.start_over()
        subscriber.clock = clock if plays_on else None

    def report(self, subscriber: Subscriber, now: float) -> None:
        """Take in that a viewer has reported its playhead; from the first report on it has a frontier of its own."""
        self._reporters.touch(subscriber, now)
        kept = self._cohorts[subscriber.cohort]
        if isinstance(kept.clock, ReportedClock):
            self._cohorts.look_again(kept, now)
        else:
            honest = kept.clock
            self._cohorts.advance(kept, now)
            self._move_apart(subscriber, self._reporters.clock(subscriber, honest, kept.cursor.upto), now)
        # From now on it is judged by itself, not with the others.
        self._judged[subscriber.number] = subscriber
        self._judge_lag(subscriber, now)

    def renew(self, subscriber: Subscriber) -> None:
        """Take in that a subscriber goes on under another token as well."""
        self._reporters.renew(subscriber)

    def change_zones(self, subscriber: Subscriber, now: float) -> None:
        """Move somebody to those who are inside of the same blackouts, as `subscriber.inside` has them now."""
        former, zones = subscriber.zones, subscriber.inside
        if subscriber.number not in self.subscribers or zones == former:
            return
        self._move_shared(now)
        self._inside[zones] += 1
        subscriber.zones = zones
        kept, had = self._cohorts[subscriber.cohort], self.cursor_of(subscriber)
        self.fall_behind(subscriber)
        if kept.shared:
            cohort = self._cohort_for(subscriber, now)
        else:
            cohort = self._cohorts.found(kept.clock, subscriber.conflate_ms, subscriber.dark_in)
            cohort.begin_at(kept.cursor, now)
            cohort.known = subscriber.known
        self._part(subscriber)
        subscriber.cohort = cohort.number
        self._cohorts.look_again(cohort, now)
        if cohort.veil is not None:
            # What it was still owed may be dark. What it has had, it has had.
            subscriber.catch_up()
            subscriber.known = had
            cohort.add(subscriber)
        if cohort.veil is not None or kept.veil is not None:
            self._draw(subscriber, cohort)
        else:
            self._recalled.append(subscriber)
        self._cohorts.schedule(cohort)
        self._leave_zones(former)

    def change_lead(self, subscriber: Subscriber, now: float) -> None:
        """Let a viewer that reports have its cues by another lead, `subscriber.lead_ms`."""
        cohort = self._cohorts[subscriber.cohort]
        if isinstance(cohort.clock, ReportedClock):
            cohort.clock.lead_ms = subscriber.lead_ms
            self._cohorts.look_again(cohort, now)

    def change_rate(self, subscriber: Subscriber, conflate_ms: int, now: float) -> None:
        """Move somebody to those who have prices conflated by another interval; it misses nothing."""
        if conflate_ms == subscriber.conflate_ms:
            return
        self._move_shared(now)
        self.fall_behind(subscriber)
        kept = self._cohorts[subscriber.cohort]
        subscriber.conflate_ms = conflate_ms
        if not kept.shared:
            self._move_apart(subscriber, kept.clock, now)
            return
        cohort = self._cohort_for(subscriber, now)
        self._part(subscriber)
        subscriber.cohort = cohort.number

    def fall_behind(self, subscriber: Subscriber, delivery: Delivery | None = None) -> None:
        """Take somebody out of the hot set who cannot be written to; it is owed the rest, and this delivery first."""
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is not None and subscriber.behind is None:
            self._arrears.set_aside(subscriber, cohort, delivery)

    def owe(self, subscriber: Subscriber, delivery: Delivery) -> None:
        """Owe another delivery of the same flush to somebody who has just fallen behind."""
        if subscriber.owed is not None:
            subscriber.owed.extend(batches(delivery.entries))

    def next_owed(self, subscriber: Subscriber, now: float) -> Batch | Message | None:
        """Return the next thing for somebody who is behind; None when it has caught up and is back in the hot set."""
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is None or subscriber.behind is None:
            return None
        item = self._arrears.next(subscriber, cohort, lambda: self._cohorts.approach(cohort, now))
        if item is None:
            subscriber.catch_up()
            cohort.add(subscriber)
            if not cohort.shared:
                cohort.forget_replays()
            self._cohorts.schedule(cohort)
        return item

    # What comes out.

    def take_deliveries(self) -> list[Delivery]:
        """Return what is to be written, in order, and forget it."""
        return self._cohorts.take_deliveries()

    def take_recalled(self) -> list[Subscriber]:
        """Return those to whom more is owed than they know of, and forget them."""
        taken, self._recalled = self._recalled, []
        return taken

    def take_judged(self) -> list[Subscriber]:
        """Return the viewers for whom alone it has changed whether they may bet, and forget them."""
        if drawn := {cohort.number: cohort for cohort in self._cohorts.take_drawn()}:
            for subscriber in self.subscribers.values():
                if (cohort := drawn.get(subscriber.cohort)) is not None:
                    self._draw(subscriber, cohort)
        taken, self._judged = list(self._judged.values()), {}
        return taken

    def take_blacked_out(self) -> list[int]:
        """Return the numbers of those for whom there is nothing more for now, and forget them; `take_judged` first."""
        taken, self._blacked_out = list(self._blacked_out), {}
        return taken

    def next_deadline(self) -> float | None:
        """Return the bus time at which `timer` is to be called, None if nothing will be due by itself."""
        instants = (self._cohorts.next_deadline(), self._wagering.stalls_at(self._edge))
        return min((instant for instant in instants if instant is not None), default=None)

    def timer(self, now: float) -> None:
        """Move those whose instant has come."""
        self._cohorts.timer(now)
        self._judge(now)

    @property
    def sync(self) -> Sync:
        """Return whether what is out is known: ok, lost, or waiting for the first opening."""
        return self._edge.sync

    @property
    def feeds(self) -> Mapping[str, FeedState]:
        """Return how the sources are that have been heard of."""
        return self._wagering.feeds

    @property
    def may_wager(self) -> bool:
        """Return whether bets may be taken at all."""
        return self._wagering.may_wager

    @property
    def wagering(self) -> tuple[bool, bool]:
        """Return whether bets may be taken at all, and whether by live viewers: a change of either is told at once."""
        return self.may_wager, self.may_wager and not self._wagering.lagging

    def held(self) -> tuple[int, int]:
        """Return how many entries of the log are kept, and how many of them wait for their picture to be out."""
        return len(self._backlog), self._backlog.waiting(self._edge.upto)

    def may_wager_of(self, subscriber: Subscriber) -> bool:
        """Return whether this subscriber may bet now."""
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is not None and isinstance(cohort.clock, ReportedClock):
            lagging = cohort.clock.lagging or cohort.clock.away
        else:
            lagging = self._wagering.lagging and subscriber.mode == "viewer"
        is_dark = cohort is not None and cohort.veil is not None
        return self.may_wager and subscriber.may_wager and not lagging and not is_dark

    def cursor_of(self, subscriber: Subscriber) -> Cursor | None:
        """Return what a subscriber is told that it was sent; None: it is not subscribed, or its snapshot on its way."""
        cohort = self._cohorts.get(subscriber.cohort)
        if subscriber.behind is not None:
            told = subscriber.behind if subscriber.based else None
        else:
            told = cohort.told if cohort is not None else None
        return subscriber.tell(told, self._backlog.through_at(told)) if told is not None else None

    def frontier_of(self, subscriber: Subscriber) -> MediaTime:
        """Return how far what a subscriber is sent may reach."""
        cohort = self._cohorts.get(subscriber.cohort)
        return cohort.cursor.upto if cohort is not None else BEGINNING

    def hash_of(self, subscriber: Subscriber) -> str | None:
        """Return the hash of what a subscriber knows; None where that would be made for it alone.

        Nor while prices wait to be conflated: who has just come may know of them already; so may one who resumed from
        a place that has not been reached here.
        """
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is None or subscriber.behind is not None or not cohort.shared or cohort.holds_prices:
            return None
        if cohort.veil is not None:
            # It may know what was no secret before.
            return None
        if subscriber.ahead is not None and cohort.cursor.upto < subscriber.ahead:
            return None
        return cohort.state_of(subscriber.filter).hash()

    def behind_ms(self, subscriber: Subscriber, now: float) -> int | None:
        """Return how much playlist time lies between a subscriber and the newest opened picture, None if unknown."""
        cohort, end = self._cohorts.get(subscriber.cohort), self._edge.end_x
        if cohort is None or end is None:
            return None
        return self._behind_ms(cohort, end, now)

    def _behind_ms(self, cohort: Cohort, end: int, now: float) -> int | None:
        if not isinstance(cohort.clock, LiveClock | VodClock | ReportedClock):
            return 0
        position = cohort.clock.position(now)
        return None if position is None else max(0, end - position) // TICKS_PER_MS

    # Within.

    def _cohort_for(self, subscriber: Subscriber, now: float) -> Cohort:
        vod = self._edge.state is not None and not self._edge.state.live
        if subscriber.mode != "viewer" or not (vod or subscriber.playhead is not None):
            return self._cohorts.share(subscriber.mode, subscriber.conflate_ms, subscriber.dark_in, now)
        clock = subscriber.clock or (VodClock(self._edge, self._path, now) if vod else self._cohorts.live)
        clock.moved(now)
        if subscriber.playhead is not None:
            clock = self._reporters.clock(subscriber, clock)
        return self._cohorts.begin(clock, subscriber.conflate_ms, now, subscriber.dark_in)

    def _move_apart(self, subscriber: Subscriber, clock: Clock, now: float) -> None:
        """Give somebody a cohort of its own; it misses nothing that it is owed where it is."""
        self.fall_behind(subscriber)
        kept = self._cohorts[subscriber.cohort]
        cohort = self._cohorts.found(clock, subscriber.conflate_ms, subscriber.dark_in)
        cohort.begin_at(kept.cursor, now)
        cohort.known = subscriber.known
        self._part(subscriber)
        subscriber.cohort = cohort.number
        self._cohorts.advance(cohort, now)

    def _set_apart(self, subscriber: Subscriber, now: float) -> None:
        """Give a viewer a clock of its own, where it stands: what it took for live turns out to be a VOD."""
        shared = self._cohorts[subscriber.cohort]
        clock = VodClock(self._edge, self._path, now)
        if isinstance(shared.clock, ReportedClock):
            shared.clock.honest = clock
            return
        cohort = self._cohorts.found(clock, subscriber.conflate_ms, subscriber.dark_in)
        cohort.begin_at(shared.cursor, now)
        cohort.known = subscriber.known
        shared.remove(subscriber)
        subscriber.cohort = cohort.number
        if subscriber.behind is None:
            cohort.add(subscriber)

    def _leave_zones(self, zones: ZoneSet) -> None:
        self._inside[zones] -= 1
        if zones and not self._inside[zones]:
            del self._inside[zones]
            self._cohorts.drop_zones(zones)

    def _draw(self, subscriber: Subscriber, cohort: Cohort) -> None:
        """Take note of what has become dark, or light, for somebody: who was let go has come past what was dark."""
        self._judged[subscriber.number] = subscriber
        if cohort.veil is None or (subscriber.behind is None and subscriber not in cohort):
            self._arrears.recall(subscriber, cohort, "blackout")
            self._recalled.append(subscriber)
        if cohort.veil is not None and cohort.veil.redirect is None:
            self._blacked_out[subscriber.number] = subscriber

    def _part(self, subscriber: Subscriber) -> None:
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is None:
            return
        cohort.remove(subscriber)
        if not cohort.shared:
            self._cohorts.drop(cohort)

    def _send_safety(self, entry: Entry, now: float) -> None:
        everybody = tuple(self.subscribers.values())
        if entry.o == self._backlog.through:
            self._cohorts.count_safety(entry)
            for subscriber in everybody:
                # Nothing of the log came since: else it might have come late, is owed to it, and would count as sent.
                if subscriber.behind is not None and subscriber.behind.seen >= self._backlog.head:
                    subscriber.behind = subscriber.behind._replace(o=max(subscriber.behind.o, entry.o))
        edge = self._cohorts.share("edge", 0).cursor
        for format_ in ("json", "msgpack"):
            to = tuple(one for one in everybody if one.format == format_)
            if to:
                self._cohorts.send(Delivery(to, (entry,), edge, edge.upto, format_, safety=True, since=now))

    def _move(self, now: float, *, whole: bool = False, since: float | None = None) -> None:
        """Bring those to their frontier whom a change at `since` may have moved; `whole`: that concerns everybody."""
        self._cohorts.move(now, whole=whole, since=since)
        self._judge(now)

    def _move_shared(self, now: float) -> None:
        if self._cohorts.move_shared(now):
            self._judge(now)

    def _judge_lag(self, subscriber: Subscriber, now: float) -> None:
        """Judge whether a viewer that reports is too far behind to bet; one that is back begins from a snapshot."""
        cohort = self._cohorts[subscriber.cohort]
        clock = cohort.clock
        if not isinstance(clock, ReportedClock) or not self._reporters.judge(subscriber, clock, now):
            return
        self._judged[subscriber.number] = subscriber
        if not clock.lagging and subscriber.behind is None:
            cohort.remove(subscriber)
            self._arrears.recall(subscriber, cohort, "lag", self._cohorts.base_for(cohort, now))
            self._recalled.append(subscriber)

    def _judge(self, now: float) -> None:
        """Decide whether bets may be taken; live viewers who have come back from too far begin from a snapshot."""
        end, is_live = self._edge.end_x, self._edge.state is not None and self._edge.state.live
        viewers = self._cohorts.share("viewer", 0)
        behind_ms = self._behind_ms(viewers, end, now) if end is not None and is_live else None
        if self._wagering.judge(self._edge, behind_ms, now):
            for cohort in self._cohorts.viewers():
                self._call_back(cohort)

    def _call_back(self, cohort: Cohort) -> None:
        for subscriber in cohort.members():
            cohort.remove(subscriber)
            self._arrears.recall(subscriber, cohort, "lag")
            self._recalled.append(subscriber)
