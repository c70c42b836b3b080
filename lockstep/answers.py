"""Count what HTTP requests are answered, where the access log hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from kernel.histogram import Histogram

if TYPE_CHECKING:
    from kernel.io.http import TellAnswered

Kind = Literal["playlist", "media", "api"]

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""A playlist out of memory takes half a millisecond; a segment as long as its reader needs, up to its duration."""


class AnswerCounts:
    """Count answers by kind and status, and hand them on.

    Args:
        tell: logs an answer.
    """

    def __init__(self, tell: TellAnswered) -> None:
        self._tell = tell
        self.answers: dict[tuple[Kind, int], int] = {(kind, 200): 0 for kind in get_args(Kind)}
        """By kind and status. Statuses are ours: nobody outside can make up another one."""
        self.took: dict[Kind, Histogram] = {kind: Histogram(BOUNDS_S) for kind in get_args(Kind)}
        self.sent_bytes: dict[Kind, int] = dict.fromkeys(get_args(Kind), 0)

    def __call__(self, method: str, path: str, peer: str, took_s: float, status: int, sent_bytes: int) -> None:
        """Count an answer as `kernel.io.http.tell_answered` is told of it."""
        kind: Kind = "api"
        if path.startswith("/hls/"):
            kind = "playlist" if path.endswith("/index.m3u8") else "media"
        self.answers[kind, status] = self.answers.get((kind, status), 0) + 1
        self.took[kind].add(took_s)
        self.sent_bytes[kind] += sent_bytes
        self._tell(method, path, peer, took_s, status, sent_bytes)
