from __future__ import annotations

import pytest

from relay import running
from relay.running import GENERATION_S, RunningSessions


def test_a_session_runs_for_a_while_after_its_last_request() -> None:
    sessions = RunningSessions()
    assert "a" not in sessions
    sessions.note("a", 0)
    sessions.note("b", GENERATION_S - 1)
    assert "a" in sessions
    sessions.note("b", GENERATION_S)
    assert "a" in sessions
    sessions.note("b", 2 * GENERATION_S)
    assert "a" not in sessions
    assert "b" in sessions


def test_without_requests_nothing_is_forgotten() -> None:
    # Cut off from the bus nobody is noted: who ran then runs on for as long as the gate allows.
    sessions = RunningSessions()
    sessions.note("a", 0)
    assert "a" in sessions


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_SESSIONS", 10)
    sessions = RunningSessions()
    for number in range(100):
        sessions.note(str(number), 0)
    kept = [number for number in range(100) if str(number) in sessions]
    assert 10 <= len(kept) <= 20
    assert kept[-1] == 99
