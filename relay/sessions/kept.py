"""One account as text, as it is kept on disk: who is there and who may not come back, but no signs of life.

    [[session, event, began, until, dead after, keys, about, leaving or null], ...], [[session, leaving], ...]

in one JSON array; `leaving` is [at, code, key, by, until], `about` the text that it is in memory.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from kernel.errors import DecodeError
from relay.sessions.account import Account, Gone, shared
from relay.sessions.model import Leaving, Session


def to_text(sessions: tuple[Session, ...], evicted: tuple[Gone, ...]) -> str:
    """Return an account's sessions as text, in ASCII."""
    there = [
        (
            one.session, one.event_id, one.began_ms, one.until_ms, one.dead_after_ms, one.keys, one.about_text,
            one.leaving,
        )
        for one in sessions
    ]  # fmt: skip
    return json.dumps((there, evicted), separators=(",", ":"))


def from_text(name: str, text: str, *, now_ms: int) -> Account:
    """Return an account as it was kept, those who are there taken to be alive, and what is over by now let go.

    Raises:
        DecodeError: it is none.
    """
    try:
        there, evicted = json.loads(text)
        account = Account(
            tuple(_session(name, *one, now_ms=now_ms) for one in there),
            tuple(Gone(session, Leaving(*leaving)) for session, leaving in evicted),
        )
        account.pass_time(now_ms)
    except (ValueError, TypeError) as error:
        raise DecodeError(f"the sessions of an account cannot be read: {error}") from None
    return account


def _session(
    account: str, session: str, event_id: str, began_ms: int, until_ms: int, dead_after_ms: int, keys: list[str],
    about_text: str, leaving: list[Any] | None, *, now_ms: int,
) -> Session:  # fmt: skip
    return Session(
        account, session, sys.intern(event_id), began_ms, now_ms, until_ms, dead_after_ms, shared(tuple(keys)),
        about_text, None if leaving is None else Leaving(*leaving),
    )  # fmt: skip
