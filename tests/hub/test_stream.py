"""The one rule, told by examples and then by random schedules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cursor import NOTHING_SENT, Cursor, cursor_text
from hub.settings import HubSettings
from hub.snapshot import Batch, Message
from hub.stream import Stream
from hub.subscriber import EVERYTHING, Filter, Phase, Subscriber, wish_mark
from kernel.cues import CueType, Entry
from kernel.timeline import BEGINNING, MediaTime
from tests.hub.makers import SHOWING, at, entry, opened, state, timing

SETTINGS = HubSettings()


@dataclass
class Stage:
    """A stream, and what each of its subscribers has been sent."""

    stream: Stream = field(default_factory=lambda: Stream(SHOWING, SETTINGS))
    got: dict[int, list[int]] = field(default_factory=dict)
    flushes: dict[int, list[list[int]]] = field(default_factory=dict)
    wires: dict[int, list[Any]] = field(default_factory=dict)
    why: str | None = None

    def join(
        self,
        now: float = 0.0,
        mode: Any = "edge",
        types: set[CueType] | None = None,
        *,
        cur: str | None = None,
        conflate_ms: int = 0,
        caught_up: bool = True,
        **more: Any,
    ) -> Subscriber:
        subscriber = Subscriber(len(self.got), "game", SETTINGS, now)
        subscriber.mode, subscriber.phase = mode, Phase.SUBSCRIBED
        subscriber.filter = Filter(frozenset(types) if types else None, frozenset(), **more)
        subscriber.conflate_ms = conflate_ms
        self.got[subscriber.number], self.flushes[subscriber.number] = [], []
        self.wires[subscriber.number] = []
        self.why = self.stream.join(subscriber, now, cur)
        self.flush()
        if caught_up:
            self.catch_up(subscriber, now)
        return subscriber

    def open(self, msn: int, now: float, *, marked: bool = True) -> None:
        if marked:
            self.stream.add_timing(timing(msn), now)
        self.stream.open(opened(msn, now, marked=marked), now)
        self.flush()

    def add(self, what: Entry, now: float = 0.0) -> None:
        self.stream.add_entry(what, now)
        self.flush()

    def flush(self) -> None:
        for delivery in self.stream.take_deliveries():
            for subscriber in delivery.to:
                self.got[subscriber.number] += [one.o for one in delivery.entries]
                self.flushes[subscriber.number].append([one.o for one in delivery.entries])

    def catch_up(self, subscriber: Subscriber, now: float) -> None:
        while (one := self.stream.next_owed(subscriber, now)) is not None:
            if isinstance(one, Message):
                self.wires[subscriber.number].append(one.map)
            else:
                self.got[subscriber.number] += [each.o for each in one.entries]
        self.flush()
        for recalled in self.stream.take_recalled():
            self.catch_up(recalled, now)


def live() -> Stage:
    stage = Stage()
    stage.stream.set_state(state(), 0)
    return stage


def test_an_entry_waits_for_its_picture_and_goes_with_it() -> None:
    stage = live()
    one = stage.join()
    stage.add(entry(0, at(2)))
    stage.add(entry(1, at(1.9)))
    stage.open(0, 1)
    assert stage.got[one.number] == [1]
    stage.open(1, 3)
    assert stage.got[one.number] == [1, 0]


def test_all_at_one_instant_is_seen_in_the_order_in_which_it_comes() -> None:
    """Who comes, what is sealed, what opens, and who comes then, without time going on."""
    stage = live()
    stage.open(0, 5)
    stage.add(entry(0, at(1)), 5)
    stage.join(5)
    stage.add(entry(1, at(3)), 5)
    stage.join(5)
    stage.open(1, 5)
    stage.add(entry(2, at(3)), 5)
    stage.join(5)
    stage.stream.set_state(state(ended=True, last=1), 5)
    stage.add(entry(3, at(9)), 5)
    # Joiners were told the rest in their snapshots.
    assert stage.got == {0: [1, 2, 3], 1: [1, 2, 3], 2: [3]}


def test_late_entries_go_at_once() -> None:
    stage = live()
    one = stage.join()
    stage.open(0, 0)
    stage.add(entry(0, at(1)), 1)
    stage.add(entry(0, at(1)), 1)
    assert stage.got[one.number] == [0]


def test_safety_does_not_count_as_sent_what_came_late_for_who_is_behind() -> None:
    stage = live()
    stage.open(0, 0)
    one = stage.join(0)
    stage.stream.fall_behind(one)
    stage.add(entry(0, at(1)), 1)
    stage.add(entry(1, None, type=CueType.SUSPEND), 1)
    cursor = stage.stream.cursor_of(one)
    assert cursor is not None
    assert cursor.o < 0
    stage.catch_up(one, 1)
    assert stage.got[one.number] == [1, 0]
    cursor = stage.stream.cursor_of(one)
    assert cursor is not None
    assert cursor.o == 1


def test_due_together_only_the_newest_revision() -> None:
    stage = live()
    one = stage.join()
    stage.add(entry(0, at(1), id="nba:a"))
    stage.add(entry(1, at(0.5), id="nba:b"))
    stage.add(entry(2, at(1), id="nba:a", rev=2))
    stage.open(0, 0)
    assert stage.flushes[one.number] == [[1, 2]]
    stage.add(entry(3, at(1), id="nba:a", rev=3))
    assert stage.got[one.number] == [1, 2, 3]


def test_a_joiner_starts_at_its_frontier() -> None:
    stage = live()
    stage.add(entry(0, at(1)))
    stage.add(entry(1, at(3)))
    stage.open(0, 0)
    one = stage.join()
    assert stage.stream.cursor_of(one) == (0, at(2), 1)
    stage.add(entry(2, at(1)))
    stage.open(1, 2)
    assert stage.got[one.number] == [2, 1]


def test_safety_goes_at_once_to_all_and_is_never_owed() -> None:
    stage = live()
    one, other = stage.join(types={CueType.SCORE}), stage.join(mode="viewer")
    stage.stream.fall_behind(other)
    stage.add(entry(0, None, type=CueType.SUSPEND))
    assert stage.got == {one.number: [0], other.number: [0]}
    cursor = stage.stream.cursor_of(other)
    assert cursor is not None
    assert cursor.o == 0
    stage.catch_up(other, 0)
    assert stage.got[other.number] == [0]
    assert stage.stream.cursor_of(other) == (0, BEGINNING, -1)


def test_filters_hide_types_and_share_a_flush() -> None:
    stage = live()
    plays, scores = stage.join(types={CueType.PLAY}), stage.join(types={CueType.SCORE})
    stage.add(entry(0, at(1), type=CueType.SCORE))
    stage.add(entry(1, at(1), type=CueType.PLAY))
    stage.open(0, 0)
    assert stage.got == {plays.number: [1], scores.number: [0]}


def test_viewers_share_one_deadline_to_the_frame() -> None:
    stage = live()
    for msn in range(6):
        stage.open(msn, 0)
    one, other = stage.join(mode="viewer"), stage.join(mode="viewer")
    assert stage.stream.behind_ms(one, 0) == 6_000
    stage.add(entry(0, at(7)))
    stage.add(entry(1, at(6.5)))
    # The stall comes first only if nothing is due before it.
    assert stage.stream.next_deadline() == 0.5
    stage.stream.timer(0.5)
    stage.flush()
    assert stage.got == {one.number: [1], other.number: [1]}
    assert stage.stream.next_deadline() == 1
    stage.stream.leave(one)
    stage.stream.leave(other)
    stage.stream.leave(other)
    assert stage.stream.behind_ms(other, 0) is None


def test_a_vod_viewer_gets_everything_in_time() -> None:
    stage = Stage()
    stage.add(entry(0, at(0.5)))
    early = stage.join(now=0, mode="viewer")
    stage.stream.set_state(state(live=False, ended=True, last=1), 1)
    stage.open(0, 1)
    stage.open(1, 1)
    stage.add(entry(1, at(3)), 1)
    stage.stream.timer(1.5)
    stage.stream.timer(10)
    stage.flush()
    late = stage.join(now=10, mode="viewer")
    assert stage.got == {early.number: [0, 1], late.number: []}
    assert stage.stream.next_deadline() == 10.5
    stage.stream.timer(13)
    stage.flush()
    assert stage.got[late.number] == [0, 1]
    stage.stream.leave(late)
    assert stage.stream.cursor_of(late) is None


def test_who_resumes_a_recording_is_not_sent_again_what_it_had() -> None:
    """It plays from the first segment again; its cursor lies further on, and stays there."""
    stage = Stage()
    stage.stream.set_epoch("e")
    stage.stream.set_state(state(live=False, ended=True, last=1), 0)
    stage.open(0, 0)
    stage.open(1, 0)
    for o, when_s in enumerate([0.5, 1.5, 2.5]):
        stage.add(entry(o, at(when_s)), 0)
    one = stage.join(now=0, mode="viewer")
    stage.stream.timer(2)
    stage.flush()
    had = stage.stream.cursor_of(one)
    assert had is not None
    assert stage.got[one.number] == [0, 1]
    stage.stream.leave(one)
    stage.add(entry(3, at(1.0)), 2)
    again = stage.join(now=2, mode="viewer", cur=cursor_text("e", had, one.wish))
    assert stage.stream.cursor_of(again) == had._replace(seen=had.o)
    stage.stream.timer(3.2)
    stage.flush()
    assert stage.got[again.number] == [3]
    assert stage.stream.cursor_of(again) == had._replace(seen=had.o)
    stage.stream.timer(5)
    stage.flush()
    assert stage.got[again.number] == [3, 2]
    told = stage.stream.cursor_of(again)
    assert told is not None
    assert told.upto > had.upto


def test_who_comes_back_before_the_first_opening_is_not_sent_again_what_it_had() -> None:
    """A new process has the log, and has yet to hear what is out; the client may know it from a snapshot only."""
    stage = live()
    stage.stream.set_epoch("e")
    for o, when_s in enumerate([0.5, 2.5, 3.5]):
        stage.add(entry(o, at(when_s), id="nba:a", rev=o + 1))
    wish, had = wish_mark("viewer", EVERYTHING), Cursor(1, at(3), 1)
    again = stage.join(mode="viewer", cur=cursor_text("e", had, wish))
    stage.join(mode="viewer", cur=cursor_text("e", NOTHING_SENT, wish))
    for msn in range(4):
        stage.open(msn, 0)
    # They may have had all that was out where they were before: what is opened first.
    assert [one.ahead for one in stage.stream.subscribers.values()] == [at(3), at(2)]
    stage.add(entry(3, at(1)))
    assert stage.got == {0: [3], 1: [0, 3]}
    stage.stream.fall_behind(again)
    stage.catch_up(again, 0.4)
    stage.stream.timer(0.6)
    stage.stream.fall_behind(again)
    stage.catch_up(again, 0.7)
    assert stage.got == {0: [3], 1: [0, 3, 1]}
    assert stage.stream.cursor_of(again) == had
    stage.stream.timer(1.6)
    stage.flush()
    assert stage.got == {0: [3, 2], 1: [0, 3, 1, 2]}
    assert len({stage.stream.cursor_of(one) for one in stage.stream.subscribers.values()}) == 1


def test_a_late_price_that_waits_takes_no_cursor_back() -> None:
    """Neither to where it is due nor, after a resume, to the cursor that was brought: that was told long ago."""
    stage = live()
    stage.stream.set_epoch("e")
    stage.add(entry(0, at(1)))
    stage.open(0, 0)
    brought = stage.stream.cursor_of(stage.join(conflate_ms=1_000))
    assert brought == (0, at(2), 0)
    fresh = stage.join(conflate_ms=1_000)
    again = stage.join(cur=cursor_text("e", brought, wish_mark("edge", fresh.filter)), conflate_ms=1_000)
    assert stage.why is None
    stage.open(1, 2)
    told = (0, at(4), 0)
    assert [stage.stream.cursor_of(one) for one in (fresh, again)] == [told, told]
    # It knows this one from its snapshot.
    newest = stage.join(now=2, conflate_ms=1_000)
    stage.add(entry(1, at(1), type=CueType.PRICE, body={"price": {"mid": "m", "ver": 1}}), 2)
    stage.add(entry(2, at(1), type=CueType.PRICE, body={"price": {"mid": "m", "ver": 2}}), 2.5)
    assert [stage.stream.cursor_of(one) for one in (fresh, again, newest)] == [told, told, told]
    stage.stream.timer(4)
    stage.flush()
    assert stage.got[again.number][-1] == 2
    assert [stage.stream.cursor_of(one) for one in (fresh, again)] == [(2, at(4), 2)] * 2


@pytest.mark.parametrize("safety_first", [True, False])
def test_who_has_had_the_last_safety_goes_on_after_a_restart(*, safety_first: bool) -> None:
    """Nothing of the new process's log is as new: no cohort counts that safety, and nothing else may ever come."""
    stage = live()
    stage.stream.set_epoch("e")
    safety, fact = entry(1, None), entry(0, at(1))
    for one in (safety, fact) if safety_first else (fact, safety):
        stage.add(one)
    stage.open(0, 0)
    told = Cursor(1, at(1), 1)
    again = stage.join(cur=cursor_text("e", told, wish_mark("edge", stage.join().filter)))
    assert stage.why is None
    stage.catch_up(again, 0)
    stage.open(1, 2)
    assert stage.stream.cursor_of(again) == (1, at(4), 0)


