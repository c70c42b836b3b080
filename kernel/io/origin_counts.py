"""What was asked of the origins, what became of it, and how long it took."""

from __future__ import annotations

from typing import Literal, get_args

from kernel.errors import OriginMissing, OriginRefused
from kernel.histogram import Histogram

Kind = Literal["playlist", "segment", "key"]
Outcome = Literal["fetched", "missing", "refused", "failed"]

KINDS: tuple[Kind, ...] = get_args(Kind)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""From a local file to `total_timeout_s`."""


class FetchCounts:
    """Count by kind and outcome."""

    def __init__(self) -> None:
        self.fetches: dict[tuple[Kind, Outcome], int] = {(kind, out): 0 for kind in KINDS for out in OUTCOMES}
        self.spared: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        """Answers out of the cache, or out of a fetch that was under way."""
        self.took: dict[Kind, Histogram] = {kind: Histogram(BOUNDS_S) for kind in KINDS}
        """How long fetches took, in seconds, whatever became of them."""
        self.fetched_bytes: dict[Kind, int] = dict.fromkeys(KINDS, 0)

    def landed(self, kind: Kind, took_s: float, failure: BaseException | None, n_bytes: int = 0) -> None:
        """Count a fetch that is over; `failure` is what it raised."""
        self.took[kind].add(took_s)
        self.fetches[kind, _outcome(failure)] += 1
        self.fetched_bytes[kind] += n_bytes


def _outcome(failure: BaseException | None) -> Outcome:
    if failure is None:
        return "fetched"
    if isinstance(failure, OriginMissing):
        return "missing"
    return "refused" if isinstance(failure, OriginRefused) else "failed"
