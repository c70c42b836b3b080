"""What a subscriber has been sent, as two numbers: `Cursor(o, upto)`.

All matching entries with an offset up to `o` and a due time before `upto` count as sent, and all safety up to `o`.
The rest is owed (DESIGN 7).
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import NamedTuple

from kernel.pts import Ticks
from kernel.timeline import BEGINNING, MediaTime

_INTEGERS = range(-(1 << 63), 1 << 63)


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


class Told(NamedTuple):
    """What a client's cursor says: of which log it is, what was wanted when it was taken, and the place."""

    epoch: str
    wanted: str
    cursor: Cursor


@lru_cache(maxsize=256)
def cursor_text(epoch: str, cursor: Cursor, wanted: str = "") -> str:
    """Return the cursor as the opaque string that stands on the wire.

    `wanted` names the subscription's filter: a cursor says nothing of what another filter would have passed. Those who
    stand together are told the same, in every heartbeat until something comes.
    """
    text = f"{epoch}\n{cursor.o}\n{cursor.upto.timeline}\n{cursor.upto.pts}\n{wanted}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def read_cursor(text: str) -> Told | None:
    """Return what a cursor says, None if it is none of ours. Whatever it claims, nothing is sent early for it."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        epoch, o, timeline, pts, wanted = raw.split("\n")
        numbers = [int(number) for number in (o, timeline, pts) if len(number) <= 20]
    except (ValueError, binascii.Error):
        return None
    if len(numbers) != 3 or any(number not in _INTEGERS for number in numbers):
        return None
    offset = max(-1, numbers[0])
    return Told(epoch, wanted, Cursor(offset, MediaTime(numbers[1], Ticks(numbers[2])), offset))
