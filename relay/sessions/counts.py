"""What is counted where sessions take their seats."""

from __future__ import annotations

from collections.abc import Mapping

from kernel.histogram import Histogram

BOUNDS_S = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.25, 1.0)
"""50 us are meant for a book in this process, a millisecond for one in Redis; beyond a second it is given up."""

CODES = (
    "session_limit", "GLOBAL_ERROR", "CATEGORY_ERROR", "ASSET_ERROR", "USER_ERROR", "kicked", "ended_by_account",
    "stopped", "released", "unlisted",
)  # fmt: skip
"""Why somebody has to go: those of the limits; an operator, or the account's holder, has ended it; another viewer of
the account, for its room; its own viewer has left. `unlisted` is whatever else."""


class SessionCounts:
    """Count; all names are there from the beginning."""

    def __init__(self) -> None:
        self.admissions = dict.fromkeys(("seated", "full", "evicted", "unavailable"), 0)
        """Times that the book was asked to let a session in, by what it answered."""
        self.evictions = dict.fromkeys(CODES, 0)
        """Sessions that had to go and that this process has told so to all others, by code."""
        self.devices_changed = 0
        """How often a session was asked about on another device than it belongs to."""
        self.refilled = 0
        """Sessions that took their seats again in a book that had lost them."""
        self.failures = 0
        """How often the book could not be asked."""
        self.took: Mapping[str, Histogram] = {
            what: Histogram(BOUNDS_S) for what in ("admit", "saw", "release", "dismiss", "list")
        }
        """How long the book took, in seconds, by what it was asked."""

    def evicted(self, code: str) -> None:
        """Count somebody who has to go; a code that is not in the table is `unlisted`."""
        self.evictions[code if code in self.evictions else "unlisted"] += 1
