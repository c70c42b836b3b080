"""Where it is dark, and what those inside are sent: nothing of it before it is over, then what came of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import curtain
from hub.cursor import cursor_text
from hub.curtain import Curtain, Curtains
from hub.playhead import Playhead, Report
from hub.stream import Stream
from hub.subscriber import Subscriber
from kernel.blackouts import Veil, Window, ZoneSet
from kernel.cues import CueType
from kernel.marks import Served
from kernel.timeline import END, MediaTime, SegmentTiming
from tests.hub.makers import SHOWING, at, entry, on_show, opened, state, timing
from tests.hub.test_stream import SETTINGS, Stage

REDIRECT = Veil("r", Window(start_media=at(10), end_media=at(14)), "other", 1.0)
BLOCK = REDIRECT._replace(blackout_id="b", redirect=None)
AT_ONCE = Veil("now", Window(), "other", 1.0)


def known(*msns: int, zones: ZoneSet = (REDIRECT,)) -> tuple[Curtains, Curtain]:
    curtains = Curtains()
    made = curtains.of(zones)
    assert made is not None
    for msn in msns:
        curtains.lay(timing(msn))
    return curtains, made


@pytest.mark.parametrize(
    ("frontier", "veil", "begins", "stop"),
    [
        (at(0), None, None, at(10)),
        (at(10), None, None, at(10)),
        # The first picture of it, and its last; segments are dark as wholes.
        (on_show(10), REDIRECT, at(10), at(14)),
        (at(14), REDIRECT, at(10), at(14)),
        (on_show(14), None, None, None),
        (END, None, None, None),
    ],
)
def test_a_frontier_in_the_dark_and_beside_it(frontier: Any, veil: Any, begins: Any, stop: Any) -> None:
    _, one = known(*range(9))
    assert one.look(frontier) == (veil, begins)
    assert one.stop_behind(frontier) == stop
    # Asked again, from what was kept.
    assert one.look(frontier) == (veil, begins)
    assert one.stop_behind(frontier) == stop


def test_it_goes_on_as_long_as_nothing_light_is_known_behind() -> None:
    curtains, one = known(*range(7))
    assert one.look(at(14)) == (REDIRECT, at(10))
    assert one.stop_behind(at(14)) is None
    assert one.look(END) == (REDIRECT, at(10))
    curtains.lay(timing(7))
    assert one.stop_behind(at(14)) == at(14)
    assert one.look(on_show(14)) == (None, None)


def test_of_several_the_strongest_counts_and_dark_beside_dark_is_one() -> None:
    later = Veil("l", Window(start_media=at(12), end_media=at(18)), "third", 2.0)
    _, one = known(*range(10), zones=(REDIRECT, later))
    assert one.look(at(13)) == (REDIRECT, at(10))
    assert one.look(at(15)) == (later, at(10))
    assert one.stop_behind(at(11)) == at(18)


@given(st.permutations(range(10)), st.integers(0, 40), st.integers(0, 9))
def test_segments_may_become_known_in_any_order(msns: list[int], half_s: int, looks: int) -> None:
    curtains, one = known()
    for number, msn in enumerate(msns):
        curtains.lay(timing(msn))
        curtains.lay(timing(msn))
        if number == looks:
            one.look(at(half_s / 2))
            one.stop_behind(at(half_s / 2))
    _, other = known(*range(10))
    assert one.look(at(half_s / 2)) == other.look(at(half_s / 2))
    assert one.stop_behind(at(half_s / 2)) == other.stop_behind(at(half_s / 2))


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curtain, "MAX_SPANS", 4)
    curtains, one = known(*range(9))
    assert one.look(at(11)) == (REDIRECT, at(10))
    assert one.look(at(9)) == (None, None)
    assert curtains.of(()) is None
    curtains.drop((REDIRECT,))
    assert curtains.of((REDIRECT,)) is not one


class DarkStream(Stream):
    """A stream whose next subscriber is inside of `coming`."""

    coming: ZoneSet = ()

    def join(self, subscriber: Subscriber, now: float, cur: str | None = None) -> str | None:
        subscriber.may_wager, subscriber.inside, subscriber.sessions = True, self.coming, ("j",)
        self.coming = ()
        return super().join(subscriber, now, cur)


class Dark(Stage):
    """A stage with viewers inside of blackouts."""

    def inside(self, *zones: Veil, now: float = 0.0, mode: Any = "viewer", **more: Any) -> Subscriber:
        assert isinstance(self.stream, DarkStream)
        self.stream.coming = zones
        return self.join(now, mode, **more)

    def at(self, now: float) -> list[bool]:
        """Let time go on, as the driver does; return who may bet."""
        deadline = self.stream.next_deadline()
        while deadline is not None and deadline <= now:
            self.stream.timer(deadline)
            self.settle(deadline)
            following = self.stream.next_deadline()
            if following is not None and following <= deadline:
                break
            deadline = following
        self.stream.timer(now)
        self.settle(now)
        return [self.stream.may_wager_of(one) for one in self.stream.subscribers.values()]

    def settle(self, now: float) -> None:
        self.stream.take_judged()
        self.flush()
        for one in self.stream.take_recalled():
            self.catch_up(one, now)

    def told(self, subscriber: Subscriber) -> list[str]:
        return [wire["op"] for wire in self.wires[subscriber.number]]


def dark() -> Dark:
    stage = Dark(stream=DarkStream(SHOWING, SETTINGS))
    stage.stream.set_state(state(), 0)
    for msn in range(4):
        stage.open(msn, 0)
    return stage


def test_cues_stop_where_the_picture_does_and_come_back_with_a_snapshot() -> None:
    stage = dark()
    inside, outside = stage.inside(REDIRECT), stage.inside()
    before = stage.told(inside)
    for o, seconds in enumerate((9.9, 10, 11, 13.9, 14, 15)):
        stage.add(entry(o, at(seconds)))
    # An honest player is six seconds behind what is open: at 10 s when 16 s are, after eight.
    for msn in range(4, 7):
        stage.open(msn, (msn - 3) * 2)
        stage.settle((msn - 3) * 2)
    assert stage.at(7.99) == [True, True]
    assert stage.got[inside.number] == [0]
    stage.open(7, 8.0)
    stage.open(8, 8.0)
    # The picture at 10 s is on show: it is dark now, and that is told.
    assert stage.at(8.0) == [False, True]
    assert stage.got == {inside.number: [0], outside.number: [0, 1]}
    # What comes late for it is dark as well.
    stage.add(entry(6, at(10)), now=8.0)
    assert stage.got == {inside.number: [0], outside.number: [0, 1, 6]}
    stage.open(9, 10.0)
    assert stage.at(11.99) == [False, True]
    assert stage.got[inside.number] == [0]
    assert stage.told(inside) == before
    stage.open(10, 12.0)
    # Light again: not the cues, but what came of them, and then all that follows.
    assert stage.at(12.0) == [True, True]
    assert stage.told(inside)[len(before) :] == ["resync", "snap"]
    snap = stage.wires[inside.number][-1]
    assert stage.wires[inside.number][-2]["why"] == "blackout"
    assert (snap["as_of"]["pts"] - at(14).pts) <= 90_000
    stage.open(11, 14.0)
    stage.at(13.001)
    assert stage.got[inside.number] == [0, 5]
    assert stage.got[outside.number] == [0, 1, 6, 2, 3, 4, 5]


def test_a_block_sends_away_whoever_comes_to_it_and_whoever_comes_in_it() -> None:
    stage = dark()
    inside, outside = stage.inside(BLOCK), stage.inside()
    for msn in range(4, 7):
        stage.open(msn, (msn - 3) * 2)
    stage.at(7.99)
    assert stage.stream.take_blacked_out() == []
    stage.open(7, 8.0)
    stage.at(8.0)
    assert stage.stream.take_blacked_out() == [inside.number]
    assert stage.stream.take_blacked_out() == []
    stage.stream.leave(inside)
    late = stage.inside(BLOCK, now=9.0)
    stage.settle(9.0)
    assert stage.stream.take_blacked_out() == [late.number]
    assert outside.number in stage.stream.subscribers


def test_who_comes_in_the_dark_knows_what_was_before_it() -> None:
    stage = dark()
    for o, seconds in enumerate((3, 9, 11)):
        stage.add(entry(o, at(seconds), id=f"nba:{o}"))
    for msn in range(4, 9):
        stage.open(msn, (msn - 3) * 2)
    one = stage.inside(REDIRECT, now=9.0)
    assert stage.wires[one.number][-1]["as_of"]["pts"] == at(10).pts
    assert stage.at(9.0) == [False]
    assert stage.stream.hash_of(one) is None


def test_a_player_that_leaps_to_the_live_position_over_the_dark_has_been_in_it() -> None:
    stage = dark()
    inside, outside = stage.inside(REDIRECT), stage.inside()
    for o, seconds in enumerate((9, 11, 15)):
        stage.add(entry(o, at(seconds), id=f"nba:{o}"))
    # Nothing opens for a while, then all at once.
    for msn in range(4, 13):
        stage.open(msn, 60.0)
    stage.at(60.0)
    assert stage.told(inside)[-2:] == ["resync", "snap"]
    assert (stage.got[inside.number], stage.got[outside.number]) == ([], [0, 1, 2])


def test_who_comes_out_of_the_dark_into_the_next_goes_on_behind_that() -> None:
    stage = dark()
    again = REDIRECT._replace(blackout_id="r2", window=Window(start_media=at(16), end_media=at(20)))
    one = stage.inside(REDIRECT, again)
    for o, seconds in enumerate((9, 11, 15, 17, 21)):
        stage.add(entry(o, at(seconds), id=f"nba:{o}"))
    for msn in range(4, 13):
        stage.open(msn, 60.0)
    assert stage.at(60.0) == [False]
    assert stage.told(one)[-2:] == ["resync", "snap"]
    for msn in range(13, 17):
        stage.open(msn, 60.0 + (msn - 12) * 2)
        stage.settle(60.0 + (msn - 12) * 2)
    assert stage.at(68.0) == [True]
    assert stage.told(one)[-4:] == ["resync", "snap", "resync", "snap"]
    assert stage.got[one.number] == [4]


def test_prices_of_the_dark_that_wait_to_be_conflated_are_in_the_snapshot() -> None:
    stage = dark()
    one = stage.inside(REDIRECT, conflate_ms=10_000)
    for o, seconds in enumerate((9, 11, 15)):
        body = {"price": {"mid": "m1", "ver": o, "prices": {"o": 2.0}}}
        stage.add(entry(o, at(seconds), id=f"odds:{o}", type=CueType.PRICE, body=body))
    for msn in range(4, 16):
        stage.open(msn, (msn - 3) * 2)
        stage.at((msn - 3) * 2)
    # Prices wait ten seconds for newer ones; the one of the dark does not come behind it.
    assert stage.got[one.number] == [0, 2]
    assert stage.wires[one.number][-1]["state"]["prices"]["m1"][1] == 1


def test_servers_and_desks_see_everything() -> None:
    stage = dark()
    one = stage.inside(AT_ONCE, mode="edge")
    stage.add(entry(0, at(7)))
    assert stage.got[one.number] == [0]
    assert stage.at(0.0) == [True]


def test_a_blackout_that_is_made_and_ended_while_somebody_is_here() -> None:
    stage = dark()
    one = stage.inside()
    stage.add(entry(0, at(1)))
    assert stage.got[one.number] == [0]
    one.inside = (AT_ONCE,)
    stage.stream.change_zones(one, 0.5)
    stage.stream.change_zones(one, 0.5)
    assert stage.at(0.5) == [False]
    stage.add(entry(1, at(0.5)), now=0.6)
    stage.open(4, 2.0)
    stage.at(2.0)
    assert (stage.got[one.number], stage.told(one)) == ([0], ["snap"])
    one.inside = ()
    stage.stream.change_zones(one, 2.5)
    assert stage.at(2.5) == [True]
    assert stage.told(one) == ["snap", "resync", "snap"]
    stage.add(entry(2, at(1)), now=2.6)
    assert stage.got[one.number] == [0, 2]


def test_one_that_is_ended_in_the_middle_goes_on_to_its_end() -> None:
    stage = dark()
    one = stage.inside()
    one.inside = (AT_ONCE,)
    stage.stream.change_zones(one, 0.5)
    assert stage.at(0.5) == [False]
    one.inside = (AT_ONCE._replace(window=Window(end_media=at(12))),)
    stage.stream.change_zones(one, 2.5)
    assert stage.at(2.5) == [False]
    stage.add(entry(0, at(9)), now=2.6)
    for msn in range(4, 8):
        stage.open(msn, (msn - 3) * 2)
        stage.settle((msn - 3) * 2)
    assert stage.at(8.0) == [False]
    assert (stage.got[one.number], stage.told(one)) == ([], ["snap"])
    for msn in range(8, 12):
        stage.open(msn, (msn - 3) * 2)
        stage.settle((msn - 3) * 2)
    assert stage.at(16.0) == [True]
    assert stage.told(one) == ["snap", "resync", "snap"]


def test_one_that_is_announced_changes_nothing_yet() -> None:
    stage = dark()
    one = stage.inside()
    stage.add(entry(0, at(1)))
    later = (REDIRECT,)
    one.inside = later
    stage.stream.change_zones(one, 0.5)
    stage.settle(0.5)
    stage.add(entry(1, at(0.5)), now=0.6)
    assert (stage.got[one.number], stage.told(one)) == ([0, 1], ["snap"])
    assert stage.at(0.6) == [True]
    # The last one takes with it what was kept for them all.
    stage.stream.leave(one)
    other = stage.inside(REDIRECT, now=0.7)
    stage.add(entry(2, at(0.5)), now=0.8)
    assert stage.got[other.number] == [2]


@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_viewer_whose_player_reports(when: str) -> None:
    stage = dark()
    for msn in range(4, 9):
        stage.open(msn, (msn - 3) * 2)
    one = stage.inside(REDIRECT if when == "before" else BLOCK._replace(window=Window(end_media=at(4))), now=9.0)
    one.playhead = Playhead()
    for seconds, now in ((9.5, 10.0), (11.0, 11.5)):
        one.playhead.take(Report(at(seconds).pts, 1.0, timeline=0), now)
        stage.stream.report(one, now)
        stage.catch_up(one, now)
        stage.add(entry(int(now), at(seconds - 0.1)), now=now)
        stage.at(now)
    assert stage.stream.take_blacked_out() == []
    assert stage.got[one.number] == ([10, 11] if when == "behind" else [10])


def segments() -> list[SegmentTiming]:
    return [timing(msn) for msn in range(12)]


@given(st.data())
def test_whatever_happens_nothing_dark_goes_out_before_it_is_over(data: st.DataObject) -> None:
    stage = dark()
    made = Veil("x", Window(start_media=at(data.draw(st.integers(0, 20))), end_media=at(24)), "other", 1.0)
    one = stage.inside(made)
    dark_from = next((each.begins for each in segments() if made.window.covers(each)), None)
    dues: list[MediaTime] = []
    now = 0.0
    for msn in range(4, 11):
        for _ in range(data.draw(st.integers(0, 3))):
            due = at(data.draw(st.integers(0, 23)))
            stage.add(entry(len(dues), due), now=now)
            dues.append(due)
        now += data.draw(st.sampled_from([0.5, 2.0, 3.0]))
        stage.stream.add_timing(timing(msn), now)
        stage.stream.open(opened(msn, now), now)
        stage.flush()
        stage.at(now)
    assert dark_from is not None
    assert all(dues[o] < dark_from for o in stage.got[one.number])


def test_what_is_dark_between_two_frontiers() -> None:
    _, one = known(*range(9))
    assert not one.hides(at(0), at(10))
    assert one.hides(at(0), on_show(10))
    assert one.hides(at(10), at(16))
    assert not one.hides(at(14), at(18))


def reporter(stage: Dark, *zones: Veil) -> Subscriber:
    """Let somebody in whose player has shown nine seconds, and all of whose segments were served."""
    for msn in range(4, 9):
        stage.open(msn, (msn - 3) * 2)
    one = stage.inside(*zones, now=9.0)
    one.playhead = Playhead()
    report(stage, one, Report(at(9.5).pts, 1.0, timeline=0), 10.0)
    return one


def report(stage: Dark, one: Subscriber, what: Report, now: float) -> None:
    assert one.playhead is not None
    one.playhead.take(what, now)
    stage.stream.report(one, now)
    stage.catch_up(one, now)
    stage.settle(now)


def served(stage: Dark, first: int, last: int, now: float) -> None:
    stage.stream.serve(Served("game", "j", first, last), now)
    stage.settle(now)


def test_a_player_that_is_away_is_nowhere_in_the_dark_and_comes_back_by_a_snapshot() -> None:
    stage = dark()
    one = reporter(stage, REDIRECT)
    served(stage, 0, 4, 10.0)
    for number, due in enumerate((at(9.2), at(11.0), at(14.5), at(15.5))):
        stage.add(entry(number, due), now=10.0)
    assert stage.got[one.number] == [0]
    # What it plays instead is not ours: no byte of the showing was served meanwhile.
    report(stage, one, Report(0, 1.0, msn=4, away=True), 10.5)
    assert (stage.at(11.0), stage.got[one.number]) == ([False], [0])
    served(stage, 7, 8, 12.0)
    for msn in (9, 10):
        stage.open(msn, (msn - 3) * 2)
    assert (stage.at(13.0), stage.got[one.number]) == ([False], [0])
    report(stage, one, Report(at(14.6).pts, 1.0, msn=7), 14.0)
    assert stage.told(one)[-2:] == ["resync", "snap"]
    assert stage.at(14.1) == [True]
    assert stage.at(15.2) == [True]
    # What lies in the dark has been told by the snapshot, as has what was due before it.
    assert stage.got[one.number] == [0, 3]


def test_a_player_that_does_not_say_that_it_was_away_is_told_nothing_of_the_dark_either() -> None:
    stage = dark()
    one = reporter(stage, REDIRECT)
    served(stage, 0, 4, 10.0)
    stage.add(entry(0, at(11.0)), now=10.0)
    served(stage, 7, 8, 12.0)
    report(stage, one, Report(at(14.6).pts, 1.0, msn=7), 14.0)
    assert stage.got[one.number] == []
    assert stage.told(one)[-2:] == ["resync", "snap"]


def test_who_comes_back_from_before_the_dark_is_told_nothing_of_it() -> None:
    stage = dark()
    one = stage.inside(REDIRECT, now=6.0)
    stage.add(entry(0, at(1)), now=6.0)
    cursor = stage.stream.cursor_of(one)
    assert cursor is not None
    stage.stream.set_epoch("e1")
    cur = cursor_text("e1", cursor, one.wish)
    stage.stream.leave(one)
    stage.add(entry(1, at(11.0)), now=7.0)
    for msn in range(4, 9):
        stage.open(msn, (msn - 3) * 2)
    stage.at(22.0)
    assert isinstance(stage.stream, DarkStream)
    stage.stream.coming = (REDIRECT,)
    back = stage.join(22.0, "viewer", cur=cur)
    assert stage.why is None
    assert stage.got[back.number] == []
    assert stage.told(back) == ["resync", "snap"]
