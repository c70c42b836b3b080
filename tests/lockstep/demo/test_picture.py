from __future__ import annotations

import pytest

from lockstep.demo.game import Game, What
from lockstep.demo.picture import (
    CELL,
    CELLS,
    MAX_NUMBER,
    NUMBER_BITS,
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    Painter,
    check_of,
    read_number,
)  # fmt: skip

GAME = Game(7)
PAINTER = Painter(GAME)


@pytest.mark.parametrize("frame", [0, 1, 25, 900, 1_150, 1_250, 1_350, 15_020, 30_700, MAX_NUMBER - 1])
def test_a_picture_says_which_frame_it_is(frame: int) -> None:
    drawn = PAINTER.draw(frame)
    assert (len(drawn.y), len(drawn.u)) == (PICTURE_WIDTH * PICTURE_HEIGHT, PICTURE_WIDTH * PICTURE_HEIGHT // 4)
    assert read_number(drawn.y, PICTURE_WIDTH) == frame


def test_the_number_begins_anew_when_its_bits_are_used_up() -> None:
    assert read_number(PAINTER.draw(MAX_NUMBER + 5).y, PICTURE_WIDTH) == 5


def test_the_cells_fill_the_width() -> None:
    assert CELLS * CELL == PICTURE_WIDTH
    assert MAX_NUMBER == 1 << NUMBER_BITS


def test_what_is_misread_is_noticed() -> None:
    drawn = PAINTER.draw(900)
    row = (PICTURE_HEIGHT - 6) * PICTURE_WIDTH
    for cell in range(CELLS):
        blurred = bytearray(drawn.y)
        blurred[row + cell * CELL + CELL // 2] ^= 255
        assert read_number(blurred, PICTURE_WIDTH) is None
    assert read_number(bytes(len(drawn.y)), PICTURE_WIDTH) is None


def test_the_check_differs_between_neighbours() -> None:
    assert all(check_of(number) != check_of(number + 1) for number in range(0, 4_000, 7))
    assert all(0 <= check_of(number) < 16 for number in range(0, MAX_NUMBER, 9_973))


def test_the_picture_changes_with_the_score() -> None:
    goal = next(moment for moment in GAME.moments(0, 9_000) if moment.what is What.GOAL)
    before, after = PAINTER.draw(goal.frame - 1), PAINTER.draw(goal.frame)
    bar = slice(14 * PICTURE_WIDTH, 52 * PICTURE_WIDTH)
    assert before.y[bar] != after.y[bar]
