"""The keepers of two processes over one book and one bus, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from kernel.bus import sessions_signal
from kernel.decisions import NOWHERE, Ending
from kernel.io.memory_bus import MemoryBus
from kernel.tokens import Claims, Reason
from kernel.value import replace
from relay.io import session_keeper as module
from relay.io.session_keeper import Denial, SessionKeeper
from relay.sessions.model import Limit, Order, Session
from tests.support.far_book import FarBook
from tests.support.tokens import NOW, claims
from tests.support.virtual_time import on_virtual_time


class Told:
    """Keep who was warned and who was ended, and when."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.warned: list[tuple[str, str, float]] = []
        self.ended: list[tuple[str, Reason, str, float]] = []

    def warn_session(self, session: str, ending: Ending) -> None:
        self.warned.append((session, ending.by, (ending.at_ms - 1_000 * NOW) / 1_000))

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        self.ended.append((session, reason, code, round(self._rig.passed, 3)))


class Rig:
    """Two relays, `here` and `there`. Time begins at NOW, and at 0 by `passed`."""

    def __init__(self, *limits: Limit, more: tuple[Limit, ...] = ()) -> None:
        self.loop = asyncio.get_running_loop()
        self._began = self.loop.time()
        self.limits, self.more = limits, more
        self.bus = MemoryBus(self.loop.time)
        self.said: list[list[object]] = []
        self.bus.listen(sessions_signal(), self.said.append)
        self.book = FarBook(lambda: self.wall)
        self.here, self.told_here = self.process()
        self.there, self.told_there = self.process()

    @property
    def passed(self) -> float:
        return self.loop.time() - self._began

    @property
    def wall(self) -> float:
        return NOW + self.passed

    def process(self, bus: MemoryBus | None = None) -> tuple[SessionKeeper, Told]:
        keeper = SessionKeeper(
            self.book, bus or self.bus, wall=lambda: self.wall, now=self.loop.time, limits=lambda _: self.limits,
            more=lambda _: self.more, about=lambda _, whence: {"address": whence.address},
        )  # fmt: skip
        told = Told(self)
        keeper.start(told)
        return keeper, told

    async def listed(self) -> list[Session]:
        return await self.book.of("ann")


@asynccontextmanager
async def running(*limits: Limit, more: tuple[Limit, ...] = ()) -> AsyncIterator[Rig]:
    rig = Rig(*limits, more=more)
    tasks = [asyncio.create_task(one.run()) for one in (rig.here, rig.there)]
    yield rig
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in (rig.here, rig.there):
        one.stop()
        one.stop()


def of(number: int) -> Claims:
    return claims(jti=f"t{number}", session=f"s{number}")


async def seat(keeper: SessionKeeper, number: int, *, media: bool = True) -> Denial | None:
    return await keeper.seat(of(number), NOWHERE, media=media)


async def watch(keeper: SessionKeeper, number: int, seconds: int) -> bool:
    """Ask for a segment each second, as a player does; return whether all were had."""
    for _ in range(seconds):
        if not keeper.touch(of(number)) and await seat(keeper, number) is not None:
            return False
        await asyncio.sleep(1)
    return True


ONE = Limit("event:game", 1, grace_ms=2_000)
NO_MORE = Limit("event:game", 2, Order.REJECT)


@on_virtual_time
async def test_the_first_request_takes_a_seat_and_later_ones_have_it() -> None:
    async with running(ONE) as rig:
        assert not rig.here.is_seated(of(1))
        assert await seat(rig.here, 1, media=False) is None
        assert rig.here.is_seated(of(1))
        assert (len(rig.here), len(rig.there)) == (1, 0)
        (session,) = await rig.listed()
        assert (session.session, session.keys, session.until_ms) == ("s1", ("event:game",), 1_000 * (NOW + 3_600))
        # On the other relay it is the same session: it keeps its one seat.
        assert await seat(rig.there, 1) is None
        assert await rig.listed() == [session]
        assert rig.said == []


