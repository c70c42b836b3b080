"""What a subscriber has been sent, as two numbers: `Cursor(o, upto)`.

All matching entries with an offset up to `o` and a due time before `upto` count as sent, and all safety up to `o`.
The rest is owed (DESIGN 7).
"""

from __future__ import annotations

import base64
from typing import NamedTuple

from kernel.timeline import BEGINNING, MediaTime


class Cursor(NamedTuple):
    """A place in a log as one subscriber sees it; comparable within one epoch only.

    `o` is the highest offset that counts as sent, and goes on the wire; `seen` is how far the log reached when the
    cursor was taken, and stays here: it would tell a subscriber that something waits. Between the two lies only what is
    due at `upto` or later, so both mean the same; `seen` saves looking at it again.
    """

    o: int
    upto: MediaTime
    seen: int


NOTHING_SENT = Cursor(-1, BEGINNING, -1)
"""The cursor of somebody to whom the whole log is owed."""


def cursor_text(epoch: str, cursor: Cursor) -> str:
    """Return the cursor as the opaque string that stands on the wire."""
    text = f"{epoch}\n{cursor.o}\n{cursor.upto.timeline}\n{cursor.upto.pts}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
