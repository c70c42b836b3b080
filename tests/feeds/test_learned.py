from __future__ import annotations

import json
from typing import Any

import pytest

from feeds.dates_fit import DatesPrior
from feeds.learned import Drift, Lag, Learned


@pytest.mark.parametrize(
    "learned",
    [
        Learned(),
        Learned(DatesPrior(None, 1e-6, 1e-12, 0.003), Lag(1.2, 1e-6, 1e-4), Drift(5e-5, 5e-6), 0.25),
    ],
)
def test_it_survives_json(learned: Learned) -> None:
    assert Learned.from_json(json.loads(json.dumps(learned.as_json()))) == learned


@pytest.mark.parametrize(
    "change",
    [{"rate": [1.0]}, {"rate": None}, {"lag": [1.0]}, {"drift": "x"}, {"jitter_var": "x"}, {"wrong_s": None}],
)
def test_something_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Learned.from_json({**Learned().as_json(), **change})
    with pytest.raises(KeyError):
        Learned.from_json({})
