"""The book of sessions in Redis, where houses run apart: all processes ask the same one, by one script a step.

Redis' clock is the time of the book. What is in Redis survives all of us; whether it survives Redis is up to its
settings: without an append-only file a Redis that dies forgets who watches, and whoever is watching is let in again
with the next request.

Steps and signs of life go over a connection each: who wants in does not wait behind a thousand signs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from kernel.io.redis_link import address_of
from relay.io.redis_calls import PATIENCE_S, RedisCalls
from relay.io.redis_steps import ACCOUNTS, ADMIT, DISMISS, FIND, OF, RELEASE, SAW
from relay.sessions.account import ROOM, shared
from relay.sessions.model import (
    Evicted,
    Full,
    Leaving,
    Life,
    Outcome,
    Seated,
    Session,
    Sign,
    Standing,
    Wish,
    text_of,
)

SIGNS_AT_ONCE = 100
"""Signs of life of one script: a millisecond or two of Redis, in which nobody else is served."""

LOOKED_AT_ONCE = 200
"""Accounts of one script that lists them."""


class RedisBook:
    """Implement `relay.sessions.book.SessionBook`; connects when it is needed. Close it inside the same loop.

    Args:
        url: of the Redis; never logged with its password.
        wall: the time of day in Unix seconds, by which callers say when a session was seen.
        prefix: begins every key.
        clock: what time it is for the book, in Unix seconds; for tests, None: Redis says it.
        patience_s: how long a call may take once its turn has come, in seconds.

    Raises:
        SettingsError: the URL is none of a Redis.
    """

    def __init__(
        self, url: str, *, wall: Callable[[], float], prefix: str = "lockstep",
        clock: Callable[[], float] | None = None, patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self.address: Final = address_of(url)
        self._wall, self._clock = wall, clock
        self._steps, self._signs = (RedisCalls(url, patience_s=patience_s) for _ in range(2))
        self._place = f"{prefix}:sessions:of:".encode()
        self._index = f"{prefix}:sessions".encode()
        self._turn = f"{prefix}:sessions:turn".encode()

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not."""
        limits = [
            word
            for one in wish.limits
            for word in (
                _bytes(one.key), one.most, one.order.value, _bytes(one.code), one.grace_ms, _number(one.memory_ms)
            )
        ]  # fmt: skip
        kind, *told = await self._step(
            ADMIT, wish.account, wish.session, _bytes(wish.event_id), wish.until_ms, wish.dead_after_ms,
            text_of(wish.about) if wish.about else "", _number(wish.began_ms), self._place, *limits,
        )  # fmt: skip
        if kind == b"evicted":
            return Evicted(_leaving(told[0]))
        if kind == b"full":
            limit, conflicts, retry_ms = told
            counted = tuple(_session(wish.account, one) for one in conflicts)
            return Full(wish.limits[limit - 1] if limit else ROOM, counted, retry_ms)
        seated, leaving = told
        return Seated(_session(wish.account, seated), tuple(_session(wish.account, one) for one in leaving))

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life, and return how each session stands."""
        parts = [signs[at : at + SIGNS_AT_ONCE] for at in range(0, len(signs), SIGNS_AT_ONCE)]
        lives = await asyncio.gather(*(self._saw(part) for part in parts))
        return [
            Standing(Life(life.decode()), _leaving(*rest) if rest else None) for part in lives for life, *rest in part
        ]

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself. Return whether it was there."""
        return bool(await self._step(RELEASE, account, session))

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away; return it with its `leaving`, None if it is not there."""
        dismissed = await self._step(DISMISS, account, session, _bytes(code), _bytes(by), grace_ms, _number(memory_ms))
        return None if dismissed is None else _session(account, dismissed)

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account, the oldest first."""
        return [_session(account, one) for one in await self._step(OF, account)]

    async def find(self, session: str) -> str | None:
        """Return whose a session is that is here, None if it is nobody's."""
        wanted, last = _bytes(session), b""
        while True:
            name, last = await self._steps.run(
                FIND, [self._index], (self._now(), self._place, last, LOOKED_AT_ONCE, wanted)
            )
            if name is not None:
                return _text(name)
            if not last:
                return None

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return up to `count` accounts with sessions beyond `after`, in the order of their names."""
        found: list[str] = []
        last = _bytes(after)
        while len(found) < count:
            arguments = (self._now(), self._place, last, LOOKED_AT_ONCE)
            names, last = await self._steps.run(ACCOUNTS, [self._index], arguments)
            found += [_text(name) for name in names]
            if not last:
                break
        return found[:count]

    async def aclose(self) -> None:
        """Drop the connections; whoever waits is told. Closing again does nothing."""
        await self._steps.aclose()
        await self._signs.aclose()

    # Within.

    async def _step(self, script: Any, account: str, *arguments: Any) -> Any:
        name, rest = _bytes(account), arguments
        if rest:
            rest = (_bytes(rest[0]), *rest[1:])
        keys = (self._place + name, self._index, self._turn)
        return await self._steps.run(script, keys, (self._now(), name, *rest))

    async def _saw(self, signs: Sequence[Sign]) -> list[list[Any]]:
        now_ms = int(self._wall() * 1_000)
        names = [_bytes(sign.account) for sign in signs]
        keys = (self._index, *(self._place + name for name in names))
        words = [
            word
            for name, sign in zip(names, signs, strict=True)
            for word in (name, _bytes(sign.session), max(0, now_ms - sign.seen_ms))
        ]
        lives: list[list[Any]] = await self._signs.run(SAW, keys, (self._now(), *words))
        return lives

    def _now(self) -> int | str:
        return "" if self._clock is None else int(self._clock() * 1_000)


def _bytes(text: str) -> bytes:
    # Whatever a text holds comes back as it was.
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _number(number: int | None) -> int | str:
    return "" if number is None else number


def _leaving(told: list[Any]) -> Leaving:
    at_ms, code, key, by, until_ms = told
    return Leaving(at_ms, _text(code), _text(key), _text(by), until_ms)


def _session(account: str, told: list[Any]) -> Session:
    session, event_id, began_ms, seen_ms, until_ms, dead_after_ms, keys, about, leaving = told
    return Session(
        account, _text(session), _text(event_id), began_ms, seen_ms, until_ms, dead_after_ms,
        shared(tuple(_text(key) for key in keys)), _text(about), None if leaving is None else _leaving(leaving),
    )  # fmt: skip
