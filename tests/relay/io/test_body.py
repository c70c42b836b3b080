from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relay.io.body import STEP_BYTES, GrantedBody
from relay.io.turns import Turns


async def sent(
    granted: Callable[[], bool],
    *,
    method: str = "GET",
    n_bytes: int = 3 * STEP_BYTES,
    done: Callable[[int], None] | None = None,
    is_here: Callable[[], bool] | None = None,
) -> list[Any]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("a body is sent without asking for anything")

    content = memoryview(bytes(n_bytes))
    body = GrantedBody(
        content, granted=granted, turns=Turns(), done=done, is_here=is_here, status_code=200, headers={"ETag": '"x"'}
    )
    await body({"type": "http", "method": method}, receive, send)
    return messages


async def test_a_body_goes_out_in_steps() -> None:
    head, *steps = await sent(lambda: True, n_bytes=2 * STEP_BYTES + 1)
    assert dict(head["headers"])[b"content-length"] == str(2 * STEP_BYTES + 1).encode()
    # The last one is empty: the server sends it once the client has nearly caught up.
    assert [len(step["body"]) for step in steps] == [STEP_BYTES, STEP_BYTES, 1, 0]
    assert [step["more_body"] for step in steps] == [True, True, True, False]


async def test_the_grant_is_looked_at_before_every_step() -> None:
    answers = iter([True, False])
    _, *steps = await sent(lambda: next(answers))
    assert [len(step["body"]) for step in steps] == [STEP_BYTES]
    # The answer is left unfinished: nobody takes the piece for the whole.
    assert steps[-1]["more_body"]


async def test_where_the_grant_ends_the_connection_is_cut_and_the_server_knows_before_the_answer_ends() -> None:
    happened: list[str] = []
    answers = iter([True, False])

    async def send(message: Any) -> None:
        happened.append(message["type"])

    async def receive() -> Any:
        happened.append("asked")
        return {"type": "http.request" if happened.count("asked") == 1 else "http.disconnect"}

    body = GrantedBody(
        memoryview(bytes(3 * STEP_BYTES)), granted=lambda: next(answers), turns=Turns(), status_code=200, headers={},
        cut=lambda: happened.append("cut"),
    )  # fmt: skip
    await body({"type": "http", "method": "GET"}, receive, send)
    assert happened == ["http.response.start", "http.response.body", "cut", "asked", "asked"]


async def test_no_byte_goes_out_without_a_grant() -> None:
    _, *steps = await sent(lambda: False)
    assert steps == []


async def test_head_and_empty_bodies_have_none() -> None:
    for messages in (await sent(lambda: True, method="HEAD"), await sent(lambda: True, n_bytes=0)):
        assert [len(step["body"]) for step in messages[1:]] == [0]
        assert messages[-1]["more_body"] is False


async def test_what_went_out_is_told_once_at_the_end() -> None:
    told: list[int] = []
    await sent(lambda: True, n_bytes=2 * STEP_BYTES + 1, done=told.append)
    answers = iter([True, False])
    await sent(lambda: next(answers), done=told.append)
    await sent(lambda: False, done=told.append)
    await sent(lambda: True, method="HEAD", done=told.append)
    assert told == [2 * STEP_BYTES + 1, STEP_BYTES]


async def test_a_reader_that_goes_away_has_what_it_took() -> None:
    told: list[int] = []

    async def receive() -> Any:
        raise AssertionError("a body is sent without asking for anything")

    async def send(message: Any) -> None:
        if len(message.get("body", b"")) == 1:
            raise OSError("gone")

    content = memoryview(bytes(STEP_BYTES + 1))
    body = GrantedBody(content, granted=lambda: True, turns=Turns(), done=told.append, status_code=200, headers={})
    with pytest.raises(OSError, match="gone"):
        await body({"type": "http", "method": "GET"}, receive, send)
    assert told == [STEP_BYTES]


async def test_what_the_server_drops_for_who_is_gone_did_not_go_out() -> None:
    """It raises nothing: a step that waited for room is taken, and goes nowhere."""
    told: list[int] = []
    left = iter([True, False, False])
    await sent(lambda: True, done=told.append, is_here=lambda: next(left))
    await sent(lambda: True, done=told.append, is_here=lambda: False)
    assert told == [STEP_BYTES]


async def paced(waits: list[float], *, is_here: Callable[[], bool] | None = None) -> tuple[list[int], list[int]]:
    asked: list[int] = []
    sizes: list[int] = []

    async def send(message: Any) -> None:
        sizes.append(len(message.get("body", b"")))

    async def receive() -> Any:
        raise AssertionError("a body is sent without asking for anything")

    def pace(n_bytes: int) -> float:
        asked.append(n_bytes)
        return waits.pop(0)

    content = memoryview(bytes(2 * STEP_BYTES + 1))
    body = GrantedBody(
        content, granted=lambda: True, turns=Turns(), is_here=is_here, status_code=206, headers={}, whole_bytes=9 << 20
    )
    assert body.whole_bytes == 9 << 20
    body.pace = pace
    await body({"type": "http", "method": "GET"}, receive, send)
    return asked, sizes


async def test_a_body_that_is_paced_waits_before_each_step() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked, sizes = await paced([0.0, 0.02, 0.03])
    assert loop.time() - began >= 0.05
    assert asked == [STEP_BYTES, STEP_BYTES, 1]
    assert sizes == [0, STEP_BYTES, STEP_BYTES, 1, 0]


async def test_who_went_away_while_its_body_waited_is_waited_for_no_longer() -> None:
    asked, sizes = await paced([0.0, 0.001, 60.0], is_here=iter([True, False]).__next__)
    assert asked == [STEP_BYTES, STEP_BYTES]
    assert sizes == [0, STEP_BYTES]
