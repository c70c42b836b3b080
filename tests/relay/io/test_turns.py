from __future__ import annotations

import asyncio

from relay.io.turns import STEPS_A_TURN, Turns


async def _count_around(turns: Turns, n_steps: int) -> list[int]:
    """Return how many steps were taken each time around the loop."""
    loop = asyncio.get_running_loop()
    taken, counts = 0, list[int]()

    async def step() -> None:
        nonlocal taken
        await turns.next()
        taken += 1

    tasks = [asyncio.ensure_future(step()) for _ in range(n_steps)]
    done = asyncio.gather(*tasks)

    def around() -> None:
        nonlocal taken
        counts.append(taken)
        taken = 0
        if not done.done():
            loop.call_soon(around)

    loop.call_soon(around)
    await done
    around()
    return [count for count in counts if count]


async def test_so_many_steps_each_time_around() -> None:
    counts = await _count_around(Turns(8), 50)
    assert sum(counts) == 50
    assert max(counts) <= 8
    assert len(counts) == 7


async def test_alone_nobody_waits() -> None:
    turns = Turns(8)
    for _ in range(100):
        for _ in range(8):
            step = turns.next()
            try:
                step.send(None)
            except StopIteration:
                continue
            raise AssertionError("it waited although there were steps left")
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_one_that_never_waits_lets_the_loop_go_round() -> None:
    turns, ticks = Turns(4), 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        asyncio.get_running_loop().call_soon(tick)

    tick()
    for _ in range(400):
        await turns.next()
    assert ticks >= 99


async def test_first_come_first_served() -> None:
    turns, order = Turns(2), list[int]()

    async def step(number: int) -> None:
        await turns.next()
        order.append(number)

    await asyncio.gather(*(step(number) for number in range(20)))
    assert order == list(range(20))


async def test_who_gave_up_takes_no_turn() -> None:
    turns, order = Turns(1), list[int]()

    async def step(number: int) -> None:
        await turns.next()
        order.append(number)

    tasks = [asyncio.create_task(step(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]


def test_the_number_is_the_designs() -> None:
    assert STEPS_A_TURN == 64
