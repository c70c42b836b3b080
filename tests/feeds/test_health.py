from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.health import SourceHealth
from kernel.feed_state import Health

UP, DEGRADED, DOWN, RECOVERING = Health.UP, Health.DEGRADED, Health.DOWN, Health.RECOVERING


def healthy(interval_s: float = 2.0) -> SourceHealth:
    """Return a source that has been up since 4.0 and was heard last then."""
    health = SourceHealth(now=0.0, interval_s=interval_s)
    for now in (2.0, 3.0, 4.0):
        health.heard(now=now)
    return health


def test_without_an_interval_it_is_not_monitored() -> None:
    health = SourceHealth(now=0.0)
    health.heard(now=1.0)
    health.judge(now=1e9)
    assert (health.state, health.next_deadline()) == (Health.UNMONITORED, None)
    assert "interval_s" in health.why


def test_its_own_promise_makes_it_monitored() -> None:
    health = SourceHealth(now=0.0)
    health.promise(2.0, now=100.0)
    assert (health.state, health.since) == (RECOVERING, 100.0)
    assert health.next_deadline() == 104.0


def test_what_the_settings_say_outranks_the_promise() -> None:
    health = SourceHealth(now=0.0, interval_s=5.0)
    health.promise(2.0, now=0.0)
    assert health.interval_s == 5.0


def test_it_is_up_once_it_has_kept_to_its_interval() -> None:
    health = SourceHealth(now=0.0, interval_s=2.0)
    assert health.state is RECOVERING
    health.heard(now=1.0)
    health.heard(now=3.0)
    assert (health.state, health.why) == (RECOVERING, "not heard for long enough yet")
    health.heard(now=4.0)
    assert (health.state, health.since, health.why) == (UP, 4.0, "")


def test_silence_degrades_it_and_takes_it_down_at_the_limits() -> None:
    health = healthy()
    assert health.next_deadline() == 7.0
    health.judge(now=6.999)
    assert health.state is UP
    health.judge(now=7.0)
    assert (health.state, health.since, health.next_deadline()) == (DEGRADED, 7.0, 8.0)
    assert health.why == "silent for longer than 3 s"
    health.judge(now=8.0)
    assert (health.state, health.since, health.next_deadline()) == (DOWN, 8.0, None)
    assert health.why == "silent for longer than 4 s"


def test_degraded_it_needs_no_recovery() -> None:
    health = healthy()
    health.judge(now=7.5)
    health.heard(now=7.5)
    assert health.state is UP


def test_down_it_recovers_first() -> None:
    health = healthy()
    health.heard(now=20.0)
    # What was missed in between is noticed all the same.
    assert (health.state, health.since) == (RECOVERING, 20.0)
    health.heard(now=22.0)
    assert health.state is RECOVERING
    health.heard(now=24.0)
    assert health.state is UP


def test_falling_silent_again_while_it_recovers_is_down_again() -> None:
    health = healthy()
    health.heard(now=20.0)
    health.judge(now=24.0)
    assert health.state is DOWN


@pytest.mark.parametrize(
    ("interval_s", "down_s", "late_at"), [(10.0, 20.0, 15.0), (10.0, 25.0, 15.0), (10.0, 12.0, 12.0)]
)
def test_a_documented_limit_overrides(interval_s: float, down_s: float, late_at: float) -> None:
    health = SourceHealth(now=0.0, interval_s=interval_s, down_after_s=down_s)
    for now in (10.0, 20.0, 30.0):
        health.heard(now=now)
    assert health.state is UP
    assert health.next_deadline() == 30.0 + late_at
    health.judge(now=29.999 + down_s)
    assert health.state is not DOWN
    health.judge(now=30.0 + down_s)
    assert health.state is DOWN


@given(st.lists(st.floats(0.01, 9.0), max_size=40))
def test_it_is_down_exactly_while_it_is_silent(pauses: list[float]) -> None:
    health, now = SourceHealth(now=0.0, interval_s=2.0), 0.0
    for pause in pauses:
        health.judge(now=now + pause - 1e-6)
        assert (health.state is DOWN) == (pause - 1e-6 >= 4.0)
        now += pause
        health.heard(now=now)
        assert health.state is not DOWN
