"""What is found of sessions, and from which score on, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from kernel.errors import SettingsError


class Level(IntEnum):
    """What is done about a session; each includes those below it."""

    NONE = 0
    WARN = 1
    THROTTLE = 2
    REVOKE = 3


@dataclass(frozen=True, slots=True)
class LeakLimits:
    """From which score on what is done.

    Args:
        most: the most that is done, whatever the score is.
        warn_at: the least score that is warned of, over 0 to 1.
        throttle_at: the least score whose bodies are paced, at least `warn_at`.
        revoke_at: the least score whose session is revoked, at least `throttle_at`.
        hysteresis: how far below a threshold a score must fall before the level does.
        max_sessions: how many sessions are remembered; beyond it the oldest of a showing is forgotten.

    Raises:
        SettingsError: the thresholds do not rise.
    """

    most: Level = Level.WARN
    warn_at: float = 0.6
    throttle_at: float = 0.8
    revoke_at: float = 0.95
    hysteresis: float = 0.2
    max_sessions: int = 200_000

    def __post_init__(self) -> None:
        """Hold the thresholds to their order."""
        if not 0 < self.warn_at <= self.throttle_at <= self.revoke_at <= 1:
            raise SettingsError("leaks: 0 < warn_at <= throttle_at <= revoke_at <= 1 must hold")

    def level(self, score: float) -> Level:
        """Return the level of a score."""
        if score < self.warn_at:
            level = Level.NONE
        elif score < self.throttle_at:
            level = Level.WARN
        else:
            level = Level.THROTTLE if score < self.revoke_at else Level.REVOKE
        return min(level, self.most)

    def falls_to(self, level: Level, score: float) -> Level:
        """Return the level that one falls to, which is itself unless the score lies well below its threshold."""
        return min(level, self.level(min(1.0, score + self.hysteresis)))


@dataclass(frozen=True, slots=True)
class Part:
    """What one signal says.

    Args:
        signal: its name, a word of ours.
        weight: 0 to 1.
        words: for operators.
    """

    signal: str
    weight: float
    words: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A session's level has changed.

    Args:
        session: the claim `sid`.
        event_id: the showing at which it was seen.
        level: what it is now; the former one was another.
        score: 0 to 1.
        parts: what each signal says that says anything, the heaviest first.
    """

    session: str
    event_id: str
    level: Level
    score: float
    parts: tuple[Part, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why, in words."""
        return tuple(part.words for part in self.parts)