@on_virtual_time
async def test_the_oldest_is_warned_everywhere_then_cut_at_its_time() -> None:
    async with running(ONE) as rig:
        await seat(rig.here, 1)
        await asyncio.sleep(1)
        assert await seat(rig.there, 2) is None
        for told in (rig.told_here, rig.told_there):
            assert told.warned == [("s1", "s2", 3.0)]
            assert told.ended == []
        assert rig.here.endings["s1"].code == "session_limit"
        assert rig.here.touch(of(1))
        await asyncio.sleep(5)
        for told in (rig.told_here, rig.told_there):
            assert told.ended == [("s1", Reason.EVICTED, "session_limit", 3.0)]
        assert await seat(rig.here, 1) == Denial(Reason.EVICTED, "session_limit")
        assert [one[:3] for one in rig.said] == [["leaving", "ann", "s1"]]
        assert rig.there.counts.evictions["session_limit"] == 1
        assert (rig.here.counts.admissions["evicted"], rig.there.counts.admissions["seated"]) == (1, 1)


@on_virtual_time
async def test_there_is_one_too_many_during_a_grace_and_never_two() -> None:
    async with running(ONE) as rig:
        for number in (1, 2, 3):
            assert await seat(rig.here, number) is None
            await asyncio.sleep(0.1)
        assert [one[0] for one in rig.told_there.ended] == ["s1"]
        assert [one[0] for one in rig.told_there.warned] == ["s1", "s2"]


@on_virtual_time
async def test_who_is_refused_is_told_why_and_those_who_look_on_now_and_then() -> None:
    async with running(NO_MORE) as rig:
        assert await seat(rig.here, 1) is None
        assert await seat(rig.here, 2) is None
        for _ in range(11):
            assert await seat(rig.here, 3) == Denial(Reason.SESSION_LIMIT, "session_limit")
            await asyncio.sleep(1)
        assert [one[0:3] for one in rig.said] == [["refused", "ann", "s3"]] * 2
        await rig.here.dismiss("ann", "s1", code="dismissed", by="ops", grace_ms=1_500)
        # When somebody is leaving anyway it is known when there may be room; not in the middle of a second.
        full = Limit("event:game", 1, Order.REJECT)
        rig.limits = (full,)
        assert await seat(rig.here, 3) == Denial(Reason.SESSION_LIMIT, "session_limit", 2)
        assert rig.here.counts.admissions["full"] == 12


@on_virtual_time
async def test_who_watches_stays_and_who_does_not_makes_room() -> None:
    async with running(NO_MORE) as rig:
        await seat(rig.here, 1)
        await seat(rig.here, 2)
        assert await watch(rig.here, 1, 28)
        assert (await seat(rig.there, 3)) is not None
        assert await watch(rig.here, 1, 4)
        assert await seat(rig.there, 3) is None
        assert [one.session for one in await rig.listed()] == ["s1", "s3"]
        # Having one and not asking for anything ends it on our side as well.
        assert not rig.here.is_seated(of(2))
        assert rig.here.counts.took["saw"].count == 16


@on_virtual_time
async def test_who_pauses_pushes_nobody_out_by_looking_at_playlists() -> None:
    async with running(ONE) as rig:
        await seat(rig.here, 1)
        await asyncio.sleep(33)
        assert await seat(rig.there, 2) is None
        # Its player polls on; the one that plays is not disturbed.
        assert not rig.here.is_seated(of(1))
        assert await seat(rig.here, 1, media=False) is None
        assert [one.session for one in await rig.listed()] == ["s2"]
        # That it plays again is another matter.
        assert await seat(rig.here, 1) is None
        assert rig.told_there.warned[0][0] == "s2"


@on_virtual_time
async def test_a_book_that_is_lost_is_filled_again_and_frees_nobody() -> None:
    async with running(ONE) as rig:
        await seat(rig.here, 1)
        await asyncio.sleep(1)
        await seat(rig.there, 2)
        await asyncio.sleep(3)
        (before,) = await rig.listed()
        rig.book.lose()
        assert rig.there.touch(of(2))
        await asyncio.sleep(2.1)
        (after,) = await rig.listed()
        assert replace(after, seen_ms=before.seen_ms) == before
        assert (rig.there.counts.refilled, rig.told_there.ended[1:]) == (1, [])
        # The gate of either process knows who had to go.
        assert "s1" in rig.here.endings
        assert "s1" in rig.there.endings


