"""Scripts run in Redis for many callers over one connection: those who wait go together.

While one call is under way the next callers wait, and go in one write when it is answered: a thousand who come at once
are a few round trips. A call is tried twice, within a second in all: a connection that died while nobody used it is no
trouble of the caller's. So whatever is run here must do no harm when it is run twice. Of those that go together any may
run first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from kernel.errors import BookUnavailable, BusUnavailable
from kernel.io.redis_link import RedisLink, is_refusal, is_unknown_script
from kernel.io.redis_outbox import Command
from relay.io.redis_steps import Script

PATIENCE_S = 1.0
"""How long a caller whose turn has come waits for Redis, in seconds; one that is alive answers within a millisecond."""

FIRST_TRY = 0.4
"""The first attempt's part of it."""

MAX_TOGETHER = 256
"""Calls that go in one write: Redis is through with them in some ten milliseconds."""

MAX_WAITING = 20_000
"""Callers that wait for a Redis that does not answer; more are told at once that it does not."""


class _Call(NamedTuple):
    script: Script
    rest: Command
    future: asyncio.Future[Any]


class RedisCalls:
    """Run scripts; connects when it is needed.

    Args:
        url: of the Redis.
        patience_s: how long a caller whose turn has come waits, in seconds.

    Raises:
        SettingsError: it is no such URL.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._link = RedisLink(url)
        self._patience_s = patience_s
        self._waiting: list[_Call] = []
        self._working: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]) -> Any:
        """Run a script and return its answer.

        Raises:
            BookUnavailable: there is no answer; it may have run, once or twice, or not.
        """
        if self._closed or len(self._waiting) >= MAX_WAITING:
            raise BookUnavailable("the book is closed" if self._closed else "Redis: too many wait for it")
        call = _Call(script, (len(keys), *keys, *arguments), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="book")
        return await call.future

    async def aclose(self) -> None:
        """Drop the connection; whoever waits is told. Closing again does nothing."""
        self._closed = True
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        await self._link.aclose()

    # Within.

    async def _work(self) -> None:
        batch: list[_Call] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
                await self._serve(batch)
        finally:
            # Cancelled: nobody may wait for ever.
            for call in (*batch, *self._waiting):
                _fail(call, "the book is closed")
            self._waiting = []
            self._working = None

    async def _serve(self, batch: list[_Call]) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                answers = await self._ask([("EVALSHA", call.script.sha, *call.rest) for call in batch])
                unknown = [at for at, answer in enumerate(answers) if is_unknown_script(answer)]
                if unknown:
                    # A Redis that was started since: it did nothing yet, and knows the script from now on.
                    again = await self._ask([("EVAL", batch[at].script.text, *batch[at].rest) for at in unknown])
                    for at, answer in zip(unknown, again, strict=True):
                        answers[at] = answer
        except (BusUnavailable, TimeoutError) as error:
            for call in batch:
                _fail(call, str(error) or "Redis: no answer in time")
            return
        for call, answer in zip(batch, answers, strict=True):
            if is_refusal(answer):
                _fail(call, f"Redis refuses: {answer}")
            elif not call.future.done():
                call.future.set_result(answer)
        if any(is_refusal(answer) for answer in answers):
            # One that is being loaded, or no longer the primary: the next call finds its place anew.
            await self._link.aclose()

    async def _ask(self, commands: list[Command]) -> list[Any]:
        try:
            return await self._link.call(*commands, timeout_s=FIRST_TRY * self._patience_s)
        except BusUnavailable:
            return await self._link.call(*commands, timeout_s=self._patience_s)


def _fail(call: _Call, why: str) -> None:
    if not call.future.done():
        call.future.set_exception(BookUnavailable(why))
