"""What is answered in one turn goes out at its end."""

from __future__ import annotations

import asyncio

from lockstep.outgoing import outgoing_of


async def test_it_goes_in_order_at_the_end_of_the_turn() -> None:
    loop = asyncio.get_running_loop()
    sent: list[int] = []
    for number in range(3):
        outgoing_of(loop).add(loop, lambda number=number: sent.append(number))  # type: ignore[misc]
    assert sent == []
    await asyncio.sleep(0)
    assert sent == [0, 1, 2]


async def test_what_is_added_by_one_that_goes_has_the_next_turn() -> None:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    outgoing = outgoing_of(loop)
    outgoing.add(loop, lambda: outgoing.add(loop, gone.set))
    await gone.wait()
    assert outgoing_of(loop) is outgoing