def test_what_waits_is_due_at_the_end() -> None:
    stage = live()
    one = stage.join()
    stage.add(entry(0, at(99)))
    stage.open(0, 0)
    stage.stream.set_state(state(ended=True, last=0), 0)
    stage.flush()
    assert stage.got[one.number] == [0]


def test_who_fell_behind_catches_up_in_order() -> None:
    stage = live()
    one = stage.join()
    stage.open(0, 0)
    stage.stream.fall_behind(one)
    stage.stream.fall_behind(one)
    stage.add(entry(0, at(3)))
    stage.add(entry(1, at(1)))
    stage.open(1, 2)
    assert stage.got[one.number] == []
    before = stage.stream.cursor_of(one)
    first = stage.stream.next_owed(one, 2)
    assert isinstance(first, Batch)
    assert [each.o for each in first.entries] == [1, 0]
    # Half sent is not sent: a resume from here repeats, it does not lose.
    assert stage.stream.cursor_of(one) == before
    stage.add(entry(2, at(0.5)))
    stage.catch_up(one, 2)
    assert stage.got[one.number] == [2]
    assert one.behind is None
    stage.add(entry(3, at(0.5)))
    assert stage.got[one.number] == [2, 3]
    assert stage.stream.next_owed(one, 2) is None


def test_no_bets_while_lost_or_stalled() -> None:
    stage = live()
    assert (stage.stream.may_wager, stage.stream.sync) == (False, "waiting")
    stage.open(0, 0)
    assert stage.stream.may_wager
    assert stage.stream.next_deadline() == 4
    stage.stream.timer(4)
    assert not stage.stream.may_wager
    assert stage.stream.next_deadline() is None
    stage.open(1, 9)
    assert stage.stream.may_wager
    stage.open(2, 10, marked=False)
    assert (stage.stream.may_wager, stage.stream.sync) == (False, "lost")


