"""How a vendor's feed is, and how far its data is known complete: what feeds tells the other houses of each source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """The states of a feed; `feeds/health.py` holds the table of what leads from one to another."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    RECOVERING = "recovering"
    UNMONITORED = "unmonitored"


@dataclass(frozen=True, slots=True)
class FeedState:
    """What one source of a showing is.

    `why` is fit for an operator's eyes, empty where all is well. `since` is bus time. A source that is down holds
    every market bound to it closed; an unmonitored one binds none.
    """

    source: str
    state: Health
    why: str
    since: float


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """ "All that happened up to `complete_to` has been sent": Unix seconds, corrected by the source's skew."""

    source: str
    complete_to: float
