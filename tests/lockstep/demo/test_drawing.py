from __future__ import annotations

import pytest

from lockstep.demo.drawing import GLYPHS, Canvas, Colour, colour, sprite, width_of

GROUND, INK = Colour(20, 100, 110), Colour(200, 50, 60)


def canvas() -> Canvas:
    return Canvas(32, 16, GROUND)


def test_colours_are_those_of_the_standard() -> None:
    assert colour("000000") == Colour(16, 128, 128)
    assert colour("ffffff") == Colour(235, 128, 128)
    # ITU-R BT.601: the red of colour bars at full amplitude.
    assert colour("ff0000") == Colour(81, 90, 240)


def test_a_rectangle_is_filled_in_all_planes() -> None:
    drawn = canvas()
    drawn.rectangle(4, 2, 6, 4, INK)
    assert sum(value == INK.y for value in drawn.y) == 24
    assert sum(value == INK.u for value in drawn.u) == 6
    assert drawn.y[2 * 32 + 4] == drawn.y[5 * 32 + 9] == INK.y
    assert drawn.y[2 * 32 + 3] == drawn.y[6 * 32 + 4] == GROUND.y


@pytest.mark.parametrize(("x", "y"), [(-100, 0), (40, 0), (0, -50), (0, 20), (-3, -3), (30, 14)])
def test_what_lies_outside_is_left_out(x: int, y: int) -> None:
    drawn = canvas()
    drawn.rectangle(x, y, 8, 8, INK)
    drawn.disc(x, y, 4, INK)
    drawn.ring(x, y, 4, 1, INK)
    drawn.text("A", x, y, 4, INK)
    drawn.stamp(sprite(6, INK, GROUND), x, y)
    assert (len(drawn.y), len(drawn.u), len(drawn.v)) == (512, 128, 128)


def test_a_disc_is_round() -> None:
    drawn = Canvas(32, 32, GROUND)
    drawn.disc(16, 16, 10, INK)
    inked = sum(value == INK.y for value in drawn.y)
    assert 300 < inked < 345  # pi * 100, and the rim
    assert drawn.y[16 * 32 + 6] == drawn.y[26 * 32 + 16] == INK.y
    assert drawn.y[9 * 32 + 8] == GROUND.y


def test_a_sprite_is_what_was_drawn_once() -> None:
    drawn = Canvas(40, 40, GROUND)
    drawn.stamp(sprite(11, INK, colour("000000"), "7"), 20, 20)
    assert drawn.y[20 * 40 + 9] == 16
    assert drawn.y[20 * 40 + 13] == INK.y
    assert drawn.u[10 * 20 + 8] == INK.u
    assert drawn.y[0] == GROUND.y


def test_letters_are_drawn_as_they_stand_in_the_table() -> None:
    drawn = canvas()
    drawn.text("T", 1, 1, 1, INK)
    rows = ["".join("1" if drawn.y[row * 32 + 1 + at] == INK.y else "0" for at in range(5)) for row in range(1, 8)]
    assert " ".join(rows) == GLYPHS["T"]
    assert set(drawn.u) == {GROUND.u}
    assert width_of("TT", 2) == 22


def test_large_letters_have_their_own_hue() -> None:
    drawn = Canvas(64, 64, GROUND)
    drawn.text("I", 0, 0, 4, INK)
    assert INK.u in drawn.u


def test_every_glyph_has_seven_rows_of_five() -> None:
    for rows in GLYPHS.values():
        assert [len(row) for row in rows.split()] == [5] * 7


def test_a_copy_is_another_picture() -> None:
    first = canvas()
    second = first.copy()
    second.rectangle(0, 0, 32, 16, INK)
    assert set(first.y) == {GROUND.y}
    first.paste(second, 0, 0)
    assert first.y == second.y
