"""The sessions of one account, and what becomes of them: the rules of `relay/sessions/book.py`, one step each.

The script that does the same in Redis (`relay/io/redis_steps.py`) is held to this by a suite that takes the same steps,
at random, in both; whoever changes one changes both.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import NamedTuple

from kernel.value import Record, replace
from relay.sessions.model import (
    MAX_EVICTED,
    MAX_SESSIONS,
    Evicted,
    Full,
    Leaving,
    Life,
    Limit,
    Order,
    Outcome,
    Seated,
    Session,
    Standing,
    Wish,
    text_of,
)

ROOM = Limit("", MAX_SESSIONS, Order.REJECT)
"""What says so where an account has more sessions than anybody has devices."""


class Gone(NamedTuple):
    """One that may not come back."""

    session: str
    leaving: Leaving


class Account(Record, gc=False):
    """One account; small, for as a rule it has one session, and there may be a hundred thousand of it.

    Args:
        sessions: those who are here, the oldest first.
        evicted: those who may not come back, in the order in which they went.
        changed: whether anything has changed that the next life of the process must know; whoever keeps it resets it.
    """

    sessions: tuple[Session, ...] = ()
    evicted: tuple[Gone, ...] = ()
    changed: bool = False

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to know of it."""
        return not (self.sessions or self.evicted)

    def admit(self, wish: Wish, *, now_ms: int) -> Outcome:
        """Let a session in, or say why not; either the whole of it happens, or nothing but that time has passed."""
        self.pass_time(now_ms)
        if (evicted := self._evicted(wish.session)) is not None:
            return Evicted(evicted)
        known = self.of(wish.session)
        if known is not None and known.leaving is not None:
            return Seated(self._put(replace(known, seen_ms=max(known.seen_ms, now_ms))))
        if known is None and len(self.sessions) >= MAX_SESSIONS:
            return Full(ROOM, self._counted(None), self._retry_ms(None, now_ms))
        limits = [one for one in wish.limits if known is None or one.key not in known.keys]
        going: dict[str, Leaving] = {}
        for limit in limits:
            counted = self._counted(limit.key, besides=wish.session)
            too_many = sum(one.session not in going for one in counted) + 1 - limit.most
            if limit.most == 0 or (too_many > 0 and not limit.order.evicts):
                return Full(limit, counted, self._retry_ms(limit.key, now_ms))
            leaving = _leaving(limit, wish, now_ms)
            chosen = [one for one in counted if one.session not in going]
            if limit.order is Order.NEWEST_FIRST:
                chosen.reverse()
            for one in chosen[: max(0, too_many)]:
                until_ms = one.until_ms if limit.memory_ms is None else leaving.until_ms
                going[one.session] = leaving._replace(until_ms=until_ms)
        seated = _seated(wish, known, now_ms)
        if not going and known is not None and _is_same(seated, known):
            return Seated(self._put(seated))
        if going:
            self.sessions = tuple(
                replace(one, leaving=going[one.session]) if one.session in going else one for one in self.sessions
            )
        self._put(seated)
        self.changed = True
        hurried = {session for limit in limits for session in self._hurry(limit, now_ms)}
        told = tuple(one for one in self.sessions if one.session in going or one.session in hurried)
        self.pass_time(now_ms)
        return Seated(seated, told)

    def saw(self, session: str, *, seen_ms: int, now_ms: int) -> Standing:
        """Take a sign of life, and return how the session stands."""
        self.pass_time(now_ms)
        known = self.of(session)
        if known is None:
            evicted = self._evicted(session)
            return Standing(Life.GONE) if evicted is None else Standing(Life.EVICTED, evicted)
        if known.seen_ms < seen_ms:
            self._put(replace(known, seen_ms=max(known.seen_ms, min(seen_ms, now_ms))))
        return Standing(Life.LIVE if known.leaving is None else Life.LEAVING, known.leaving)

    def release(self, session: str, *, now_ms: int) -> bool:
        """Let a session leave by itself; one that has to go may not come back all the same."""
        self.pass_time(now_ms)
        known = self.of(session)
        if known is None:
            return False
        self.sessions = tuple(one for one in self.sessions if one is not known)
        if known.leaving is not None:
            self._remember([_gone(session, known.leaving, now_ms)])
        self.changed = True
        return True

    def dismiss(
        self, session: str, *, code: str, by: str, grace_ms: int, memory_ms: int | None, now_ms: int
    ) -> Session | None:
        """Send a session away; return it as it was left, None if it is not there."""
        self.pass_time(now_ms)
        known = self.of(session)
        if known is None:
            return None
        at_ms = now_ms + grace_ms
        if known.leaving is None or at_ms < known.leaving.at_ms:
            until_ms = known.until_ms if memory_ms is None else at_ms + memory_ms
            known = self._put(replace(known, leaving=Leaving(at_ms, code, "", by, until_ms)))
            self.changed = True
            self.pass_time(now_ms)
        return known

    def pass_time(self, now_ms: int) -> None:
        """Let go of what is over: dead sessions, those whose grace has ended, and what need not be remembered."""
        over = [one for one in self.sessions if _is_over(one, now_ms)]
        if over:
            self.sessions = tuple(one for one in self.sessions if one not in over)
            # Whoever had to go and went before its time may not come back, either.
            self._remember([_gone(one.session, one.leaving, now_ms) for one in over if one.leaving is not None])
            self.changed = True
        if self.evicted and any(one.leaving.until_ms <= now_ms for one in self.evicted):
            self.evicted = tuple(one for one in self.evicted if one.leaving.until_ms > now_ms)
            self.changed = True

    def of(self, session: str) -> Session | None:
        """Return a session that is here, leaving or not."""
        for one in self.sessions:
            if one.session == session:
                return one
        return None

    def wake(self, now_ms: int) -> None:
        """Begin another life of the process: who was there is taken to be alive, and what is over by now is let go."""
        self.sessions = tuple(replace(one, seen_ms=max(one.seen_ms, now_ms)) for one in self.sessions)
        self.pass_time(now_ms)

    # Within.

    def _evicted(self, session: str) -> Leaving | None:
        for one in self.evicted:
            if one.session == session:
                return one.leaving
        return None

    def _remember(self, gone: list[Gone]) -> None:
        if gone:
            gone.sort(key=lambda one: (one.leaving.at_ms, one.session))
            self.evicted = (*self.evicted, *gone)[-MAX_EVICTED:]

    def _put(self, session: Session) -> Session:
        """Have a session here, in its place: the order is that of (`began_ms`, id), which never change."""
        for number, one in enumerate(self.sessions):
            if one.session == session.session:
                self.sessions = (*self.sessions[:number], session, *self.sessions[number + 1 :])
                return session
        number = len(self.sessions)
        while number and _place(self.sessions[number - 1]) > _place(session):
            number -= 1
        self.sessions = (*self.sessions[:number], session, *self.sessions[number:])
        return session

    def _counted(self, key: str | None, besides: str = "") -> tuple[Session, ...]:
        """Return those whom a limit counts and who are not leaving, the oldest first; None: all of them."""
        return tuple(
            one
            for one in self.sessions
            if one.leaving is None and one.session != besides and (key is None or key in one.keys)
        )

    def _retry_ms(self, key: str | None, now_ms: int) -> int | None:
        ends = [
            one.leaving.at_ms for one in self.sessions if one.leaving is not None and (key is None or key in one.keys)
        ]
        return max(0, min(ends) - now_ms) if ends else None

    def _hurry(self, limit: Limit, now_ms: int) -> list[str]:
        """Cut at once whoever is leaving beyond the one that may stay for its grace; those whose time is up first."""
        there = [one for one in self.sessions if limit.key in one.keys]
        excess = len(there) - limit.most - 1
        if excess <= 0:
            return []
        leaving = sorted((one.leaving.at_ms, *_place(one)) for one in there if one.leaving is not None)
        hurried = []
        for at_ms, _, session in leaving[:excess]:
            one = self.of(session)
            assert one is not None
            assert one.leaving is not None
            if at_ms > now_ms:
                self._put(replace(one, leaving=one.leaving._replace(at_ms=now_ms)))
                hurried.append(session)
        return hurried


