"""The scripts do what `Account` does: the same steps, at random, in a real redis-server and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.io.redis_book import RedisBook
from relay.sessions.account import ROOM
from relay.sessions.book import SessionBook
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import MAX_EVICTED, MAX_SESSIONS, Full, Limit, Order, Sign, Wish
from tests.support.redis_server import PATIENCE_S, RedisServer

START_MS = 1_790_000_000_000
# In the order of their bytes, which is not that of any language.
SESSIONS = ("B", "a", "ä", "\ud800\0x")


class Clock:
    ms = START_MS

    def __call__(self) -> float:
        # Half a millisecond more: whatever rounds it gets the same.
        return (self.ms + 0.5) / 1_000


class Pair(NamedTuple):
    run: asyncio.Runner
    clock: Clock
    redis: RedisBook
    server: RedisServer


async def learn(book: RedisBook) -> None:
    """Have Redis know all scripts: one that it does not know runs behind what goes with it."""
    await take(book, "admit", {"session": "", "limits": (), "lasts_ms": 0, "dead_after_ms": 1, "about": {}}, 0)
    await take(book, "release", "", 0)
    await take(book, "dismiss", ("", 0, 0), 0)
    await book.of("")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with asyncio.Runner() as runner:
        server: RedisServer = RedisServer(Path(tmp_path_factory.mktemp("redis")))
        runner.run(server.start())
        clock = Clock()
        book = RedisBook(server.url, wall=clock, clock=clock, patience_s=PATIENCE_S)
        runner.run(learn(book))
        yield Pair(runner, clock, book, server)
        runner.run(book.aclose())
        runner.run(server.aclose())


def limits() -> st.SearchStrategy[Limit]:
    return st.builds(
        Limit,
        st.sampled_from(("event:final", "event:final", "plan:säson", "category:1")),
        st.sampled_from((1, 1, 1, 2, 2, 0)),
        st.sampled_from((*Order, Order.OLDEST_FIRST, Order.OLDEST_FIRST, Order.NEWEST_FIRST)),
        st.sampled_from(("session_limit", "CATEGORY_ERROR")),
        st.sampled_from((0, 1, 5_000, 30_000)),
        st.sampled_from((None, None, 0, 60_000)),
    )


def wishes() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "session": st.sampled_from(SESSIONS),
            "limits": st.lists(limits(), max_size=3).map(tuple),
            "lasts_ms": st.sampled_from((3_600_000, 3_600_000, 3_600_000, 20_000, 1, 0)),
            "dead_after_ms": st.sampled_from((30_000, 12_000)),
            "about": st.sampled_from(({}, {"device": "tv"}, {"place": "Zürich", "network": ""})),
            "began_ms": st.sampled_from((None, None, START_MS - 1, START_MS - 1, START_MS + 60_000)),
        }
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), wishes()),
        st.tuples(st.just("admit"), wishes()),
        st.tuples(st.just("pass"), st.sampled_from((1, 1_000, 4_999, 5_000, 12_000, 30_000, 60_000))),
        st.tuples(
            st.just("saw"),
            st.lists(st.tuples(st.sampled_from(SESSIONS), st.sampled_from((-5, 0, 999, 20_000))), max_size=4),
        ),
        st.tuples(st.just("release"), st.sampled_from(SESSIONS)),
        st.tuples(
            st.just("dismiss"),
            st.tuples(
                st.sampled_from(SESSIONS), st.sampled_from((0, 5_000, 30_000)), st.sampled_from((None, 0, 60_000))
            ),
        ),
    ),
    min_size=20,
    max_size=40,
)


async def take(book: SessionBook, what: str, how: Any, now_ms: int) -> Any:
    match what:
        case "admit":
            wish = dict(how)
            until_ms = now_ms + wish.pop("lasts_ms")
            return await book.admit(Wish(account="anna", event_id="final", until_ms=until_ms, **wish))
        case "saw":
            return await book.saw([Sign("anna", session, now_ms - ago_ms) for session, ago_ms in how])
        case "release":
            return await book.release("anna", how)
        case "dismiss":
            session, grace_ms, memory_ms = how
            return await book.dismiss("anna", session, code="kicked", by="op", grace_ms=grace_ms, memory_ms=memory_ms)


async def both(pair: Pair, steps: list[tuple[str, Any]]) -> None:
    pair.clock.ms = START_MS
    await pair.server.ask("FLUSHALL")
    memory = MemoryBook(wall=pair.clock)
    for what, how in steps:
        if what == "pass":
            pair.clock.ms += how
            continue
        expected = await take(memory, what, how, pair.clock.ms)
        # In one write, one behind the other.
        outcome, there = await asyncio.gather(take(pair.redis, what, how, pair.clock.ms), pair.redis.of("anna"))
        assert outcome == expected
        if what != "saw":
            assert there == await memory.of("anna")
    # Those who may not come back, too; signs of long ago change nothing.
    signs = [Sign("anna", session, 0) for session in SESSIONS]
    assert await pair.redis.saw(signs) == await memory.saw(signs)
    assert await pair.redis.accounts("", 2) == await memory.accounts("", 2)


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_same_steps_have_the_same_outcomes(pair: Pair, steps: list[tuple[str, Any]]) -> None:
    pair.run.run(both(pair, steps))


def test_so_they_have_where_there_are_very_many(pair: Pair) -> None:
    async def run() -> None:
        pair.clock.ms = START_MS
        await pair.server.ask("FLUSHALL")
        memory, random = MemoryBook(wall=pair.clock), Random(7)
        room = Limit("event:final", MAX_SESSIONS, Order.REJECT)
        until_ms = START_MS + 3_600_000
        last = None
        for n in range(MAX_SESSIONS + 1):
            wish = Wish("anna", f"{random.randrange(1 << 30):x}", "final", (room,) * (n % 2), until_ms, 30_000, {})
            last = await memory.admit(wish)
            assert await pair.redis.admit(wish) == last
            pair.clock.ms += random.randrange(2)
        assert isinstance(last, Full)
        assert last.limit is ROOM
        # Half of them have to go, at once or in turn; then more than are remembered.
        for n, most in ((0, 40), (1, 3), *((2, 2) for _ in range(MAX_EVICTED + 9))):
            limit = Limit(f"plan:{n}", most, random.choice((Order.OLDEST_FIRST, Order.NEWEST_FIRST)), grace_ms=n // 2)
            for one in await memory.of("anna"):
                wish = Wish("anna", one.session, "final", (limit,), until_ms, 30_000, {})
                assert await pair.redis.admit(wish) == await memory.admit(wish)
            wish = Wish("anna", f"{random.randrange(1 << 30):x}", "final", (limit,), until_ms, 30_000, {})
            assert await pair.redis.admit(wish) == await memory.admit(wish)
            pair.clock.ms += 1
        signs = [Sign("anna", one.session, 0) for one in await memory.of("anna")]
        signs += [Sign("anna", gone.session, 0) for gone in memory._accounts["anna"].evicted]
        assert len(signs) > MAX_EVICTED
        assert await pair.redis.saw(signs) == await memory.saw(signs)
        assert await pair.redis.of("anna") == await memory.of("anna")

    pair.run.run(run())