@on_virtual_time
async def test_who_finds_no_room_in_a_book_that_was_lost_has_to_go() -> None:
    async with running(Limit("event:game", 1, Order.REJECT)) as rig:
        await seat(rig.here, 1)
        await asyncio.sleep(1)
        rig.here.touch(of(1))
        rig.book.lose()
        await seat(rig.there, 2)
        await asyncio.sleep(2)
        assert [one[:3] for one in rig.told_here.ended] == [("s1", Reason.SESSION_LIMIT, "session_limit")]
        assert not rig.here.is_seated(of(1))


@on_virtual_time
async def test_who_was_evicted_elsewhere_is_found_by_its_sign_of_life() -> None:
    async with running(ONE) as rig:
        deaf, told = rig.process(MemoryBus(rig.loop.time))
        keeping = asyncio.create_task(deaf.run())
        await seat(deaf, 1)
        await asyncio.sleep(1)
        await seat(rig.there, 2)
        for _ in range(2):
            deaf.touch(of(1))
            await asyncio.sleep(1.5)
        assert told.warned == [("s1", "s2", 3.0)]
        assert told.ended == [("s1", Reason.EVICTED, "session_limit", 3.0)]
        keeping.cancel()
        deaf.stop()


@on_virtual_time
async def test_out_of_reach_who_is_here_goes_on_for_a_minute_and_nobody_comes() -> None:
    async with running(ONE) as rig:
        await seat(rig.here, 1)
        await asyncio.sleep(1)
        rig.book.is_near = False
        began = rig.passed
        assert await watch(rig.here, 1, 50)
        asked = rig.book.asked
        for _ in range(5):
            assert await seat(rig.there, 2) == Denial(Reason.STALE)
        assert rig.book.asked <= asked + 1
        assert rig.there.counts.admissions["unavailable"] == 5
        assert not await watch(rig.here, 1, 20)
        assert 60 <= rig.passed - began < 63
        rig.book.is_near = True
        await asyncio.sleep(2)
        # It was served until a moment ago: it is as old as it was.
        assert await seat(rig.here, 1) is None
        (session,) = await rig.listed()
        assert session.began_ms == 1_000 * NOW
        assert rig.told_here.ended == []


@on_virtual_time
async def test_who_leaves_by_itself_makes_room_and_is_not_brought_back_by_its_last_sign() -> None:
    async with running(NO_MORE) as rig:
        for number in (1, 2):
            await seat(rig.here, number)
            rig.here.touch(of(number))
        assert await rig.here.release("ann", "s1")
        # Whichever relay is told.
        assert await rig.there.release("ann", "s2")
        await asyncio.sleep(3)
        assert await rig.listed() == []
        assert len(rig.here) == 0
        assert not await rig.here.release("ann", "s1")
        # It may come back.
        assert await seat(rig.here, 1) is None


@on_virtual_time
async def test_whoever_is_dismissed_ends_everywhere_at_once() -> None:
    async with running() as rig:
        await seat(rig.here, 1)
        dismissed = await rig.there.dismiss("ann", "s1", code="dismissed", by="ops")
        assert dismissed is not None
        for told in (rig.told_here, rig.told_there):
            assert told.ended == [("s1", Reason.EVICTED, "dismissed", 0.0)]
        assert await rig.there.dismiss("ann", "s1", code="dismissed", by="ops") is None


@on_virtual_time
async def test_sockets_learn_of_what_happened_before_their_process_was_there() -> None:
    async with running(ONE) as rig:
        await seat(rig.here, 1)
        await seat(rig.here, 2)
        await asyncio.sleep(1)
        late, told = rig.process(MemoryBus(rig.loop.time))
        keeping = asyncio.create_task(late.run())
        for _ in range(2):
            for one in (of(1), of(2), of(3), claims(session="s9", scopes=frozenset({"server"}))):
                late.look(one)
        await asyncio.sleep(0.1)
        assert told.warned[:1] == [("s1", "s2", 2.0)]
        late.look(of(1))
        await asyncio.sleep(2)
        assert [one[0] for one in told.ended] == ["s1"]
        rig.book.is_near = False
        late.look(of(2))
        await asyncio.sleep(2)
        assert [one[0] for one in told.ended] == ["s1"]
        # To look takes no seat.
        rig.book.is_near = True
        assert [one.session for one in await rig.listed()] == ["s2"]
        keeping.cancel()
        late.stop()


