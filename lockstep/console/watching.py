"""Who watches, as operators see it: a session in a row, which of them goes first, and who was turned away lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from relay.session_words import ENDED, KICKED, turns_of
from relay.sessions.about import DEVICE, PLACE
from relay.sessions.model import Session
from relay.sessions.networks import NETWORK
from relay.sessions.policies import SessionPolicies

MAX_LATELY = 200
"""Refusals and evictions that are remembered."""

MAX_TEXT_CHARS = 255

_WHY = {
    "session_limit": "more sessions than are allowed at a time",
    KICKED: "sent away by an operator",
    ENDED: "ended by the account itself",
    "GLOBAL_ERROR": "stream count: too many in all",
    "CATEGORY_ERROR": "stream count: too many of a category",
    "ASSET_ERROR": "stream count: too many of one asset",
    "USER_ERROR": "stream count: too many of one user",
}


class Row(NamedTuple):
    """A session as a page shows it; spans are in milliseconds.

    Args:
        session, event_id: which, and what it watches.
        device, network, place: of what is known; empty if it is not.
        since_ms: for how long it has been there.
        quiet_ms: how long ago it last showed a sign of life.
        turn: in which order it goes where one more comes, from 1; None: nobody goes, or it is leaving.
        counted_by: the limits that count it.
        left_ms: how much of its grace is left; None: it may stay.
        why, by: why it goes, and for whom.
    """

    session: str
    event_id: str
    device: str
    network: str
    place: str
    since_ms: int
    quiet_ms: int
    turn: int | None
    counted_by: tuple[str, ...]
    left_ms: int | None
    why: str
    by: str


class Turned(NamedTuple):
    """Somebody who was refused, or has to go."""

    at_ms: int
    kind: str
    account: str
    session: str
    event_id: str
    why: str
    key: str
    by: str


def rows_of(sessions: Sequence[Session], policies: SessionPolicies, *, now_ms: int) -> list[Row]:
    """Return the rows of an account's sessions.

    Args:
        sessions: the oldest first, as the book has them.
        policies: say who goes first.
        now_ms: Unix time in milliseconds.
    """
    turns = turns_of(sessions, policies)
    return [_row(one, turns.get(one.session), now_ms) for one in sessions]


def _row(one: Session, turn: int | None, now_ms: int) -> Row:
    about, leaving = one.about, one.leaving
    return Row(
        one.session, one.event_id, about.get(DEVICE, ""), about.get(NETWORK, ""), about.get(PLACE, ""),
        max(0, now_ms - one.began_ms), max(0, now_ms - one.seen_ms), turn, one.keys,
        None if leaving is None else max(0, leaving.at_ms - now_ms),
        "" if leaving is None else why_of(leaving.code), "" if leaving is None else leaving.by,
    )  # fmt: skip


def why_of(code: str) -> str:
    """Return in words why somebody was refused or has to go."""
    return _WHY.get(code, code)


class Lately:
    """Remember who was refused and who had to go, as all processes tell it (`kernel.bus.sessions_signal`)."""

    def __init__(self) -> None:
        self._turned: deque[Turned] = deque(maxlen=MAX_LATELY)

    def __iter__(self) -> Iterator[Turned]:
        """Yield them, the last one first."""
        return reversed(self._turned)

    def heard(self, record: Sequence[Any], *, now_ms: int) -> None:
        """Take note of what the bus says at `now_ms`, Unix time in ms; what is not understood is passed by."""
        if len(record) != 9 or record[0] not in ("refused", "leaving"):
            return
        kind, account, session, event_id, _, code, key, by, _ = (str(field)[:MAX_TEXT_CHARS] for field in record)
        self._turned.append(Turned(now_ms, kind, account, session, event_id, why_of(code), key, by))
