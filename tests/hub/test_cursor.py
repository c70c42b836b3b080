from __future__ import annotations

import base64

from hub.cursor import NOTHING_SENT, Cursor, cursor_text
from tests.hub.makers import at


def test_the_text_says_epoch_offset_and_frontier_alone() -> None:
    text = cursor_text("e", Cursor(7, at(2, 3), 99))
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == b"e\n7\n3\n180000"
    # How far the log reaches would tell that something waits.
    assert text == cursor_text("e", Cursor(7, at(2, 3), 7))


def test_it_fits_where_cursors_are_taken() -> None:
    assert len(cursor_text("x" * 43, NOTHING_SENT._replace(o=1 << 62))) < 120
