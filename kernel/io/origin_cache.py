"""What the fetcher keeps: bodies within a budget, newest use last, and failures for a moment. Knows no clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kernel.errors import OriginError, PlaylistError
from kernel.io.origin_counts import Kind
from kernel.io.origin_http import without_secrets

ENTRY_BYTES = 512
"""What keeping a body costs beside it and its names: its record and the places in the tables. Measured: 385."""

SHARE = 4
"""A body larger than this part of the budget is not kept: it would turn out all that viewers are asking for."""

MAX_FAILURES = 1_000
"""Failures remembered at a time."""

Key = tuple[Kind, str, int, tuple[int, int] | None]
"""What kind of thing, its reference, its generation, and the range of it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an origin gave.

    Args:
        ref: where it came from after redirects; what relative URIs in it are resolved against (RFC 3986, 5.1.3).
        body: all of it.
        content_type: as the origin says, None for files.
        at: bus time in seconds when the last byte was here, or when the origin said that nothing changed.
        etag: which version it is, if the origin says so.
    """

    ref: str
    body: bytes
    content_type: str | None
    at: float
    etag: str | None = None

    @property
    def text(self) -> str:
        """Return the body as text; raises PlaylistError where it is not UTF-8 (RFC 8216, 4.1)."""
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise PlaylistError(f"{without_secrets(self.ref)} is not UTF-8 text: byte {error.start}") from None


class BodyCache:
    """Keep bodies and failures.

    Args:
        budget_bytes: for bodies with all that keeping them costs.
        negative_s: how long a failure is remembered, in seconds.
    """

    def __init__(self, budget_bytes: int, negative_s: float) -> None:
        self._budget_bytes = budget_bytes
        self._negative_s = negative_s
        self._kept: OrderedDict[Key, Fetched] = OrderedDict()
        self._failed: OrderedDict[Key, tuple[float, OriginError]] = OrderedDict()
        self.used_bytes = 0

    def get(self, key: Key) -> Fetched | None:
        """Return what is kept, and count that as a use."""
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
        return known

    def failure(self, key: Key, now: float) -> OriginError | None:
        """Return how the last attempt failed, if that was a moment ago."""
        until, failure = self._failed.get(key, (now, None))
        # A new one: the same exception raised again and again would drag its former tracebacks along.
        return type(failure)(str(failure)) if failure is not None and now < until else None

    def keep(self, key: Key, fetched: Fetched) -> None:
        """Keep a body, and let go what was used least lately where the budget is spent."""
        self._failed.pop(key, None)
        former = self._kept.pop(key, None)
        if former is not None:
            self.used_bytes -= cost_bytes(key, former)
        cost = cost_bytes(key, fetched)
        if cost > self._budget_bytes // SHARE:
            return
        self._kept[key] = fetched
        self.used_bytes += cost
        while self.used_bytes > self._budget_bytes:
            oldest_key, oldest = self._kept.popitem(last=False)
            self.used_bytes -= cost_bytes(oldest_key, oldest)

    def fail(self, key: Key, failure: OriginError, now: float) -> None:
        """Remember a failure."""
        self._failed.pop(key, None)
        self._failed[key] = (now + self._negative_s, failure)
        if len(self._failed) > MAX_FAILURES:
            self._failed.popitem(last=False)


def cost_bytes(key: Key, fetched: Fetched) -> int:
    """Return what keeping a body costs."""
    return len(fetched.body) + len(key[1]) + len(fetched.ref) + len(fetched.content_type or "") + ENTRY_BYTES
