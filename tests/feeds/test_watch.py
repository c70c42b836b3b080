from __future__ import annotations

from feeds.skew import Skews
from feeds.vendors.contract import Alive
from feeds.watch import FeedWatch, Turn
from kernel.feed_state import FeedProgress, Health
from kernel.showings import Showing, Source

SHOWING = Showing("game", "folder", (Source("desk", "lockstep", interval_s=2.0), Source("odds", "lockstep")))
T0 = 1_800_000_000.0


def test_it_says_who_fell_and_who_rose_once() -> None:
    watch = FeedWatch(SHOWING, Skews(), now=0.0)
    assert watch.next_deadline() == 4.0
    assert watch.look(now=3.9) == Turn([], [])
    assert watch.look(now=4.0) == Turn(["desk"], [])
    assert watch.look(now=5.0) == Turn([], [])
    watch.heard("desk", None, now=6.0)
    assert watch.look(now=6.0) == Turn([], ["desk"])
    assert watch.look(now=6.0) == Turn([], [])
    assert [state.state for state in watch.states()] == [Health.RECOVERING, Health.UNMONITORED]


def test_a_sign_of_life_says_how_far_its_data_is_complete() -> None:
    watch = FeedWatch(SHOWING, Skews(), now=0.0)
    watch.heard("odds", Alive(2.0, T0), now=1.0)
    assert watch.progress == {"odds": FeedProgress("odds", T0)}
    watch.heard("odds", Alive(2.0, T0 - 5), now=2.0)
    assert watch.progress["odds"].complete_to == T0
    watch.heard("stranger", Alive(2.0, T0), now=2.0)
    assert list(watch.progress) == ["odds"]


def test_why_names_the_clock_too() -> None:
    skews = Skews()
    watch = FeedWatch(SHOWING, skews, now=0.0)
    skews.absurd("desk", 86_400.0 * 30)
    watch.look(now=4.0)
    desk = watch.states()[0]
    assert desk.why == "silent for longer than 4 s; clock off by +30 days: its times are not used"
    assert desk.since == 4.0


def test_a_restart_forgets_neither_promises_nor_falls() -> None:
    first = FeedWatch(SHOWING, Skews(), now=0.0)
    first.heard("odds", Alive(3.0, None), now=1.0)
    later = FeedWatch(SHOWING, Skews(), now=100.0)
    later.restore({**first.kept(), "other": 1}, down=["odds", "gone"], now=100.0)
    # It was down already: that is no news, and its suspend is out.
    assert later.look(now=200.0) == Turn(["desk"], [])
    later.heard("odds", None, now=201.0)
    assert later.look(now=201.0) == Turn([], ["odds"])