def test_a_new_epoch_begins_a_new_log() -> None:
    stage = live()
    assert not stage.stream.set_epoch("a")
    stage.add(entry(7, at(1)))
    stage.open(0, 0)
    assert not stage.stream.set_epoch("a")
    assert stage.stream.set_epoch("b")
    one = stage.join()
    stage.add(entry(0, at(1)))
    assert stage.got[one.number] == [0]


def test_parts_change_nothing_here() -> None:
    stage = live()
    from dataclasses import replace

    stage.stream.add_timing(replace(timing(0), part=0), 0)
    stage.stream.open(opened(0, 0), 0)
    one = stage.join(mode="viewer")
    assert stage.stream.behind_ms(one, 0) is None


Step = tuple[str, int, float]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("entry"), st.integers(0, 40), st.just(0.0)),
        st.tuples(st.just("amend"), st.integers(0, 40), st.just(0.0)),
        st.tuples(st.just("safety"), st.just(0), st.just(0.0)),
        st.tuples(st.just("open"), st.integers(0, 2), st.just(0.0)),
        st.tuples(st.just("lost"), st.just(0), st.just(0.0)),
        st.tuples(st.just("join"), st.integers(0, 2), st.just(0.0)),
        st.tuples(st.just("pause"), st.integers(0, 5), st.just(0.0)),
        st.tuples(st.just("resume"), st.integers(0, 5), st.just(0.0)),
        st.tuples(st.just("wait"), st.just(0), st.floats(0, 6)),
    ),
    max_size=60,
)


