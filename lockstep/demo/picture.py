"""What the encoder of the demo sees: a court from above, the score, the clock, and which frame it is.

Along the bottom stands the frame's number as `CELLS` cells of `CELL` pixels, white for one: `NUMBER_BITS` of number,
the highest first, then `CHECK_BITS` that say whether the ones before were read right. The page reads it off the video.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.demo.drawing import Canvas, Sprite, colour, sprite, width_of
from lockstep.demo.game import CODES, RATE, Game, What, clock, clock_text
from lockstep.demo.scene import LENGTH, WIDTH, Cut, Scene, Spot, scene

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE_WIDTH, PICTURE_HEIGHT = 768, 432
NUMBER_BITS, CHECK_BITS = 20, 4
CELLS = NUMBER_BITS + CHECK_BITS
CELL = PICTURE_WIDTH // CELLS
CELL_HEIGHT = 12

MAX_NUMBER = 1 << NUMBER_BITS
"""Eleven hours of frames; then it begins anew."""

_COURT_LEFT, _COURT_TOP, _SCALE = 64, 66, 16  # 40 m by 20 m are 640 by 320 pixels

_INK, _PAPER = colour("101418"), colour("f4f6f8")
_FLOOR, _AREA, _SURROUND, _LINE = colour("2f6f7e"), colour("c98a4b"), colour("1d4a57"), colour("f4f6f8")
_TEAM = (colour("f08c00"), colour("1c7ed6"))
_KEEPER = (colour("ffd43b"), colour("74c0fc"))
_DARK, _RED, _GREEN = colour("14181d"), colour("e03131"), colour("2f9e44")


def check_of(number: int) -> int:
    """Return the check of a number, 0 to 15: each four bits count, and where they stand."""
    return sum((number >> 4 * at & 15) * (2 * at + 1) for at in range(NUMBER_BITS // 4)) + 5 & 15


def read_number(luma: Sequence[int], stride: int) -> int | None:
    """Return the number that a decoded picture shows, None if none can be read.

    Args:
        luma: the decoded luma plane.
        stride: the length of its rows in bytes.
    """
    row = (PICTURE_HEIGHT - CELL_HEIGHT // 2) * stride
    bits = 0
    for cell in range(CELLS):
        bits = bits << 1 | (luma[row + cell * CELL + CELL // 2] > 125)
    number, check = bits >> CHECK_BITS, bits & ((1 << CHECK_BITS) - 1)
    return number if check == check_of(number) else None


class Painter:
    """Draw the frames of a game."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._court = _court()
        self._goals = {side: _close_up(side) for side in (0, 1)}
        self._dark = Canvas(PICTURE_WIDTH, PICTURE_HEIGHT, _DARK)
        self._players = [[_player(side, player) for player in range(7)] for side in (0, 1)]
        self._ball = sprite(6, _PAPER, _INK)
        self._bars: dict[tuple[tuple[int, int], str], Canvas] = {}

    def draw(self, frame: int) -> Canvas:
        """Return the picture of a frame, from 0 on."""
        seen = scene(self._game, frame)
        if seen.cut is Cut.GOAL:
            canvas = self._goal(seen, frame)
        elif seen.cut is Cut.REVIEW:
            canvas = self._review(seen, frame)
        else:
            canvas = self._court.copy()
            self._everybody(canvas, seen)
            if seen.cut is Cut.BREAK:
                _banner(canvas, "FULL TIME" if clock(frame)[0] == 2 else "HALF TIME")
        self._score_bar(canvas, seen, frame)
        _counter(canvas, frame)
        return canvas

    def _score_bar(self, canvas: Canvas, seen: Scene, frame: int) -> None:
        shown = (seen.moment.score, clock_text(frame))
        if shown not in self._bars:
            self._bars = {shown: _bar(*shown)}
        canvas.paste(self._bars[shown], 16, 14)
        text = f"{frame % MAX_NUMBER:07}"
        canvas.text(text, PICTURE_WIDTH - 16 - width_of(text, 2), 26, 2, _PAPER)

    def _everybody(self, canvas: Canvas, seen: Scene) -> None:
        for side, team in enumerate(seen.teams):
            for player, spot in enumerate(team):
                canvas.stamp(self._players[side][player], *_pixel(spot))
        canvas.stamp(self._ball, *_pixel(seen.ball))

    def _goal(self, seen: Scene, frame: int) -> Canvas:
        canvas = self._goals[seen.moment.side].copy()
        since = frame - seen.moment.frame
        x = PICTURE_WIDTH // 2 + (aside := seen.moment.number % 3 - 1) * 90
        y = 250 - 8 * abs(since % 16 - 8) // 4
        canvas.disc(x, y, 26, _INK)
        canvas.disc(x, y, 23, _PAPER)
        canvas.text("GOAL!", (PICTURE_WIDTH - width_of("GOAL!", 9)) // 2 + aside * 4, 84, 9, _PAPER)
        return canvas

    def _review(self, seen: Scene, frame: int) -> Canvas:
        canvas = self._dark.copy()
        since = frame - seen.moment.frame
        what = seen.moment.what
        text = {What.STANDS: "GOAL STANDS", What.TAKEN_BACK: "NO GOAL"}.get(what, "VIDEO REVIEW")
        fill = {What.STANDS: _GREEN, What.TAKEN_BACK: _RED}.get(what, _TEAM[seen.moment.side])
        canvas.rectangle(0, 148, PICTURE_WIDTH, 136, fill)
        canvas.text(text, (PICTURE_WIDTH - width_of(text, 7)) // 2, 192, 7, _PAPER)
        # A line that runs while it is looked at.
        done = min(PICTURE_WIDTH, PICTURE_WIDTH * since // (6 * RATE)) if what is What.REVIEW else PICTURE_WIDTH
        canvas.rectangle(0, 284, done // 2 * 2, 6, _PAPER)
        return canvas


def _pixel(spot: Spot) -> tuple[int, int]:
    return (_COURT_LEFT + round(spot[0] * _SCALE), _COURT_TOP + round(spot[1] * _SCALE))


def _court() -> Canvas:
    canvas = Canvas(PICTURE_WIDTH, PICTURE_HEIGHT, _SURROUND)
    width, height = round(LENGTH * _SCALE), round(WIDTH * _SCALE)
    canvas.rectangle(_COURT_LEFT - 4, _COURT_TOP - 4, width + 8, height + 8, _LINE)
    court = Canvas(width, height, _FLOOR)
    for x in (0, width):
        court.disc(x, height // 2, 9 * _SCALE, _FLOOR)
        court.ring(x, height // 2, 9 * _SCALE, 2, _LINE)
        court.disc(x, height // 2, 6 * _SCALE, _AREA)
        court.ring(x, height // 2, 6 * _SCALE, 3, _LINE)
    court.rectangle(width // 2 - 1, 0, 2, height, _LINE)
    court.ring(width // 2, height // 2, 3 * _SCALE, 2, _LINE)
    canvas.paste(court, _COURT_LEFT, _COURT_TOP)
    for x in (_COURT_LEFT - 20, _COURT_LEFT + width + 4):
        canvas.rectangle(x, _COURT_TOP + height // 2 - 26, 16, 52, _PAPER)
    return canvas


def _player(side: int, player: int) -> Sprite:
    # The keeper has the one, and another shirt.
    return sprite(11, (_KEEPER if player == 6 else _TEAM)[side], _INK, str((player + 1) % 7 + 1))


def _close_up(side: int) -> Canvas:
    canvas = Canvas(PICTURE_WIDTH, PICTURE_HEIGHT, _TEAM[side])
    canvas.rectangle(0, 330, PICTURE_WIDTH, 102, _AREA)
    canvas.rectangle(184, 170, 400, 12, _PAPER)
    for x in (184, 572):
        canvas.rectangle(x, 170, 12, 164, _PAPER)
    for x in range(212, 572, 24):
        canvas.rectangle(x, 182, 2, 148, _PAPER)
    for y in range(202, 330, 24):
        canvas.rectangle(196, y, 376, 2, _PAPER)
    return canvas


def _banner(canvas: Canvas, text: str) -> None:
    canvas.rectangle(0, 186, PICTURE_WIDTH, 80, _INK)
    canvas.text(text, (PICTURE_WIDTH - width_of(text, 6)) // 2, 206, 6, _PAPER)


def _bar(score: tuple[int, int], time: str) -> Canvas:
    bar = Canvas(520, 38, _INK)
    bar.rectangle(0, 0, 8, 38, _TEAM[0])
    bar.rectangle(388, 0, 8, 38, _TEAM[1])
    bar.text(CODES[0], 20, 8, 3, _PAPER)
    text = f"{score[0]:>2} - {score[1]:<2}"
    bar.text(text, 196 - width_of(text, 3) // 2, 8, 3, _PAPER)
    bar.text(CODES[1], 376 - width_of(CODES[1], 3), 8, 3, _PAPER)
    bar.rectangle(396, 0, 124, 38, _PAPER)
    bar.text(time, 458 - width_of(time, 3) // 2, 8, 3, _INK)
    return bar


def _counter(canvas: Canvas, frame: int) -> None:
    number = frame % MAX_NUMBER
    bits = number << CHECK_BITS | check_of(number)
    top = PICTURE_HEIGHT - CELL_HEIGHT
    canvas.rectangle(0, top, PICTURE_WIDTH, CELL_HEIGHT, _INK)
    for cell in range(CELLS):
        if bits >> (CELLS - 1 - cell) & 1:
            canvas.rectangle(cell * CELL, top, CELL, CELL_HEIGHT, _PAPER)
