"""Who has no seat gets no video: playlists, segments and keys alike, by `Hls` and at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel.decisions import Ending
from kernel.io.memory_bus import MemoryBus
from kernel.tokens import Reason
from relay.io.at_once import PlaylistsAtOnce
from relay.io.session_keeper import SessionKeeper
from relay.sessions.model import Limit, Order
from tests.relay.io.test_hls import Site
from tests.support.far_book import FarBook
from tests.support.tokens import NOW, token


class Nobody:
    """Keep who was ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def warn_session(self, session: str, ending: Ending) -> None:
        """Tell nobody."""

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        self.ended.append(session)


class Seats:
    """A site whose accounts may have one session."""

    def __init__(self, folder: Path) -> None:
        self.limits: tuple[Limit, ...] = (Limit("event:game", 1, grace_ms=30_000),)
        self.wall = float(NOW)
        self.now = asyncio.get_running_loop().time()
        self.book = FarBook(lambda: self.wall)
        bus = MemoryBus(asyncio.get_running_loop().time)
        self.keeper = SessionKeeper(
            self.book, bus, wall=lambda: self.wall, now=lambda: self.now, limits=lambda _: self.limits
        )  # fmt: skip
        self.nobody = Nobody()
        self.keeper.start(self.nobody)
        self.site = Site(folder, sessions=self.keeper)
        self.site.open(0)
        self.at_once = PlaylistsAtOnce(
            {"game": self.site.relay}, admit=self.site.gate, wall=lambda: self.wall, now=lambda: 0.0,
            tell=lambda *_: None, is_seated=self.keeper.is_seated,
        )  # fmt: skip

    async def get(self, number: int, path: str = "index.m3u8") -> tuple[int, str, dict[str, str]]:
        """Return status, reason and fields of what a session is answered."""
        url = f"/hls/{token(jti=f't{number}', session=f's{number}')}/game/{path}"
        answer = await self.site.http.get(url)
        said = answer.json() if answer.headers["content-type"] == "application/problem+json" else {}
        return answer.status_code, said.get("reason", ""), dict(answer.headers)

    def asks_at_once(self, number: int) -> bytes | None:
        target = f"/hls/{token(jti=f't{number}', session=f's{number}')}/game/index.m3u8"
        return self.at_once(target.encode(), [], "192.0.2.1")

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.site.wall += seconds


@pytest.fixture
async def seats(tmp_path: Path) -> AsyncIterator[Seats]:
    seats = Seats(tmp_path)
    yield seats
    seats.keeper.stop()
    await seats.site.aclose()


SEGMENT = "main/0-0.ts"


async def test_a_playlist_takes_a_seat_and_is_answered_at_once_from_then_on(seats: Seats) -> None:
    assert seats.asks_at_once(1) is None
    assert (await seats.get(1))[0] == 200
    assert seats.asks_at_once(1) is not None
    assert seats.book.asked == 1
    # A segment, a renewed look at the list, a key that there is not: the book is asked no more.
    for path in (SEGMENT, "index.m3u8", "main/key-0123456789abcdef.bin"):
        await seats.get(1, path)
    assert seats.book.asked == 1


@pytest.mark.parametrize("path", ["index.m3u8", "main/index.m3u8", SEGMENT, "main/key-0123456789abcdef.bin"])
async def test_who_finds_no_room_gets_nothing(seats: Seats, path: str) -> None:
    seats.limits = (Limit("event:game", 1, Order.REJECT),)
    assert (await seats.get(1))[0] == 200
    status, reason, fields = await seats.get(2, path)
    assert (status, reason) == (403, "session_limit")
    assert "retry-after" not in fields
    await seats.keeper.dismiss("ann", "s1", code="dismissed", by="ops", grace_ms=4_000)
    seats.limits = (Limit("event:game", 1, Order.REJECT),)
    assert (await seats.get(2, path))[0] != 403


async def test_when_there_may_be_room_is_told(seats: Seats) -> None:
    seats.limits = (Limit("event:game", 2, Order.REJECT),)
    for number in (1, 2):
        await seats.get(number)
    await seats.keeper.dismiss("ann", "s1", code="dismissed", by="ops", grace_ms=4_100)
    assert (await seats.get(3))[0] == 200
    status, _, fields = await seats.get(4)
    assert (status, fields["retry-after"]) == (403, "5")


async def test_who_has_to_go_is_told_by_what_it_asks_for_and_then_refused(seats: Seats) -> None:
    await seats.get(1)
    _, _, fields = await seats.get(1, SEGMENT)
    assert "lockstep-warning" not in fields
    await seats.get(2)
    for path in ("index.m3u8", SEGMENT):
        status, _, fields = await seats.get(1, path)
        assert (status, fields["lockstep-warning"]) == (200, "leaving")
        assert fields["lockstep-session-ends"] == str(1_000 * NOW + 30_000)
    # It goes the long way, for what is kept says nothing.
    assert seats.asks_at_once(1) is None
    seats.pass_s(30)
    for path in ("index.m3u8", SEGMENT):
        assert (await seats.get(1, path))[:2] == (403, "evicted")
        assert (await seats.get(2, path))[0] == 200


async def test_who_has_to_go_already_learns_it_with_its_first_answer(seats: Seats) -> None:
    await seats.get(1)
    await seats.get(2)
    # Another process, which has heard nothing.
    seats.keeper._seats.__init__()  # type: ignore[misc]
    seats.site.gate._endings = seats.keeper.endings
    status, _, fields = await seats.get(1)
    assert (status, fields["lockstep-warning"]) == (200, "leaving")


async def test_what_is_not_there_takes_no_seat(seats: Seats) -> None:
    answer = await seats.site.http.get(f"/hls/{token(event_id='other')}/other/index.m3u8")
    assert answer.status_code == 404
    assert seats.book.asked == 0


async def test_while_the_book_cannot_be_asked_nobody_comes_and_who_is_here_stays(seats: Seats) -> None:
    await seats.get(1)
    seats.book.is_near = False
    status, reason, fields = await seats.get(2)
    assert (status, reason, fields["retry-after"]) == (503, "stale", "2")
    assert (await seats.get(1, SEGMENT))[0] == 200


async def test_a_player_that_pauses_reads_its_list_and_pushes_nobody_out(seats: Seats) -> None:
    await seats.get(1)
    seats.pass_s(31)
    seats.keeper._seats.sweep(seats.now, 10)
    assert (await seats.get(1))[0] == 200
    assert seats.book.asked == 1
    assert (await seats.get(1, SEGMENT))[0] == 200
    assert seats.book.asked == 2