def _gone(session: str, leaving: Leaving, now_ms: int) -> Gone:
    """Return what is remembered: whoever went before its time is cut at once, for its room is free from now on."""
    return Gone(session, leaving if leaving.at_ms <= now_ms else leaving._replace(at_ms=now_ms))


def _place(session: Session) -> tuple[int, str]:
    return session.began_ms, session.session


def _is_over(session: Session, now_ms: int) -> bool:
    leaving = session.leaving
    return (
        (leaving is not None and leaving.at_ms <= now_ms)
        or session.until_ms <= now_ms
        or session.seen_ms + session.dead_after_ms < now_ms
    )


def _is_same(one: Session, other: Session) -> bool:
    """Tell whether two states of a session differ in nothing but their signs of life."""
    return (one.until_ms, one.keys, one.about_text) == (other.until_ms, other.keys, other.about_text)


def _leaving(limit: Limit, wish: Wish, now_ms: int) -> Leaving:
    at_ms = now_ms + limit.grace_ms
    return Leaving(at_ms, limit.code, limit.key, wish.session, at_ms + (limit.memory_ms or 0))


def _seated(wish: Wish, known: Session | None, now_ms: int) -> Session:
    keys = known.keys if known else ()
    if any(limit.key not in keys for limit in wish.limits):
        keys = shared(tuple(dict.fromkeys((*keys, *(limit.key for limit in wish.limits)))))
    if known is not None:
        about_text = text_of(wish.about) if wish.about else known.about_text
        seen_ms = max(known.seen_ms, now_ms)
        return replace(known, seen_ms=seen_ms, until_ms=wish.until_ms, keys=keys, about_text=about_text)
    began_ms = now_ms if wish.began_ms is None else min(wish.began_ms, now_ms)
    return Session(
        wish.account, wish.session, sys.intern(wish.event_id), began_ms, now_ms, wish.until_ms, wish.dead_after_ms,
        keys, text_of(wish.about),
    )  # fmt: skip


@lru_cache(maxsize=4_096)
def shared(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same tuple for all that are equal: most sessions are counted by the same limits."""
    return keys
