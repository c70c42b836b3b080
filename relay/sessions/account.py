"""The sessions of one account, and what becomes of them: the rules of `relay/sessions/book.py`, one step each.

The script that does the same in Redis is held to this by a suite; whoever changes one changes both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.sessions.model import (
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
)

ROOM = Limit("", MAX_SESSIONS, Order.REJECT)
"""What says so where an account has more sessions than anybody has devices."""


@dataclass(slots=True)
class Account:
    """One account. `sessions` are those who are here, `evicted` those who may not come back, by id."""

    sessions: dict[str, Session] = field(default_factory=dict)
    evicted: dict[str, Leaving] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to know of it."""
        return not (self.sessions or self.evicted)

    def admit(self, wish: Wish, *, now_ms: int) -> Outcome:
        """Let a session in, or say why not; either the whole of it happens, or nothing but that time has passed."""
        self.pass_time(now_ms)
        if (evicted := self.evicted.get(wish.session)) is not None:
            return Evicted(evicted)
        known = self.sessions.get(wish.session)
        if known is not None and known.leaving is not None:
            self.sessions[wish.session] = known = known._replace(seen_ms=max(known.seen_ms, now_ms))
            return Seated(known)
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
        for session, leaving in going.items():
            self.sessions[session] = self.sessions[session]._replace(leaving=leaving)
        self.sessions[wish.session] = seated = self._seated(wish, known, now_ms)
        hurried = {session for limit in limits for session in self._hurry(limit, now_ms)}
        told = tuple(one for one in self._in_order() if one.session in going or one.session in hurried)
        self.pass_time(now_ms)
        return Seated(seated, told)

    def saw(self, session: str, *, seen_ms: int, now_ms: int) -> Standing:
        """Take a sign of life, and return how the session stands."""
        self.pass_time(now_ms)
        if (evicted := self.evicted.get(session)) is not None:
            return Standing(Life.EVICTED, evicted)
        known = self.sessions.get(session)
        if known is None:
            return Standing(Life.GONE)
        if known.seen_ms < seen_ms:
            self.sessions[session] = known._replace(seen_ms=min(seen_ms, now_ms))
        return Standing(Life.LIVE if known.leaving is None else Life.LEAVING, known.leaving)

    def release(self, session: str, *, now_ms: int) -> bool:
        """Let a session leave by itself; one that has to go may not come back all the same."""
        self.pass_time(now_ms)
        known = self.sessions.pop(session, None)
        if known is not None and known.leaving is not None:
            self.evicted[session] = known.leaving
        return known is not None

    def dismiss(
        self, session: str, *, code: str, by: str, grace_ms: int, memory_ms: int | None, now_ms: int
    ) -> Session | None:
        """Send a session away; return it as it was left, None if it is not there."""
        self.pass_time(now_ms)
        known = self.sessions.get(session)
        if known is None:
            return None
        at_ms = now_ms + grace_ms
        if known.leaving is None or at_ms < known.leaving.at_ms:
            until_ms = known.until_ms if memory_ms is None else at_ms + memory_ms
            self.sessions[session] = known = known._replace(leaving=Leaving(at_ms, code, "", by, until_ms))
            self.pass_time(now_ms)
        return known

    def pass_time(self, now_ms: int) -> None:
        """Let go of what is over: dead sessions, those whose grace has ended, and what need not be remembered."""
        for one in list(self.sessions.values()):
            leaving = one.leaving
            if leaving is not None and leaving.at_ms <= now_ms:
                del self.sessions[one.session]
                self.evicted[one.session] = leaving
            elif one.until_ms <= now_ms or one.seen_ms + one.dead_after_ms < now_ms:
                del self.sessions[one.session]
                if leaving is not None:
                    # It had to go; that it went before its time does not let it come back.
                    self.evicted[one.session] = leaving
        for session in [session for session, leaving in self.evicted.items() if leaving.until_ms <= now_ms]:
            del self.evicted[session]

    def listed(self) -> list[Session]:
        """Return the sessions, the oldest first."""
        return self._in_order()

    # Within.

    def _in_order(self) -> list[Session]:
        return sorted(self.sessions.values(), key=lambda one: (one.began_ms, one.session))

    def _counted(self, key: str | None, besides: str = "") -> tuple[Session, ...]:
        """Return those whom a limit counts and who are not leaving, the oldest first; None: all of them."""
        return tuple(
            one
            for one in self._in_order()
            if one.leaving is None and one.session != besides and (key is None or key in one.keys)
        )

    def _retry_ms(self, key: str | None, now_ms: int) -> int | None:
        ends = [
            one.leaving.at_ms
            for one in self.sessions.values()
            if one.leaving is not None and (key is None or key in one.keys)
        ]
        return max(0, min(ends) - now_ms) if ends else None

    def _seated(self, wish: Wish, known: Session | None, now_ms: int) -> Session:
        keys = tuple(dict.fromkeys((*(known.keys if known else ()), *(limit.key for limit in wish.limits))))
        if known is not None:
            return known._replace(
                seen_ms=max(known.seen_ms, now_ms), until_ms=wish.until_ms, keys=keys, about=wish.about or known.about
            )
        began_ms = now_ms if wish.began_ms is None else min(wish.began_ms, now_ms)
        return Session(
            wish.account, wish.session, wish.event_id, began_ms, now_ms, wish.until_ms, wish.dead_after_ms, keys,
            wish.about,
        )  # fmt: skip

    def _hurry(self, limit: Limit, now_ms: int) -> list[str]:
        """Cut at once whoever is leaving beyond the one that may stay for its grace; those whose time is up first."""
        there = [one for one in self.sessions.values() if limit.key in one.keys]
        leaving = sorted((one.leaving.at_ms, one.began_ms, one.session) for one in there if one.leaving is not None)
        hurried = []
        for _, _, session in leaving[: max(0, len(there) - limit.most - 1)]:
            one = self.sessions[session]
            assert one.leaving is not None
            if one.leaving.at_ms > now_ms:
                self.sessions[session] = one._replace(leaving=one.leaving._replace(at_ms=now_ms))
                hurried.append(session)
        return hurried


def _leaving(limit: Limit, wish: Wish, now_ms: int) -> Leaving:
    at_ms = now_ms + limit.grace_ms
    return Leaving(at_ms, limit.code, limit.key, wish.session, at_ms + (limit.memory_ms or 0))
