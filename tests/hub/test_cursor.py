from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cursor import NOTHING_SENT, Cursor, Told, cursor_text, read_cursor
from tests.hub.makers import at


def test_the_text_says_epoch_offset_and_frontier_alone() -> None:
    text = cursor_text("e", Cursor(7, at(2, 3), 99))
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == b"e\n7\n3\n180000\n"
    # How far the log reaches would tell that something waits.
    assert text == cursor_text("e", Cursor(7, at(2, 3), 7))


def test_it_fits_where_cursors_are_taken() -> None:
    assert len(cursor_text("x" * 43, NOTHING_SENT._replace(o=1 << 62))) < 120


def test_what_is_written_is_read() -> None:
    assert read_cursor(cursor_text("e", Cursor(7, at(2, 3), 99), "abc")) == Told("e", "abc", Cursor(7, at(2, 3), 7))
    assert read_cursor(cursor_text("e", NOTHING_SENT)) == Told("e", "", NOTHING_SENT)


@pytest.mark.parametrize(
    "text", ["", "x", "é", "a" * 511, *(base64.b64encode(raw).decode() for raw in (b"e\n1\n2\n3", b"e\n1\n2\nx\n"))]
)
def test_what_is_no_cursor(text: str) -> None:
    assert read_cursor(text) is None


@pytest.mark.parametrize("number", ["9" * 21, "9" * 4_000, str(1 << 63)])
def test_absurd_numbers_are_none(number: str) -> None:
    assert read_cursor(base64.b64encode(f"e\n{number}\n0\n0\n".encode()).decode()) is None


@given(st.text(max_size=600))
def test_reading_never_raises(text: str) -> None:
    read_cursor(text)
