"""Whose time is up goes in order, and leaves room between."""

from __future__ import annotations

import asyncio

from lockstep.stragglers import A_TURN, stragglers_of


async def test_they_go_in_order_a_few_in_each_turn() -> None:
    loop = asyncio.get_running_loop()
    gone: list[int] = []
    turns: list[int] = []
    for number in range(2 * A_TURN + 1):
        stragglers_of(loop).add(loop, lambda number=number: gone.append(number))  # type: ignore[misc]
    while len(gone) < 2 * A_TURN + 1:
        await asyncio.sleep(0)
        turns.append(len(gone))
    assert gone == list(range(2 * A_TURN + 1))
    assert turns == [A_TURN, 2 * A_TURN, 2 * A_TURN + 1]


async def test_who_is_added_by_one_that_goes_has_its_turn() -> None:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    stragglers = stragglers_of(loop)
    stragglers.add(loop, lambda: stragglers.add(loop, gone.set))
    await gone.wait()
    assert stragglers_of(loop) is stragglers
