"""What every implementation of `kernel.bus.Bus` must pass: a subclass says how to make one.

The suite relies on nothing but the contract. An implementation that delivers later than `publish` returns
overrides `settle`, which is awaited before anything is looked at.
"""

from __future__ import annotations

from kernel.bus import Bus, Signal, Topic

TOPIC: Topic[str] = Topic("stream/contract")
OTHER: Topic[str] = Topic("stream/other")
SIGNAL: Signal[str] = Signal("stream/signal")


class Receiver:
    """Keep what comes; raise after keeping it, if told to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.records: list[tuple[int, str]] = []
        self.signals: list[str] = []
        self._fault = fault

    def record(self, offset: int, record: str) -> None:
        self.records.append((offset, record))
        if self._fault:
            raise self._fault

    def signal(self, record: str) -> None:
        self.signals.append(record)
        if self._fault:
            raise self._fault


class BusContract:
    """The guarantees of `kernel.bus`, one by one."""

    def make_bus(self) -> Bus:
        """Return a bus that nobody has used."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Wait until all that was published is delivered."""

    async def test_time_never_steps_back(self) -> None:
        bus = self.make_bus()
        assert bus.now() <= bus.now()

    async def test_a_bus_that_works_is_not_stale(self) -> None:
        bus = self.make_bus()
        bus.publish(TOPIC, 0, "r")
        await self.settle()
        assert 0 <= bus.lag_s() < 5

    async def test_a_subscriber_gets_what_is_retained_and_what_comes_once_in_order(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        for offset in (0, 1, 5):
            bus.publish(TOPIC, offset, f"r{offset}")
        bus.subscribe(TOPIC, receiver.record)
        bus.publish(TOPIC, 6, "r6")
        await self.settle()
        assert receiver.records == [(0, "r0"), (1, "r1"), (5, "r5"), (6, "r6")]

    async def test_a_subscriber_begins_where_it_asks(self) -> None:
        bus = self.make_bus()
        for offset in (2, 4, 6):
            bus.publish(TOPIC, offset, f"r{offset}")
        for after, expected in ((-1, [2, 4, 6]), (2, [4, 6]), (3, [4, 6]), (5, [6]), (6, []), (99, [])):
            receiver = Receiver()
            bus.subscribe(TOPIC, receiver.record, after=after)
            await self.settle()
            assert [offset for offset, _ in receiver.records] == expected

    async def test_a_subscriber_ahead_of_the_topic_gets_nothing_up_to_where_it_asked(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        bus.subscribe(TOPIC, receiver.record, after=3)
        for offset in range(6):
            bus.publish(TOPIC, offset, "r")
        await self.settle()
        assert [offset for offset, _ in receiver.records] == [4, 5]

    async def test_publishing_again_is_harmless(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        bus.subscribe(TOPIC, receiver.record)
        for offset, record in ((0, "a"), (1, "b"), (1, "again"), (0, "again"), (2, "c")):
            bus.publish(TOPIC, offset, record)
        await self.settle()
        assert receiver.records == [(0, "a"), (1, "b"), (2, "c")]

    async def test_topics_do_not_meet(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        bus.subscribe(TOPIC, receiver.record)
        bus.publish(OTHER, 0, "other")
        bus.publish(TOPIC, 0, "ours")
        await self.settle()
        assert receiver.records == [(0, "ours")]

    async def test_trimming_forgets_and_frees_no_offset(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        bus.trim(TOPIC, 10)
        for offset in range(4):
            bus.publish(TOPIC, offset, f"r{offset}")
        bus.trim(TOPIC, 2)
        bus.subscribe(TOPIC, receiver.record)
        await self.settle()
        assert receiver.records == [(2, "r2"), (3, "r3")]
        bus.trim(TOPIC, 99)
        bus.publish(TOPIC, 3, "again")
        bus.publish(TOPIC, 4, "r4")
        await self.settle()
        late = Receiver()
        bus.subscribe(TOPIC, late.record)
        await self.settle()
        assert late.records == [(4, "r4")]

    async def test_a_topic_of_another_log_begins_anew(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        bus.begin(TOPIC, "first")
        bus.subscribe(TOPIC, receiver.record)
        for offset in range(3):
            bus.publish(TOPIC, offset, f"r{offset}")
        await self.settle()
        bus.begin(TOPIC, "first")
        assert bus.head(TOPIC) == 2
        bus.begin(TOPIC, "second")
        assert bus.head(TOPIC) == -1
        bus.publish(TOPIC, 1, "anew")
        await self.settle()
        assert receiver.records == [(0, "r0"), (1, "r1"), (2, "r2"), (1, "anew")]
        late = Receiver()
        bus.subscribe(TOPIC, late.record)
        await self.settle()
        assert late.records == [(1, "anew")]

    async def test_the_head_is_the_last_offset_and_outlives_trimming(self) -> None:
        bus = self.make_bus()
        assert bus.head(TOPIC) == -1
        bus.publish(TOPIC, 7, "r")
        assert bus.head(TOPIC) == 7
        bus.trim(TOPIC, 99)
        assert bus.head(TOPIC) == 7

    async def test_what_was_published_is_known_once_it_is_delivered(self) -> None:
        bus = self.make_bus()
        before = bus.now()
        bus.publish(TOPIC, 0, "r")
        await self.settle()
        assert 0 <= bus.lag_s() <= bus.now() - before

    async def test_cancelling_ends_delivery_and_can_be_repeated(self) -> None:
        bus, leaving, staying = self.make_bus(), Receiver(), Receiver()
        cancel = bus.subscribe(TOPIC, leaving.record)
        bus.subscribe(TOPIC, staying.record)
        stop = bus.listen(SIGNAL, leaving.signal)
        bus.publish(TOPIC, 0, "a")
        bus.signal(SIGNAL, "x")
        await self.settle()
        for _ in range(2):
            cancel()
            stop()
        bus.publish(TOPIC, 1, "b")
        bus.signal(SIGNAL, "y")
        await self.settle()
        assert leaving.records == [(0, "a")]
        assert leaving.signals == ["x"]
        assert staying.records == [(0, "a"), (1, "b")]

    async def test_one_receivers_fault_is_not_the_others(self) -> None:
        bus, faulty, sound = self.make_bus(), Receiver(RuntimeError("on purpose")), Receiver()
        for receiver in (faulty, sound):
            bus.subscribe(TOPIC, receiver.record)
            bus.listen(SIGNAL, receiver.signal)
        for offset in range(2):
            bus.publish(TOPIC, offset, "r")
            bus.signal(SIGNAL, "s")
        await self.settle()
        for receiver in (faulty, sound):
            assert receiver.records == [(0, "r"), (1, "r")]
            assert receiver.signals == ["s", "s"]

    async def test_a_fault_over_what_is_retained_is_the_receivers_too(self) -> None:
        bus, faulty = self.make_bus(), Receiver(RuntimeError("on purpose"))
        for offset in range(2):
            bus.publish(TOPIC, offset, "r")
        bus.signal(SIGNAL, "s")
        bus.subscribe(TOPIC, faulty.record)
        bus.listen(SIGNAL, faulty.signal)
        bus.publish(TOPIC, 2, "r")
        await self.settle()
        assert [offset for offset, _ in faulty.records] == [0, 1, 2]
        assert faulty.signals == ["s"]

    async def test_the_last_signal_waits_for_whoever_comes_later(self) -> None:
        bus, early, late = self.make_bus(), Receiver(), Receiver()
        bus.listen(SIGNAL, early.signal)
        for record in ("a", "b"):
            bus.signal(SIGNAL, record)
        await self.settle()
        bus.listen(SIGNAL, late.signal)
        bus.signal(SIGNAL, "c")
        await self.settle()
        assert early.signals == ["a", "b", "c"]
        assert late.signals == ["b", "c"]

    async def test_what_a_receiver_publishes_comes_after_what_it_received(self) -> None:
        bus, second = self.make_bus(), Receiver()

        def chain(offset: int, record: str) -> None:
            if offset < 3:
                bus.publish(TOPIC, offset + 1, record + "!")

        bus.subscribe(TOPIC, chain)
        bus.subscribe(TOPIC, second.record)
        bus.publish(TOPIC, 0, "r")
        await self.settle()
        assert second.records == [(0, "r"), (1, "r!"), (2, "r!!"), (3, "r!!!")]

    async def test_a_receiver_that_publishes_while_it_catches_up_misses_nothing(self) -> None:
        bus, receiver = self.make_bus(), Receiver()

        def echo(offset: int, record: str) -> None:
            receiver.record(offset, record)
            if offset == 0:
                bus.publish(TOPIC, 2, "mine")

        for offset in (0, 1):
            bus.publish(TOPIC, offset, "r")
        bus.subscribe(TOPIC, echo)
        await self.settle()
        bus.publish(TOPIC, 3, "r")
        await self.settle()
        assert [offset for offset, _ in receiver.records] == [0, 1, 2, 3]

    async def test_signals_stay_in_order_when_a_listener_signals(self) -> None:
        bus, second = self.make_bus(), Receiver()

        def chain(record: str) -> None:
            if len(record) < 3:
                bus.signal(SIGNAL, record + "!")

        bus.listen(SIGNAL, chain)
        bus.listen(SIGNAL, second.signal)
        bus.signal(SIGNAL, "s")
        await self.settle()
        assert second.signals == ["s", "s!", "s!!"]

    async def test_a_receiver_may_cancel_itself_over_a_record(self) -> None:
        bus, receiver = self.make_bus(), Receiver()

        def once(offset: int, record: str) -> None:
            receiver.record(offset, record)
            cancel()

        cancel = bus.subscribe(TOPIC, once)
        for offset in range(3):
            bus.publish(TOPIC, offset, "r")
        await self.settle()
        assert receiver.records == [(0, "r")]

    async def test_records_published_together_are_one_run(self) -> None:
        bus, plain = self.make_bus(), Receiver()
        calls: list[object] = []
        bus.publish(TOPIC, 0, "a")
        bus.subscribe(TOPIC, lambda _, record: calls.append(record), settled=lambda: calls.append("settled"))
        bus.subscribe(TOPIC, plain.record)
        await self.settle()
        assert calls == ["a", "settled"]
        bus.publish_all(TOPIC, [(1, "b"), (1, "again"), (0, "again"), (4, "c")])
        await self.settle()
        assert calls[-1] == "settled"
        assert [one for one in calls if one != "settled"] == ["a", "b", "c"]
        before = len(calls)
        bus.publish_all(TOPIC, [])
        bus.publish_all(TOPIC, [(4, "again")])
        await self.settle()
        assert len(calls) == before
        assert plain.records == [(0, "a"), (1, "b"), (4, "c")]

    async def test_a_fault_in_settling_is_the_receivers_own(self) -> None:
        bus, sound = self.make_bus(), Receiver()

        def fail() -> None:
            raise RuntimeError("on purpose")

        bus.subscribe(TOPIC, Receiver().record, settled=fail)
        bus.subscribe(TOPIC, sound.record)
        bus.publish_all(TOPIC, [(0, "a"), (1, "b")])
        await self.settle()
        assert sound.records == [(0, "a"), (1, "b")]

    async def test_what_is_published_in_settling_is_another_run(self) -> None:
        bus = self.make_bus()
        calls: list[object] = []

        def settled() -> None:
            calls.append("settled")
            if len(calls) == 2:
                bus.publish(TOPIC, 1, "b")

        bus.subscribe(TOPIC, lambda _, record: calls.append(record), settled=settled)
        bus.publish(TOPIC, 0, "a")
        await self.settle()
        assert calls == ["a", "settled", "b", "settled"]

    async def test_single_records_are_forgotten(self) -> None:
        bus, receiver = self.make_bus(), Receiver()
        bus.forget(TOPIC, [3])
        for offset in range(6):
            bus.publish(TOPIC, offset, f"r{offset}")
        bus.forget(TOPIC, [])
        bus.forget(TOPIC, [1, 2, 4, 99])
        bus.subscribe(TOPIC, receiver.record)
        bus.publish(TOPIC, 2, "again")
        await self.settle()
        assert [offset for offset, _ in receiver.records] == [0, 3, 5]
