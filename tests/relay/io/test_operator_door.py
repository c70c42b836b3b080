from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import Response

from kernel.errors import DecodeError, JournalError
from kernel.io.http import exception_handlers
from relay.api import Answer, Body, Operation, Told
from relay.io.operator_door import Call, allow_together, told
from relay.operators import OperatorScope, operator_key
from relay.quota import QuotaLimits
from tests.support.doors import FULL, READER, Door, open_door


class Wish(Body):
    n: int


class Done(Told):
    n: int
    by: str
    why: str | None = None


MAKE = Operation(
    method="POST", path="/things", name="make", summary="Make", tag="t", scope=OperatorScope.REVOKE, body=Wish,
    idempotent=True, answers={201: Answer("made", Done)},
)  # fmt: skip
SHOW = Operation(
    method="GET", path="/things/{id}", name="show", summary="Show", tag="t", scope=OperatorScope.READ,
    answers={200: Answer("shown", Done)},
)  # fmt: skip


LIST = Operation(
    method="GET", path="/things", name="list", summary="List", tag="t", scope=OperatorScope.READ,
    answers={204: Answer("none")},
)  # fmt: skip


class Rig:
    """Some routes behind a door."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.calls: list[Call] = []
        self.entered = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.fault: Exception | None = None
        routes = [door.route(MAKE, self._make), door.route(LIST, self._list), door.route(SHOW, self._show)]
        allow_together(routes)
        app = Starlette(routes=routes, exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://ops.test")

    async def _make(self, call: Call) -> Response:
        self.calls.append(call)
        self.entered.set()
        await self.may_go_on.wait()
        if self.fault is not None:
            raise self.fault
        return told(Done(n=call.body.n, by=call.operator.name), 201)

    async def _list(self, call: Call) -> Response:
        return Response(status_code=204)

    async def _show(self, call: Call) -> Response:
        self.calls.append(call)
        return told(Done(n=int(call.path["id"]), by=call.operator.name))

    async def ask(
        self, method: str, path: str, *, key: str | None = FULL, repeat: str | None = None, **more: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= {"Idempotency-Key": repeat} if repeat is not None else {}
        return await self.http.request(method, path, headers=headers, **more)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(await open_door(tmp_path, QuotaLimits(requests_per_s=0.5, request_burst=5)))
    yield rig
    await rig.http.aclose()
    await rig.door.aclose()


async def test_a_desk_is_called_with_what_has_passed(rig: Rig) -> None:
    made = await rig.ask("POST", "/things", json={"n": 7})
    assert (made.status_code, made.json(), made.headers["cache-control"]) == (201, {"n": 7, "by": "ops"}, "no-store")
    shown = await rig.ask("GET", "/things/8", key=READER)
    assert (shown.status_code, shown.json()) == (200, {"n": 8, "by": "eyes"})


@pytest.mark.parametrize("key", [None, "lko_", operator_key(b"x" * 32)])
async def test_strangers_learn_nothing_and_are_asked_for_no_body(rig: Rig, key: str | None) -> None:
    answer = await rig.ask("POST", "/things", key=key, content=b"{")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert rig.calls == []


async def test_a_scope_is_needed(rig: Rig) -> None:
    answer = await rig.ask("POST", "/things", key=READER, json={"n": 1})
    assert (answer.status_code, answer.json()["reason"]) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"{", 422, ""),
        (b'{"n":"1"}', 422, "n: Input should be a valid integer"),
        (b'{"n":1,"n":1}', 422, ""),
        (b'{"n":1,"m":1}', 422, "m: there is no such field"),
        (b" " * 5_000, 413, "at most 4096 bytes"),
    ],
)
async def test_what_is_not_understood_is_said(rig: Rig, content: bytes, status: int, says: str) -> None:
    answer = await rig.ask("POST", "/things", content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]
    assert rig.calls == []


async def test_who_asks_too_often_is_told_when_to_come_again(rig: Rig) -> None:
    statuses = [(await rig.ask("GET", "/things/1")).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    over = await rig.ask("GET", "/things/1")
    assert (over.headers["retry-after"], over.json()["title"]) == ("2", "Too Many Requests")
    # Somebody else's, and later.
    assert (await rig.ask("GET", "/things/1", key=READER)).status_code == 200
    rig.door.now += 2
    assert (await rig.ask("GET", "/things/1")).status_code == 200


@pytest.mark.parametrize(("fault", "status"), [(DecodeError("n: too odd"), 422), (JournalError("disk full"), 503)])
async def test_what_a_desk_raises_is_answered(rig: Rig, fault: Exception, status: int) -> None:
    rig.fault = fault
    answer = await rig.ask("POST", "/things", json={"n": 1})
    assert answer.status_code == status
    assert (answer.headers.get("retry-after") == "1") == (status == 503)
    assert "disk full" not in answer.text


async def test_the_same_key_does_nothing_twice(rig: Rig) -> None:
    first = await rig.ask("POST", "/things", repeat="a-1", json={"n": 1})
    again = await rig.ask("POST", "/things", repeat="a-1", json={"n": 1})
    assert (again.status_code, again.content, len(rig.calls)) == (201, first.content, 1)
    assert again.headers["idempotent-replayed"] == "true"
    other = await rig.ask("POST", "/things", repeat="a-1", json={"n": 2})
    assert (other.status_code, other.json()["reason"], len(rig.calls)) == (422, "idempotency_key_reused", 1)


@pytest.mark.parametrize("key", ["", "a b", "x" * 129])
async def test_a_key_that_is_none_is_said(rig: Rig, key: str) -> None:
    answer = await rig.ask("POST", "/things", repeat=key, json={"n": 1})
    assert (answer.status_code, rig.calls) == (422, [])
    assert answer.json()["detail"].startswith("Idempotency-Key: 1 to 128")


async def test_who_goes_away_gets_the_answer_when_they_ask_again(rig: Rig) -> None:
    rig.may_go_on.clear()
    asked = asyncio.create_task(rig.ask("POST", "/things", repeat="k", json={"n": 1}))
    await rig.entered.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    rig.may_go_on.set()
    again = await rig.ask("POST", "/things", repeat="k", json={"n": 1})
    assert (again.status_code, len(rig.calls)) == (201, 1)


async def test_a_wrong_method_is_told_all_that_the_path_can_be_asked_for(rig: Rig) -> None:
    for path, allowed in (("/things", "GET, HEAD, POST"), ("/things/1", "GET, HEAD")):
        answer = await rig.ask("PATCH", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["title"] == "Method Not Allowed"
    assert (await rig.ask("GET", "/things")).status_code == 204