class Play:
    """Play a random schedule against an oracle that looks at every entry for every subscriber."""

    def __init__(self) -> None:
        self.stage = live()
        self.now = 0.0
        self.msn = -1
        self.entries: dict[int, Entry] = {}
        self.members: list[Subscriber] = []
        self.floor: dict[int, tuple[int, MediaTime]] = {}
        self.paused: set[int] = set()

    def run(self, steps: list[Step]) -> None:
        for what, number, seconds in steps:
            getattr(self, what)(number, seconds)
            self.check_nothing_early()
        for index in range(len(self.members)):
            self.resume(index, 0)
        self.check_each_once()

    def entry(self, number: int, _: float, **more: Any) -> None:
        o = len(self.entries)
        # Its own id unless told otherwise: two entries never share both id and revision.
        more.setdefault("id", f"desk:{o}")
        self.entries[o] = entry(o, at(number / 2), type=CueType.SCORE if o % 3 else CueType.PLAY, **more)
        self.stage.add(self.entries[o], self.now)

    def amend(self, number: int, _: float) -> None:
        target = f"nba:{number % 3}"
        rev = sum(one.cue.id == target for one in self.entries.values()) + 1
        self.entry(number, 0, id=target, rev=rev)

    def safety(self, number: int, _: float) -> None:
        o = len(self.entries)
        self.entries[o] = entry(o, None)
        self.stage.add(self.entries[o], self.now)

    def open(self, number: int, _: float) -> None:
        for _each in range(number + 1):
            self.msn += 1
            self.stage.open(self.msn, self.now)

    def lost(self, number: int, _: float) -> None:
        self.msn += 1
        self.stage.open(self.msn, self.now, marked=False)

    def join(self, number: int, _: float) -> None:
        mode = "viewer" if number else "edge"
        member = self.stage.join(self.now, mode, {CueType.SCORE} if number == 2 else None)
        self.members.append(member)
        self.floor[member.number] = (len(self.entries) - 1, self.frontier(member))

    def pause(self, index: int, _: float) -> None:
        if index < len(self.members):
            self.stage.stream.fall_behind(self.members[index])
            self.paused.add(index)

    def resume(self, index: int, _: float) -> None:
        if index in self.paused:
            self.paused.discard(index)
            self.stage.catch_up(self.members[index], self.now)

    def wait(self, _: int, seconds: float) -> None:
        until = self.now + seconds
        for _each in range(10_000):
            at_ = self.stage.stream.next_deadline()
            if at_ is None or at_ > until:
                break
            self.now = max(self.now, at_)
            self.stage.stream.timer(self.now)
            self.stage.flush()
        else:
            raise AssertionError("a deadline came again and again")
        self.now = until

    def frontier(self, member: Subscriber) -> MediaTime:
        return self.stage.stream._cohorts[member.cohort].clock.frontier(self.now)

    def check_nothing_early(self) -> None:
        for member in self.members:
            frontier = self.frontier(member)
            for o in self.stage.got[member.number]:
                due = self.entries[o].due
                assert due is None or due < frontier

    def check_each_once(self) -> None:
        self.stage.stream.timer(self.now)
        for member in self.members:
            self.stage.stream._cohorts.advance(self.stage.stream._cohorts[member.cohort], self.now)
        self.stage.flush()
        for member in self.members:
            head, floor = self.floor[member.number]
            got = self.stage.got[member.number]
            assert len(got) == len(set(got))
            frontier = self.frontier(member)
            for o, one in self.entries.items():
                history = o <= head and (one.due is None or one.due < floor)
                owed = not history and (one.due is None or one.due < frontier) and member.filter.passes(one)
                if not owed:
                    assert o not in got
                elif o not in got:
                    # Only a newer revision that was due by then can have taken its place.
                    assert any(
                        other.cue.id == one.cue.id and other.cue.rev > one.cue.rev and (other.due or at(0)) < frontier
                        for other in self.entries.values()
                    )


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_nothing_early_and_each_exactly_once(steps: list[Step]) -> None:
    Play().run(steps)
