from __future__ import annotations

import pytest

from relay.leaks.pacing import RATE, Pace


def test_pieces_go_out_as_fast_as_a_player_needs_them() -> None:
    pace = Pace()
    assert pace.wait_s(2.0, now=10.0) == 0.0
    assert pace.backlog_s(now=10.0) == pytest.approx(2.0 / RATE)
    assert pace.wait_s(2.0, now=10.0) == pytest.approx(2.0 / RATE)
    assert pace.wait_s(2.0, now=11.0) == pytest.approx(4.0 / RATE - 1.0)


def test_who_waited_long_enough_waits_no_more_and_saves_nothing() -> None:
    pace = Pace()
    pace.wait_s(2.0, now=10.0)
    assert pace.backlog_s(now=100.0) == 0.0
    assert pace.wait_s(2.0, now=100.0) == 0.0
    assert pace.wait_s(2.0, now=100.0) == pytest.approx(2.0 / RATE)
