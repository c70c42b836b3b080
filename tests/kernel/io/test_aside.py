"""What takes long is done elsewhere, and to its end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kernel.io.aside import aside


async def test_it_returns_what_the_work_does_while_others_go_on() -> None:
    loop, others_went_on = asyncio.get_running_loop(), threading.Event()
    loop.call_soon(others_went_on.set)
    assert await aside(others_went_on.wait) is True
    assert threading.current_thread() is threading.main_thread()


async def test_a_fault_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_is_cancelled_waits_for_the_end(fails: bool) -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work() -> None:
        begun.set()
        go_on.wait()
        done.append(1)
        if fails:
            raise ValueError

    task = asyncio.create_task(aside(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]
