"""What the demo sounds like: a hum that hardly anybody hears, and a tone when something happens."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from lockstep.demo.game import RATE, What

if TYPE_CHECKING:
    from lockstep.demo.game import Game

SAMPLE_RATE = 48_000
SAMPLES_A_FRAME = SAMPLE_RATE // RATE

_TONE_S = 0.25
_HUM = (120, 0.004)
_TONES = {What.START: (1200, 0.10), What.END: (1200, 0.10), What.GOAL: (800, 0.12), What.TAKEN_BACK: (400, 0.10)}
"""In hertz, each a divisor of the sample rate, and as a share of the loudest."""


def _wave(hertz: int, loud: float) -> array[float]:
    """Return a second of a tone, and what a slice that begins late in it needs."""
    period = SAMPLE_RATE // hertz
    one = [loud * math.sin(2 * math.pi * sample / period) for sample in range(period)]
    return array("f", one * (2 * SAMPLE_RATE // period))


class Sounds:
    """Give the samples of a game, frame by frame."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._hum = _wave(*_HUM)
        self._waves = {what: _wave(*tone) for what, tone in _TONES.items()}

    def of(self, frame: int) -> array[float]:
        """Return the samples that belong to a frame, from 0 on: mono, -1 to 1."""
        moment = self._game.last(frame)
        since = (frame - moment.frame) * SAMPLES_A_FRAME
        sounding = moment.what in self._waves and since < _TONE_S * SAMPLE_RATE
        wave = self._waves[moment.what] if sounding else self._hum
        start = frame * SAMPLES_A_FRAME % SAMPLE_RATE
        return wave[start : start + SAMPLES_A_FRAME]
