from __future__ import annotations

import pytest

import lockstep.allowances
from lockstep.allowances import AddressLimits, Allowances, Over

LIMITS = AddressLimits(
    max_connections=3,
    max_half_open=2,
    requests_per_s=10.0,
    request_burst=5,
    refused_tokens_per_s=0.5,
    refused_token_burst=2,
)


def test_connections_are_counted_until_they_leave() -> None:
    allowances = Allowances(LIMITS)
    for _ in range(3):
        assert allowances.enter("a", half_open=False, now=0.0) is None
    assert allowances.enter("a", half_open=False, now=0.0) == Over("connections", 1)
    assert allowances.enter("b", half_open=False, now=0.0) is None
    assert (allowances.connections, allowances.half_open) == (5, 0)
    for _ in range(2):
        allowances.leave("a", half_open=False)
    assert allowances.enter("a", half_open=False, now=0.0) is None
    assert allowances.refused["connections"] == 1


def test_half_open_connections_have_a_limit_of_their_own() -> None:
    allowances = Allowances(LIMITS)
    assert allowances.enter("a", half_open=True, now=0.0) is None
    assert allowances.enter("a", half_open=True, now=0.0) is None
    over = allowances.enter("a", half_open=True, now=0.0)
    assert over is not None
    assert over.why == "half_open"
    allowances.leave("a", half_open=True)
    allowances.asked("a")
    assert (allowances.connections, allowances.half_open) == (2, 1)
    assert allowances.enter("a", half_open=True, now=0.0) is None


def test_requests_draw_from_a_bucket() -> None:
    allowances = Allowances(LIMITS)
    assert [allowances.request("a", 0.0) for _ in range(5)] == [None] * 5
    assert allowances.request("a", 0.0) == Over("requests", 1)
    assert allowances.request("a", 0.1) is None
    assert allowances.request("a", 0.1) is not None
    assert allowances.request("b", 0.1) is None
    # It never holds more than the burst.
    assert [allowances.request("a", 1_000.0) is None for _ in range(6)] == [True] * 5 + [False]


def test_refused_tokens_have_one_too_and_say_when_to_come_back() -> None:
    allowances = Allowances(LIMITS)
    assert allowances.exhausted("a", 0.0) is None
    assert allowances.guess("a", 0.0) is None
    assert allowances.guess("a", 0.0) is None
    assert allowances.guess("a", 0.0) == Over("refused_tokens", 2)
    assert allowances.exhausted("a", 1.0) is not None
    assert allowances.exhausted("a", 2.0) is None
    assert allowances.request("a", 0.0) is None


def test_the_log_hears_of_an_address_now_and_then() -> None:
    allowances = Allowances(LIMITS)
    assert [allowances.is_news("a", at) for at in (0.0, 5.0, 9.9, 10.0, 11.0)] == [True, False, False, True, False]
    assert allowances.is_news("b", 11.0)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    allowances = Allowances(LIMITS)
    for _ in range(5):
        allowances.request("a", 5.0)
    assert allowances.request("a", 4.0) is not None


def test_who_has_rested_is_forgotten() -> None:
    allowances = Allowances(LIMITS)
    allowances.request("a", 0.0)
    allowances.request("b", 0.05)
    assert len(allowances) == 2
    allowances.request("c", 0.2)
    assert len(allowances) == 1


def test_memory_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep.allowances, "MAX_ADDRESSES", 10)
    allowances = Allowances(LIMITS)
    allowances.enter("stays", half_open=True, now=0.0)
    for number in range(1_000):
        allowances.request(f"a{number}", 0.0)
    assert len(allowances) == 11
    # The newest are remembered: a flood of addresses does not give one of them a fresh bucket at once.
    assert [allowances.request("a999", 0.0) for _ in range(5)][-1] is not None
    allowances.leave("stays", half_open=True)
    assert len(allowances) == 10
    assert (allowances.connections, allowances.half_open) == (0, 0)
