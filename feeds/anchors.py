"""Which presentation time of a segment its date belongs to.

RFC 8216, 4.3.2.6 says the first *sample* and leaves open of which track. Measured on a real stream, the first video
presentation time has a residual of 0.000 ms, against 5.9 (first audio), 3.6 (the lowest of both, which hls.js takes),
16.4 (PCR) and 83 (DTS); but packagers differ. The right one is told by its residuals: audio begins up to a packet
(21 ms) before or after the video of the same segment, differently in each, so that only the anchor that the packager
uses leaves none of that. The first video presentation time stands until another is clearly better, by a factor and by
more than dates are rounded: the difference is a few milliseconds and not worth a step for nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median
from typing import Literal

Anchor = Literal["video", "audio", "lowest"]
ANCHORS: tuple[Anchor, ...] = ("video", "audio", "lowest")

RECENT = 32
"""Segments that tell the spread of an anchor: a minute of two-second segments."""

MIN_SEEN = 12
"""Segments before another anchor may be chosen: fewer could agree by chance."""

CLEARLY = 0.5
"""A better anchor leaves at most half of the spread ..."""

BETTER_S = 0.0005
"""... and at least half a millisecond less: dates are written in whole ones."""


class AnchorChoice:
    """Choose the anchor of one timeline's dates."""

    def __init__(self) -> None:
        self.chosen: Anchor = "video"
        self._audio_after_s: deque[float] = deque(maxlen=RECENT)
        self._residuals_s: deque[float] = deque(maxlen=RECENT)

    def observe(self, residual_s: float, audio_after_s: float | None) -> float:
        """Take in a date, and return by how much the residuals of all dates move because the choice changed.

        Args:
            residual_s: the date less the first video presentation time.
            audio_after_s: how much later the first audio presentation time is; None where the segment has no audio,
                or nothing else: what was observed is then forgotten.
        """
        if audio_after_s is None:
            self._audio_after_s.clear()
            self._residuals_s.clear()
            return 0.0
        self._audio_after_s.append(audio_after_s)
        self._residuals_s.append(residual_s)
        if len(self._residuals_s) < MIN_SEEN:
            return 0.0
        spreads = {anchor: self._spread(anchor) for anchor in ANCHORS}
        best = min(ANCHORS, key=lambda anchor: spreads[anchor])
        now = spreads[self.chosen]
        if spreads[best] > CLEARLY * now or now - spreads[best] < BETTER_S:
            return 0.0
        before = self._mean_after(self.chosen)
        self.chosen = best
        return before - self._mean_after(best)

    def after_s(self, audio_after_s: float | None) -> float:
        """Return how much later than the first video presentation time the anchor of a segment is."""
        return 0.0 if audio_after_s is None else _after(self.chosen, audio_after_s)

    def _spread(self, anchor: Anchor) -> float:
        """Return the median of the steps from residual to residual: a drift or a single wrong date hardly counts."""
        anchored = [
            residual - _after(anchor, after)
            for residual, after in zip(self._residuals_s, self._audio_after_s, strict=True)
        ]
        return median(abs(later - earlier) for earlier, later in pairwise(anchored))

    def _mean_after(self, anchor: Anchor) -> float:
        return sum(_after(anchor, after) for after in self._audio_after_s) / len(self._audio_after_s)


def _after(anchor: Anchor, audio_after_s: float) -> float:
    if anchor == "video":
        return 0.0
    return audio_after_s if anchor == "audio" else min(0.0, audio_after_s)
