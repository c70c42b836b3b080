from __future__ import annotations

from bench._pace import PYJWT_US, figure_us
from bench._results import rows_of


def test_a_figure_grows_with_how_slow_the_machine_is() -> None:
    assert figure_us(8.0, 8.1, PYJWT_US) == {"figure": "<= 8 us", "met": False, "pyjwt_us": 42.0}
    assert figure_us(8.0, 15.9, 2 * PYJWT_US)["met"] is True
    assert figure_us(8.0, 16.1, 2 * PYJWT_US)["met"] is False


def test_on_a_faster_machine_it_stays_what_it_is() -> None:
    told = figure_us(8.0, 7.9, PYJWT_US / 2)
    assert (told["figure"], told["met"]) == ("<= 8 us", True)
    assert figure_us(8.0, 8.1, PYJWT_US / 2)["met"] is False


def test_what_it_is_judged_by_is_said_with_it() -> None:
    told = figure_us(8.0, 12.0, 2 * PYJWT_US)
    assert told["figure"] == "<= 16 us (8 where PyJWT takes 42; here 84)"
    (row,) = rows_of("place", {"what": "a place", "ours": 12.0, "unit": "us", **told})
    assert row.used == 0.75
