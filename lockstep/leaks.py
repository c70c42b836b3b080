"""The leak detector put together: its settings, who watches, and who revokes what it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kernel.bus import Bus, Cancel
from kernel.errors import SettingsError
from relay.io.leak_watch import LeakWatch
from relay.leaks.model import LeakLimits, Level
from relay.leaks.word import Suspect, suspect_of, suspects_signal, told_of
from relay.revocation_words import Wanted

if TYPE_CHECKING:
    from relay.io.revocation_desk import RevocationDesk

_LIMITS = LeakLimits()

BY = "leak-detector"
"""Who made the revocation, where operators' names stand; none of them has a hyphen and this name."""

LEAST_S = 86_400
"""How long a session is revoked at least, in seconds: its token may have been renewed beyond what was seen of it."""


class LeakSettings(BaseModel):
    """What is done about sessions that are no viewer's."""

    model_config = ConfigDict(extra="forbid")

    most: Literal["off", "warn", "throttle", "revoke"] = Field(
        default="warn", description="The most that is done; `off`: nobody is watched."
    )
    warn_at: float = Field(default=_LIMITS.warn_at, gt=0, le=1, description="Least score that is warned of.")
    throttle_at: float = Field(
        default=_LIMITS.throttle_at, gt=0, le=1, description="Least score whose session is paced to real time."
    )
    revoke_at: float = Field(default=_LIMITS.revoke_at, gt=0, le=1, description="Least score whose session is revoked.")

    @model_validator(mode="after")
    def _fits(self) -> LeakSettings:
        """Say at the start that thresholds do not rise."""
        try:
            self.to_limits()
        except SettingsError as error:
            raise ValueError(str(error)) from None
        return self

    def to_limits(self) -> LeakLimits | None:
        """Return the limits as the detector knows them, None where it is off.

        Raises:
            SettingsError: the thresholds do not rise.
        """
        limits = LeakLimits(
            Level[self.most.upper()] if self.most != "off" else Level.NONE,
            self.warn_at,
            self.throttle_at,
            self.revoke_at,
        )
        return None if self.most == "off" else limits


def leak_watch(
    settings: LeakSettings, bus: Bus, *, now: Callable[[], float], wall: Callable[[], float]
) -> LeakWatch | None:
    """Return who watches the sessions of a relay, None where it is off.

    Args:
        settings: what is done.
        bus: tells the desk of revocations, wherever it is.
        now: seconds that never step back.
        wall: the time of day in Unix seconds.
    """
    limits = settings.to_limits()
    if limits is None:
        return None

    def tell(suspect: Suspect) -> None:
        bus.signal(suspects_signal(), told_of(suspect))

    return LeakWatch(limits, now=now, wall=wall, revoke=tell if limits.most is Level.REVOKE else None)


class LeakRevoker:
    """Revoke the sessions that relays find, where the desk of revocations is.

    Args:
        settings: whether that is wanted.
        bus: where relays tell.
        desk: makes the revocations.
        wall: the time of day in Unix seconds.
    """

    def __init__(self, settings: LeakSettings, bus: Bus, desk: RevocationDesk, *, wall: Callable[[], float]) -> None:
        self._wanted = settings.most == "revoke"
        self._bus = bus
        self._desk = desk
        self._wall = wall
        self._cancel: Cancel | None = None

    def start(self) -> None:
        """Listen, if it is wanted."""
        if self._wanted:
            self._cancel = self._bus.listen(suspects_signal(), self._on_suspect)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _on_suspect(self, record: list[Any]) -> None:
        now = self._wall()
        suspect = suspect_of(record, now=now)
        if suspect is not None:
            ends = int(max(suspect.ends, now + LEAST_S)) // 60 * 60 + 60
            self._desk.revoke_soon(Wanted(suspect.subject, f"leak: {suspect.words}", ends), BY)
