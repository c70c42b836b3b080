from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.revocation import Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import Claims, Keyring, Purpose
from relay.gate import Gate
from relay.io.player_desk import PlayerDesk
from relay.io.session_keeper import SessionKeeper
from relay.stream_count.known import KnownRules
from relay.stream_count.player_event import PATH, template_of
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier
from tests.support.far_book import FarBook
from tests.support.tokens import KEYS, NOW, claims

FIFO = '{"stream_count": {"global": 2}}'
LIFO = '{"stream_count": {"global": 2, "order": "lifo"}}'


class Rig:
    """A desk, a keeper with a book in memory, and a client."""

    def __init__(self) -> None:
        self.now = float(NOW)
        loop = asyncio.get_running_loop()
        self.bus, self.known, self.index = MemoryBus(loop.time), KnownRules(), RevocationIndex()
        self.book = FarBook(lambda: self.now)
        self.keeper = SessionKeeper(
            self.book, self.bus, wall=lambda: self.now, now=lambda: self.now, more=self.known.limits
        )  # fmt: skip
        gate = Gate(TokenCache(TokenVerifier(KEYS)), self.index)
        verifier = TokenVerifier(KEYS, Purpose.PLAYER_EVENT)
        self.desk = PlayerDesk(verifier, gate, self.keeper, self.known, self.bus, wall=lambda: self.now, tenant="club")
        self.desk.start()
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://player.test")

    async def post(self, who: Claims, word: str = "play", **client: Any) -> httpx2.Response:
        template = template_of(who, self.known.rules, Keyring(KEYS))
        template["client"] |= {"playerEvent": word, **client}
        return await self.http.post(PATH, json=template)

    async def aclose(self) -> None:
        self.desk.stop()
        self.keeper.stop()
        await self.http.aclose()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.aclose()


def of(number: int, **more: Any) -> Claims:
    return claims(jti=f"t{number}", session=f"s{number}", **more)


async def test_two_events_make_a_stream(rig: Rig) -> None:
    rig.known.heard(FIFO)
    for number in (1, 2, 3):
        answer = await rig.post(of(number))
        assert (answer.status_code, answer.json()) == (200, {})
        rig.now += 1
    # One event each: three are there, none is counted.
    for number in (1, 2):
        assert (await rig.post(of(number), "heartbeat")).status_code == 200
        rig.now += 1
    assert (await rig.post(of(1))).json() == {}
    # The third one's second: the oldest has to go, and all of the account are told.
    third = await rig.post(of(3))
    assert third.status_code == 200
    assert {name: event["kickReason"] for name, event in third.json().items()} == {
        "s1": {"errorCode": "GLOBAL_ERROR", "errorMessage": "Max number (2) active streams is reached"}
    }
    assert (await rig.post(of(2))).json() == third.json()
    kicked = await rig.post(of(1))
    assert (kicked.status_code, kicked.json()) == (403, third.json())
    assert (await rig.post(of(9, account="ben"))).json() == {}
    # A kick is remembered for a minute; after that the same id is a new session.
    rig.now += 59
    assert (await rig.post(of(1))).status_code == 403


async def test_after_a_minute_the_id_is_a_new_session_s(rig: Rig) -> None:
    rig.known.heard('{"stream_count": {"global": 1}}')
    for _ in range(2):
        for number in (1, 2):
            await rig.post(of(number))
    assert (await rig.post(of(1))).status_code == 403
    rig.now += 60
    while rig.keeper.is_sent_away("s1"):
        await rig.keeper._sweep()
    assert (await rig.post(of(1))).status_code == 200


async def test_last_in_first_out_where_that_is_the_order(rig: Rig) -> None:
    rig.known.heard(LIFO)
    for _ in range(2):
        for number in (1, 2):
            assert (await rig.post(of(number))).status_code == 200
    assert (await rig.post(of(3))).status_code == 200
    third = await rig.post(of(3))
    assert third.status_code == 403
    assert third.json()["s3"]["kickReason"]["errorMessage"] == "Max number (2) active streams is reached"
    assert (await rig.post(of(1))).json() == third.json()
    assert (await rig.post(of(3))).status_code == 403


async def test_a_grace_is_given_to_the_last_one_too(rig: Rig) -> None:
    rig.known.heard('{"stream_count": {"global": 0, "order": "lifo", "grace_sec": 5}}')
    await rig.post(of(1))
    assert (await rig.post(of(1))).status_code == 200
    rig.now += 5
    assert (await rig.post(of(1))).status_code == 403


async def test_what_the_account_has_bought_overrides_the_rules(rig: Rig) -> None:
    rig.known.heard(FIFO)
    for _ in range(2):
        for number in range(4):
            assert (await rig.post(of(number, streams=(("", 3),)))).status_code == 200
    kicked = await rig.post(of(0, streams=(("", 3),)))
    assert kicked.status_code == 403
    assert kicked.json()["s0"]["kickReason"]["errorCode"] == "USER_ERROR"


async def test_who_stops_makes_room(rig: Rig) -> None:
    rig.known.heard('{"stream_count": {"global": 1}}')
    await rig.post(of(1))
    await rig.post(of(1))
    assert (await rig.post(of(1), "STOP")).status_code == 200
    await rig.post(of(2))
    assert (await rig.post(of(2))).json() == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"client": {"viewingSession": "s1"}}', 400),
        (b'{"client": {"viewingSession": "s1", "playerEvent": "play"}, "logData": "a.b.c"}', 401),
        (b"x" * 20_000, 413),
    ],
)
async def test_what_is_no_player_event(rig: Rig, body: bytes, status: int) -> None:
    answer = await rig.http.post(PATH, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_who_is_not_who_they_say(rig: Rig) -> None:
    # Another session's name, a session's token, one that is over, one that is revoked.
    assert (await rig.post(of(1), viewingSession="s2")).status_code == 401
    token = Keyring(KEYS).issue(of(1))
    body = {"client": {"viewingSession": "s1", "playerEvent": "play"}, "logData": token}
    assert (await rig.http.post(PATH, json=body)).status_code == 401
    over = await rig.post(of(1, expires=NOW - 1))
    assert (over.status_code, over.json()["reason"]) == (401, "expired")
    rig.index.apply(Revocation("r1", Subject(SubjectKind.SESSION, "s1"), "fraud", NOW, None, "ops"))
    assert (await rig.post(of(1))).json()["reason"] == "revoked"
    assert rig.book.asked == 0


async def test_where_the_book_is_out_of_reach_they_come_again(rig: Rig) -> None:
    rig.book.is_near = False
    for word in ("play", "stop"):
        answer = await rig.post(of(1), word)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_browsers_may_ask(rig: Rig) -> None:
    answer = await rig.http.options(PATH)
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
