from __future__ import annotations

import pytest

from kernel.errors import SettingsError
from relay.leaks.model import Finding, LeakLimits, Level, Part


@pytest.mark.parametrize(
    ("score", "level"),
    [(0.0, Level.NONE), (0.59, Level.NONE), (0.6, Level.WARN), (0.8, Level.THROTTLE), (0.95, Level.REVOKE)],
)
def test_a_score_has_a_level(score: float, level: Level) -> None:
    assert LeakLimits(most=Level.REVOKE).level(score) is level
    assert LeakLimits(most=Level.WARN).level(score) is min(level, Level.WARN)


def test_a_level_falls_well_below_its_threshold() -> None:
    limits = LeakLimits(most=Level.REVOKE)
    assert limits.falls_to(Level.REVOKE, 0.76) is Level.REVOKE
    assert limits.falls_to(Level.REVOKE, 0.74) is Level.THROTTLE
    assert limits.falls_to(Level.THROTTLE, 0.45) is Level.WARN
    assert limits.falls_to(Level.WARN, 0.41) is Level.WARN
    assert limits.falls_to(Level.WARN, 0.39) is Level.NONE
    # It never rises by falling.
    assert limits.falls_to(Level.NONE, 1.0) is Level.NONE


@pytest.mark.parametrize("thresholds", [(0.0, 0.8, 0.9), (0.9, 0.8, 0.95), (0.6, 0.96, 0.95), (0.6, 0.8, 1.1)])
def test_thresholds_rise(thresholds: tuple[float, float, float]) -> None:
    with pytest.raises(SettingsError, match="warn_at <= throttle_at"):
        LeakLimits(Level.WARN, *thresholds)


def test_a_finding_says_why() -> None:
    parts = (Part("speed", 0.7, "fast"), Part("rate", 0.1, "often"))
    assert Finding("s", "game", Level.WARN, 0.73, parts).reasons == ("fast", "often")