@on_virtual_time
async def test_all_requests_of_a_session_wait_for_one_answer_and_who_hangs_up_ends_it_for_nobody() -> None:
    async with running(ONE) as rig:
        asking = [asyncio.create_task(seat(rig.here, 1)) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        assert await asyncio.gather(*asking[1:]) == [None] * 4
        assert rig.book.asked == 1
        # Another account's session of the same name is another one.
        assert await rig.here.seat(claims(account="bob", session="s1"), NOWHERE, media=True) is None
        assert rig.book.asked == 2
        assert not rig.here.is_seated(of(1))


@on_virtual_time
async def test_more_counts_from_the_second_request_for_media_on() -> None:
    async with running(more=(Limit("global", 1, Order.REJECT, "GLOBAL_ERROR"),)) as rig:
        for keeper, number in ((rig.here, 1), (rig.there, 2)):
            assert await seat(keeper, number, media=False) is None
            assert keeper.touch(of(number))
        assert [one.keys for one in await rig.listed()] == [(), ()]
        assert not rig.here.touch(of(1))
        assert await seat(rig.here, 1) is None
        assert rig.here.touch(of(1))
        # The second stream is one too many; it was let in, and is not any more.
        assert not rig.there.touch(of(2))
        assert await seat(rig.there, 2) == Denial(Reason.SESSION_LIMIT, "GLOBAL_ERROR")
        assert [one[:3] for one in rig.told_there.ended] == [("s2", Reason.SESSION_LIMIT, "GLOBAL_ERROR")]
        assert [(one.session, one.keys) for one in await rig.listed()] == [("s1", ("global",))]


@on_virtual_time
async def test_where_nothing_limits_there_may_be_more_than_are_listed() -> None:
    async with running() as rig:
        for number in range(70):
            assert await seat(rig.here, number) is None
            assert rig.here.touch(of(number))
        assert (len(rig.here), len(await rig.listed())) == (70, 64)
        await asyncio.sleep(3)
        assert len(rig.here) == 70


@on_virtual_time
async def test_a_renewed_token_goes_on_with_its_session() -> None:
    async with running(ONE) as rig:
        await seat(rig.here, 1)
        await asyncio.sleep(1)
        renewed = of(1)
        renewed = claims(jti="renewed", session="s1", expires=renewed.expires + 60, window=(NOW, renewed.expires + 60))
        assert not rig.here.touch(renewed)
        assert await rig.here.seat(renewed, NOWHERE, media=True) is None
        (session,) = await rig.listed()
        assert (session.began_ms, session.until_ms) == (1_000 * NOW, 1_000 * renewed.expires)
        # What the old one asks for still counts.
        assert rig.here.touch(of(1))


@on_virtual_time
async def test_the_books_time_may_be_another() -> None:
    async with running(ONE) as rig:
        rig.book.ahead_s = 40.0
        await seat(rig.here, 1)
        await seat(rig.here, 2)
        assert rig.told_here.warned == [("s1", "s2", 2.0)]
        assert await watch(rig.here, 2, 40)
        assert rig.told_here.ended == [("s1", Reason.EVICTED, "session_limit", 2.0)]
        assert [one.session for one in await rig.listed()] == ["s2"]


@on_virtual_time
async def test_what_is_said_wrongly_is_passed_over() -> None:
    async with running() as rig:
        with capture_logs() as logs:
            rig.bus.signal(sessions_signal(), ["leaving", "ann"])
            rig.bus.signal(sessions_signal(), ["leaving", "ann", "s1", "game", "soon", "", "", "", 0])
            rig.bus.signal(sessions_signal(), ["something else", "ann", "s1", "game", 0, "", "", "", 0])
        assert [line["event"] for line in logs] == ["session.not_understood"] * 4
        assert rig.here.endings == {}


@on_virtual_time
async def test_a_token_without_end_ends_in_time() -> None:
    async with running() as rig:
        far = 1 << 53
        assert await rig.here.seat(claims(expires=far, window=(0, far)), NOWHERE, media=True) is None
        (session,) = await rig.listed()
        assert session.until_ms == module.MAX_UNTIL_MS
