from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.io.outbox import Outbox
from hub.settings import HubSettings
from hub.stream import Stream
from hub.subscriber import Phase, Subscriber
from kernel.cues import CueClass, CueType
from tests.hub.makers import SHOWING, STREAM, at, entry, opened, state, timing

SETTINGS = HubSettings(piece_bytes=1_000, burst_bytes=4_000, max_buffer_bytes=50_000)


class Stage:
    """An outbox over subscribers that record; the loop is a list of what is to be called soon."""

    def __init__(self, settings: HubSettings = SETTINGS) -> None:
        self.settings = settings
        self.stream = Stream(SHOWING, settings)
        self.stream.set_state(state(), 0)
        self.soon: list[Callable[[], None]] = []
        self.buffered = 0
        self.was_cut: list[int] = []
        self.failed: list[int] = []
        self.writes: dict[int, list[bytes]] = {}
        self.outbox = Outbox({STREAM: self.stream}, settings, self, now=lambda: 0.0, soon=self.soon.append)

    def join(self, write: Callable[[bytes], None] | None = None) -> Subscriber:
        one = Subscriber(len(self.writes), STREAM, self.settings, 0)
        self.writes[one.number] = []
        one.write = write or self.writes[one.number].append
        one.mode, one.phase = "edge", Phase.SUBSCRIBED
        self.stream.join(one, 0)
        while self.stream.next_owed(one, 0) is not None:
            pass
        return one

    def publish(self, *offsets: int, due: float | None = 1, size: int = 300) -> None:
        for o in offsets:
            body: dict[str, Any] = {"txt": "x" * size}
            self.stream.add_entry(entry(o, None if due is None else at(due), body=body, type=CueType.STAT), 0)

    def open(self) -> None:
        self.stream.add_timing(timing(0), 0)
        self.outbox.guards[STREAM].note_opened(opened(0, 0))
        self.stream.open(opened(0, 0), 0)

    def turn(self) -> int:
        calls, self.soon[:] = list(self.soon), []
        for call in calls:
            call()
        return len(calls)

    def buffered_bytes(self, subscriber: Subscriber) -> int:
        return self.buffered

    def cut(self, subscriber: Subscriber) -> None:
        self.was_cut.append(subscriber.number)

    def fail(self, subscriber: Subscriber) -> None:
        self.failed.append(subscriber.number)

    def settle(self, event_id: str) -> None:
        self.outbox.flush(event_id)


def test_one_flush_is_one_write_of_the_same_bytes() -> None:
    stage = Stage()
    one, other = stage.join(), stage.join()
    stage.publish(0, 1, 2)
    stage.open()
    stage.outbox.flush(STREAM)
    assert len(stage.writes[0]) == 1
    assert stage.writes[0][0] is stage.writes[1][0]
    assert (one.sent_in_all, other.sent_in_all, stage.outbox.cues_sent) == (3, 3, 6)
    counts = stage.outbox.counts.delivered[STREAM]
    assert (counts.cues[CueClass.LOCKED], counts.flushes, counts.late.count) == (6, 1, 6)


def test_a_large_flush_goes_in_pieces_and_turns() -> None:
    stage = Stage()
    one = stage.join()
    stage.publish(*range(100))
    stage.open()
    stage.outbox.flush(STREAM)
    assert stage.writes[0] == []
    turns = 0
    while stage.turn():
        turns += 1
    assert turns >= 5
    assert all(len(piece) < 10_000 for piece in stage.writes[0])
    assert b"".join(stage.writes[0]).count(b'"op":"cue"') == one.sent_in_all == 100
    assert one.behind is None


def test_who_pauses_in_the_middle_goes_on_later() -> None:
    stage = Stage()
    one = stage.join()

    def pause(data: bytes) -> None:
        stage.writes[0].append(data)
        one.paused_at = 0.0

    one.write = pause
    stage.publish(*range(30))
    stage.open()
    stage.outbox.flush(STREAM)
    stage.turn()
    assert len(stage.writes[0]) == 1
    assert stage.soon == []
    one.paused_at = None
    one.write = stage.writes[0].append
    stage.outbox.catch_up_soon(one)
    while stage.turn():
        pass
    assert b"".join(stage.writes[0]).count(b'"op":"cue"') == 30


def test_a_dead_transport_costs_the_others_nothing() -> None:
    def dead(data: bytes) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    stage = Stage()
    stage.join(dead)
    stage.join()
    stage.publish(0)
    stage.open()
    stage.outbox.flush(STREAM)
    assert (stage.was_cut, len(stage.writes[1])) == ([0], 1)


