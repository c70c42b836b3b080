from __future__ import annotations

import pytest

from relay.leaks.record import Record
from relay.leaks.signals import AHEAD_S, MAX_AHEAD_S, PLAY_RATE, is_plain, parts_of, score_of

NOW = 1_000.0


def record(**known: float) -> Record:
    made = Record("s", 7, "v0", 10, NOW)
    for name, value in known.items():
        setattr(made, name, value)
    return made


def weights(one: Record, *, bps: float = 8e6, median: int | None = None) -> dict[str, float]:
    return {part.signal: round(part.weight, 2) for part in parts_of(one, now=NOW, bps=bps, median=median)}


def ahead(seconds: float) -> Record:
    return record(until=NOW + seconds / PLAY_RATE)


def test_an_ordinary_viewer_weighs_nothing() -> None:
    one = record(n_new=9)
    assert weights(one, median=5) == {}
    assert score_of([]) == 0.0
    assert is_plain(one, NOW, 8e6)


@pytest.mark.parametrize(
    ("seconds", "bps", "weight"),
    [(0.8 * AHEAD_S, 8e6, 0.0), (AHEAD_S, 8e6, 1.0), (AHEAD_S, 1e6, 0.0), (640.0, 1e6, 1.0), (MAX_AHEAD_S, 0.0, 1.0)],
)
def test_speed_is_judged_by_what_players_of_that_bit_rate_load(seconds: float, bps: float, weight: float) -> None:
    one = ahead(seconds)
    assert weights(one, bps=bps).get("speed", 0.0) == pytest.approx(weight, abs=1e-6)
    assert is_plain(one, NOW, bps) == (weight == 0.0)


def test_renditions_weigh_by_pairs_that_cross_over() -> None:
    assert weights(record(n_new=6, n_pairs=6, n_crossings=3)) == {"renditions": 0.9}
    assert weights(record(n_new=6, n_pairs=6)) == {}
    assert weights(record(n_new=12, n_pairs=6, n_crossings=3)) == {}
    assert weights(record(n_new=3, n_pairs=3, n_crossings=3)) == {}


def test_repeats_weigh_beyond_what_two_players_do() -> None:
    assert weights(record(n_new=8, n_repeats=8)) == {}
    assert weights(record(n_new=5, n_repeats=8)) == {"repeats": 0.9}
    assert weights(record(n_new=1, n_repeats=4)) == {}


def test_the_rate_alone_is_no_proof() -> None:
    assert weights(record(n_new=200), median=5) == {"rate": 0.5}
    assert weights(record(n_new=200), median=None) == {}
    assert weights(record(n_new=20), median=0) == {}


def test_a_case_weighs_networks_pages_and_jumps() -> None:
    one = record(n_new=9)
    case = one.begin_case()
    case.networks = dict.fromkeys(range(7), NOW)
    case.foreign, case.page, case.jumps = 5, "free.example", 17
    assert weights(one) == {"networks": 1.0, "referer": 0.9, "jumps": 0.8}
    words = " ".join(part.words for part in parts_of(one, now=NOW, bps=8e6, median=None))
    for word in ("7 networks", "free.example", "out of order"):
        assert word in words
    assert not is_plain(one, NOW, 8e6)


def test_parts_take_shares_of_the_doubt() -> None:
    one = record(n_new=5, n_repeats=8, n_pairs=5, n_crossings=2)
    parts = parts_of(one, now=NOW, bps=8e6, median=None)
    assert [part.weight for part in parts] == sorted((part.weight for part in parts), reverse=True)
    assert score_of(parts) == pytest.approx(1 - (1 - 0.9) * (1 - 0.6))
