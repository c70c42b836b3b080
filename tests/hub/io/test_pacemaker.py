"""The one timer, on a real loop: what is due is called back, in order, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from hub.io.pacemaker import Pacemaker
from hub.settings import HubSettings
from hub.stream import Stream
from hub.subscriber import Phase, Subscriber
from tests.hub.makers import SHOWING, at, entry, opened, state, timing

SETTINGS = HubSettings()


class Stage:
    """A pacemaker over two streams, each of which has a viewer's cue due in a moment."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.called: list[object] = []
        self.done = asyncio.Event()
        self.streams = {name: self.stream() for name in ("b", "a")}
        self.pacemaker = Pacemaker(self.streams, 0.01, now=self.loop.time, settle=self.called.append, beat=self.beaten)

    def stream(self) -> Stream:
        stream, now = Stream(SHOWING, SETTINGS), self.loop.time()
        stream.set_state(state(), now)
        for msn in range(6):
            stream.add_timing(timing(msn), now)
            stream.open(opened(msn, now), now)
        one = Subscriber(1, "game", SETTINGS, now)
        one.phase = Phase.SUBSCRIBED
        stream.join(one, now)
        while stream.next_owed(one, now) is not None:
            pass
        stream.add_entry(entry(0, at(6.02)), now)
        return stream

    def beaten(self, subscriber: Subscriber) -> None:
        self.called.append(subscriber.number)
        self.done.set()


async def test_streams_by_their_deadline_then_beats() -> None:
    stage = Stage()
    one, other = (Subscriber(number, "game", SETTINGS, 0) for number in (7, 8))
    stage.pacemaker.put(one, stage.loop.time() + 0.05)
    stage.pacemaker.put(other, stage.loop.time() + 0.04)
    stage.pacemaker.remove(other)
    assert stage.pacemaker._timer is None
    stage.pacemaker.loop = stage.loop
    stage.pacemaker.arm()
    timer = stage.pacemaker._timer
    stage.pacemaker.arm()
    assert stage.pacemaker._timer is timer
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.called == ["b", "a", 7]
    assert all(stream.take_deliveries() for stream in stage.streams.values())
    stage.pacemaker.stop()
    stage.pacemaker.stop()


async def test_an_earlier_deadline_takes_the_timer() -> None:
    stage = Stage()
    stage.pacemaker.loop = stage.loop
    stage.pacemaker.put(Subscriber(1, "game", SETTINGS, 0), stage.loop.time() + 100)
    stage.pacemaker.put(Subscriber(2, "game", SETTINGS, 0), stage.loop.time())
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.called[-1] == 2
    stage.pacemaker.stop()


async def test_a_deadline_that_moves_away_leaves_the_timer_which_finds_nothing() -> None:
    stage = Stage()
    stage.pacemaker.loop = stage.loop
    now = stage.loop.time()
    stage.pacemaker.hurry(None)
    assert stage.pacemaker._timer is None
    one = Subscriber(7, "game", SETTINGS, 0)
    stage.pacemaker.put(one, now + 0.01)
    timer = stage.pacemaker._timer
    stage.pacemaker.put(one, now + 0.15)
    stage.pacemaker.hurry(now + 0.02)
    assert stage.pacemaker._timer is timer
    stage.streams.clear()
    await asyncio.wait_for(stage.done.wait(), 5)
    assert stage.called == [7]
    assert stage.loop.time() >= now + 0.15
    stage.pacemaker.stop()


async def test_those_who_beat_together_beat_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.io.pacemaker.BEATS_A_TURN", 2)
    loop = asyncio.get_running_loop()
    order: list[object] = []
    done = asyncio.Event()

    def beaten(subscriber: Subscriber) -> None:
        order.append(subscriber.number)
        loop.call_soon(order.append, "turn")
        if subscriber.number == 2:
            # Gone before its turn, and another put off to later.
            pacemaker.remove(people[4])
        if len([one for one in order if one != "turn"]) == 4:
            done.set()

    pacemaker = Pacemaker({}, 0.01, now=loop.time, settle=order.append, beat=beaten)
    people = [Subscriber(number, "game", SETTINGS, 0) for number in range(5)]
    at_once = loop.time()
    for one in people:
        pacemaker.put(one, at_once)
    pacemaker.loop = loop
    pacemaker.arm()
    await done.wait()
    assert [one for one in order if one != "turn"] == [0, 1, 2, 3]
    assert order[:4] == [0, 1, "turn", "turn"]
    pacemaker.stop()
