from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relay.io.body import STEP_BYTES, GrantedBody
from relay.io.turns import Turns


async def sent(granted: Callable[[], bool], *, method: str = "GET", n_bytes: int = 3 * STEP_BYTES) -> list[Any]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("a body is sent without asking for anything")

    body = GrantedBody(
        memoryview(bytes(n_bytes)), granted=granted, turns=Turns(), status_code=200, headers={"ETag": '"x"'}
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


async def test_no_byte_goes_out_without_a_grant() -> None:
    _, *steps = await sent(lambda: False)
    assert steps == []


async def test_head_and_empty_bodies_have_none() -> None:
    for messages in (await sent(lambda: True, method="HEAD"), await sent(lambda: True, n_bytes=0)):
        assert [len(step["body"]) for step in messages[1:]] == [0]
        assert messages[-1]["more_body"] is False
