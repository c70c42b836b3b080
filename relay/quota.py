"""How often an operator may ask: a bucket for each name, filled with time.

Operators are known and few, so what is kept is bounded by how many there are. Who rotates a key draws from the same
bucket with both: it belongs to the name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """What one operator may ask.

    Args:
        requests_per_s: sustained; GitHub's REST API allows 1.4 a second, Stripe's 100.
        request_burst: at once; a list of 2,000 accounts that were all shared is revoked in one go.
    """

    requests_per_s: float = 100.0
    request_burst: int = 2_000


@dataclass(slots=True)
class _Bucket:
    level: float
    filled_at: float


class Quota:
    """Count operators' requests.

    Args:
        limits: what each may ask.
    """

    def __init__(self, limits: QuotaLimits = QuotaLimits()) -> None:
        self._limits = limits
        self._buckets: dict[str, _Bucket] = {}
        self.refused = 0
        """How often somebody was told to wait."""

    def wait_s(self, name: str, *, now: float) -> int:
        """Count a request and return 0, or how many seconds to wait before the next one is answered.

        Args:
            name: the operator's.
            now: seconds that never step back.
        """
        limits = self._limits
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(float(limits.request_burst), now)
        passed = max(0.0, now - bucket.filled_at)
        bucket.level = min(float(limits.request_burst), bucket.level + passed * limits.requests_per_s)
        bucket.filled_at = now
        if bucket.level < 1.0:
            self.refused += 1
            return max(1, math.ceil((1.0 - bucket.level) / limits.requests_per_s))
        bucket.level -= 1.0
        return 0

    def keep(self, names: frozenset[str]) -> None:
        """Forget whoever is no operator any more."""
        for name in self._buckets.keys() - names:
            del self._buckets[name]