def test_whoever_cannot_be_told_something_is_cut() -> None:
    def dead(data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    stage = Stage()
    one = stage.join(dead)
    stage.outbox.say(one, b"hb")
    assert stage.was_cut == [0]


def test_safety_is_written_to_a_paused_socket_up_to_its_limit() -> None:
    stage = Stage(replace(SETTINGS, burst_bytes=10))
    one = stage.join()
    one.paused_at, one.buffer_mark = 0.0, 100
    stage.stream.fall_behind(one)
    stage.publish(0, due=None)
    stage.outbox.flush(STREAM)
    assert (len(stage.writes[0]), stage.was_cut) == (1, [])
    assert one.buffer_mark == 100 + len(stage.writes[0][0])
    stage.buffered = 50_001
    stage.outbox.say(one, b"hb")
    assert stage.was_cut == [0]


def test_what_cannot_be_written_is_not_counted() -> None:
    stage = Stage()
    one = stage.join()
    stage.stream.fall_behind(one)
    stage.stream.add_entry(entry(0, at(1), body={"txt": float("inf")}), 0)
    stage.publish(1)
    stage.open()
    stage.outbox.catch_up_soon(one)
    stage.turn()
    assert one.sent_in_all == 1
    stage.outbox.begin_anew(STREAM)


def test_each_format_is_made_once() -> None:
    stage = Stage()
    people = [stage.join() for _ in range(2)]
    binary = stage.join()
    stage.stream.leave(binary)
    binary.format = "msgpack"
    stage.stream.join(binary, 0)
    while stage.stream.next_owed(binary, 0) is not None:
        pass
    stage.publish(0)
    stage.open()
    stage.outbox.flush(STREAM)
    assert stage.writes[0][0] is stage.writes[1][0]
    assert stage.writes[people[0].number][0][0] == 0x81
    assert stage.writes[binary.number][0][0] == 0x82


def test_two_deliveries_of_one_flush_keep_their_order_for_who_is_set_aside() -> None:
    stage = Stage()
    one = stage.join()
    stage.publish(*range(30))
    stage.open()
    stage.publish(30, due=0.5)
    stage.outbox.flush(STREAM)
    assert stage.writes[0] == []
    while stage.turn():
        pass
    seen = b"".join(stage.writes[0])
    assert [seen.count(f'"o":{o},'.encode()) for o in range(31)] == [1] * 31
    assert one.sent_in_all == 31


def test_the_guard_closes_and_raises_an_alarm_and_sends_nothing() -> None:
    stage = Stage()
    stage.join()
    stage.publish(0)
    # The stream is told of an opening that no relay has made.
    stage.stream.add_timing(timing(0), 0)
    stage.stream.open(opened(0, 0), 0)
    stage.outbox.flush(STREAM)
    assert (stage.writes[0], stage.failed, stage.outbox.alarms) == ([], [0], 1)
    behind = stage.join()
    stage.stream.fall_behind(behind)
    stage.publish(1)
    stage.outbox.catch_up_soon(behind)
    stage.turn()
    assert (stage.writes[1], stage.failed[1]) == ([], 1)


def test_a_short_replay_is_one_write() -> None:
    """Four pieces of it: what is below the socket's buffer goes to it at once."""
    stage = Stage(replace(SETTINGS, burst_bytes=65_536))
    one = stage.join()
    stage.stream.fall_behind(one)
    stage.publish(*range(60), size=20)
    stage.open()
    stage.outbox.catch_up_soon(one)
    stage.turn()
    assert len(stage.writes[0]) == 1
    assert stage.writes[0][0].count(b'"op":"cue"') == one.sent_in_all == stage.outbox.cues_sent == 60
    assert one.behind is None


def test_what_falls_due_while_somebody_catches_up_goes_by_itself() -> None:
    """Its place may be before what is on its way, or it replaces some of that: one write would be out of order (I4)."""
    stage = Stage(replace(SETTINGS, burst_bytes=10_000))
    one = stage.join()
    stage.stream.fall_behind(one)
    stage.publish(*range(60), due=1)
    stage.open()
    stage.outbox.catch_up_soon(one)
    stage.turn()
    assert (len(stage.writes[0]), one.behind is None) == (1, False)
    stage.publish(60, due=0.5)
    while stage.turn():
        pass
    assert [data.count(b'"op":"cue"') for data in stage.writes[0]] == [40, 20, 1]
    assert b'"o":60,' in stage.writes[0][-1]
    assert (one.sent_in_all, one.behind) == (61, None)


def test_a_long_replay_fills_the_sockets_buffer_once_a_write() -> None:
    stage = Stage(replace(SETTINGS, burst_bytes=65_536))
    one = stage.join()
    stage.stream.fall_behind(one)
    stage.publish(*range(100))
    stage.open()
    stage.outbox.catch_up_soon(one)
    stage.turn()
    assert [16_384 <= len(data) < 16_384 + 10_000 for data in stage.writes[0][:-1]] == [True, True]
    assert one.sent_in_all == 100


def test_what_the_guard_stops_comes_behind_what_it_let_pass() -> None:
    """The cursor of the `bye` counts what went before: it must be written."""
    stage = Stage(replace(SETTINGS, burst_bytes=65_536))
    one = stage.join()
    stage.stream.fall_behind(one)
    stage.publish(0, 1)
    stage.open()
    stage.stream.add_timing(timing(1), 0)
    stage.stream.open(opened(1, 0), 0)
    # Beyond what the guard has seen a relay open.
    stage.publish(*range(2, 22), due=1)
    stage.publish(22, due=3)
    stage.outbox.catch_up_soon(one)
    written_before_alarm: list[int] = []
    stage.fail = lambda subscriber: written_before_alarm.append(len(stage.writes[0]))  # type: ignore[method-assign]
    stage.turn()
    assert written_before_alarm == [1]
    assert stage.writes[0][0].count(b'"op":"cue"') == one.sent_in_all == 20


def test_those_who_are_behind_take_turns() -> None:
    stage = Stage(replace(SETTINGS, turn_bytes=5_000))
    people = [stage.join() for _ in range(4)]
    for each in people:
        stage.stream.fall_behind(each)
    stage.publish(*range(40))
    stage.open()
    for each in people:
        stage.outbox.catch_up_soon(each)
    assert stage.outbox.catching_up == 4
    stage.turn()
    # The first had its burst and stands at the end; the turn was over before the last one's.
    assert len(stage.writes[0]) > 0
    assert stage.writes[3] == []
    stage.outbox.drop(people[3])
    while stage.turn():
        pass
    assert [each.behind is None for each in people] == [True, True, True, False]


def test_a_transport_that_dies_while_catching_up_is_cut() -> None:
    def dead(data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    stage = Stage()
    one = stage.join()
    stage.stream.fall_behind(one)
    one.write = dead
    stage.publish(0)
    stage.open()
    stage.outbox.catch_up_soon(one)
    stage.turn()
    assert stage.was_cut == [0]
