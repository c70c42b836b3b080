"""What is known of those who watch: sessions, the limits that count them, and what becomes of one more.

Times are Unix milliseconds, integers: they are the same in this process, in SQLite, and in a script of Redis, whose
numbers hold fourteen digits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from kernel.value import Value

KICK_MEMORY_MS = 60_000
"""For how long a session that a rule of the stream count has ended is known as such; then its id is a new session's."""

MAX_SESSIONS = 64
"""Sessions of one account: beyond it nobody is admitted, whatever the limits say."""

MAX_EVICTED = 128
"""Evicted sessions of one account that are remembered; beyond it those that went first are forgotten. Whoever can make
so many sessions can make another one: it is let in by the same limits."""

About = Mapping[str, str]
"""What an operator is told of a session, under short names: where it is, on what device. It decides nothing."""


class Order(StrEnum):
    """Whom a limit lets go where one more comes than it allows."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"
    REJECT = "reject"
    VIEWER_CHOICE = "viewer_choice"

    @property
    def evicts(self) -> bool:
        """Return whether somebody who is here goes; else whoever comes is refused."""
        return self in (Order.OLDEST_FIRST, Order.NEWEST_FIRST)


class Limit(NamedTuple):
    """How many sessions of one account may be counted under one key.

    Args:
        key: what is counted, within the account: `event:final`, `plan:season`, `category:12`; 200 characters at most.
        most: how many may be there at a time, from 0.
        order: who goes.
        code: what whoever goes or is refused is told: `session_limit`, `CATEGORY_ERROR`.
        grace_ms: from the warning to the cut.
        memory_ms: for how long an evicted session's id is refused; None: until its token ends.
    """

    key: str
    most: int
    order: Order = Order.OLDEST_FIRST
    code: str = "session_limit"
    grace_ms: int = 0
    memory_ms: int | None = None


class Wish(NamedTuple):
    """Somebody wants to watch: `limits` are all that count the session.

    A session that is known already is asked for again with every new relay that it comes to, and with the limits that
    it has got since: those it was not counted by are looked at, the others are not asked again.

    Args:
        account: whose; limits count within it.
        session: its id, of 128 bits.
        event_id: what is watched.
        limits: what counts it.
        until_ms: when its token ends.
        dead_after_ms: for how long it may show no sign of life: three target durations, 30 s at least.
        about: what operators are told of it.
        began_ms: when it began, where that is known from before: a book that was lost is filled again; None: now.
    """

    account: str
    session: str
    event_id: str
    limits: tuple[Limit, ...]
    until_ms: int
    dead_after_ms: int
    about: About
    began_ms: int | None = None


class Leaving(NamedTuple):
    """A session has to go.

    Args:
        at_ms: when it is cut; what lies in the past is cut already.
        code: why.
        key: the limit's; empty where somebody sent it away.
        by: the session that takes its place, or who sent it away.
        until_ms: for how long its id is refused.
    """

    at_ms: int
    code: str
    key: str
    by: str
    until_ms: int


class Session(Value, frozen=True, gc=False):
    """Somebody who watches; there may be a hundred thousand of them in memory, so each is small.

    Args:
        account: whose.
        session: its id.
        event_id: what is watched.
        began_ms: when it was let in.
        seen_ms: when it showed its last sign of life.
        until_ms: when its token ends.
        dead_after_ms: for how long it may show no sign of life.
        keys: those of the limits that count it.
        about_text: what operators are told of it, in JSON.
        leaving: when and why it has to go; None where it may stay.
    """

    account: str
    session: str
    event_id: str
    began_ms: int
    seen_ms: int
    until_ms: int
    dead_after_ms: int
    keys: tuple[str, ...]
    about_text: str = "{}"
    leaving: Leaving | None = None

    @property
    def about(self) -> About:
        """Return what operators are told of it."""
        told: dict[str, str] = json.loads(self.about_text)
        return told


def text_of(about: About) -> str:
    """Return what operators are told of a session as JSON, in ASCII: it is kept as text wherever it is kept."""
    return json.dumps(dict(about), separators=(",", ":")) if about else "{}"


class Seated(NamedTuple):
    """One more is in, or was already.

    Args:
        session: as it is from now on; it may be leaving.
        leaving: those who have to go for it, with the time; those whose grace this ends are among them.
    """

    session: Session
    leaving: tuple[Session, ...] = ()


class Full(NamedTuple):
    """There is no room, and nobody goes.

    Args:
        limit: the first that says so.
        conflicts: those that it counts and who are not leaving, the oldest first.
        retry_ms: when the first who is leaving anyway will be gone, from now; None where nobody is.
    """

    limit: Limit
    conflicts: tuple[Session, ...]
    retry_ms: int | None = None


class Evicted(NamedTuple):
    """The session was sent away, and is remembered."""

    leaving: Leaving


Outcome = Seated | Full | Evicted
"""What becomes of a wish."""


class Life(StrEnum):
    """How a session stands that shows a sign of life."""

    LIVE = "live"
    LEAVING = "leaving"
    EVICTED = "evicted"
    GONE = "gone"


class Sign(NamedTuple):
    """A sign of life: when a session was last sent a segment, by the wall clock of whoever says so.

    A book that is elsewhere has a clock of its own, and takes from it only how long ago that was.
    """

    account: str
    session: str
    seen_ms: int


class Standing(NamedTuple):
    """How it stands with a session; `leaving` says when and why where it is leaving or evicted."""

    life: Life
    leaving: Leaving | None = None
