"""The bus over a real Redis: the contract, and what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import repeat
from pathlib import Path

import pytest

from kernel.bus import Bus
from kernel.bus_clock import READY_BOUND_S
from kernel.errors import LogHeld
from kernel.io.redis_bus import RedisBus
from kernel.io.system_time import monotonic, new_id
from tests.support.bus_contract import OTHER, SIGNAL, TOPIC, BusContract, Receiver
from tests.support.redis_server import PATIENCE_S, RedisServer, redis_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as one:
        yield one


class Buses:
    """Processes, as far as Redis can tell."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.all: list[RedisBus] = []

    async def open(self, *owned: object, journal: str | None = None) -> RedisBus:
        bus = RedisBus(self._url, monotonic=monotonic, new_id=new_id)
        self.all.append(bus)
        await bus.open(owned, journal=journal)  # type: ignore[arg-type]
        return bus


@pytest.fixture
async def buses(server: RedisServer) -> AsyncIterator[Buses]:
    made = Buses(server.url)
    yield made
    for bus in made.all:
        await bus.aclose()


class TestRedisBus(BusContract):
    """The bus over Redis keeps the contract, with publisher and subscribers in one process."""

    @pytest.fixture(autouse=True)
    async def _open(self, buses: Buses) -> None:
        self._bus = await buses.open()

    def make_bus(self) -> Bus:
        return self._bus

    async def settle(self) -> None:
        await self._bus.settled()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that nobody tells: it happens in its own time."""
    async with asyncio.timeout(PATIENCE_S):
        for pause in repeat(0.02):
            if holds():
                return
            await asyncio.sleep(pause)


def numbers(receiver: Receiver) -> list[int]:
    return [offset for offset, _ in receiver.records]


async def both(*buses: RedisBus) -> None:
    for bus in buses:
        await bus.settled()
    for bus in buses:
        await bus.caught_up()


async def test_what_one_process_publishes_reaches_the_others_in_order(buses: Buses) -> None:
    feeds, hub = await buses.open(), await buses.open()
    receiver = Receiver()
    hub.subscribe(TOPIC, receiver.record)
    hub.listen(SIGNAL, receiver.signal)
    for offset in range(1_200):
        feeds.publish(TOPIC, offset, f"r{offset}")
        feeds.signal(SIGNAL, f"s{offset}")
    await both(feeds, hub)
    assert receiver.records == [(offset, f"r{offset}") for offset in range(1_200)]
    # Whoever listens has the last; how many before it depends on when it found its place.
    assert receiver.signals == [f"s{number}" for number in range(1_200 - len(receiver.signals), 1_200)]
    assert receiver.signals


async def test_what_was_published_first_is_there_first_across_topics(buses: Buses) -> None:
    feeds, hub = await buses.open(), await buses.open()
    order: list[str] = []
    hub.subscribe(OTHER, lambda offset, _: order.append(f"entry {offset}"))
    hub.subscribe(TOPIC, lambda offset, _: order.append(f"mark {offset}"))
    await hub.caught_up()
    for offset in range(300):
        feeds.publish(OTHER, offset, "entry")
        feeds.publish(TOPIC, offset, "mark")
    await both(feeds, hub)
    seen: set[str] = set()
    for one in order:
        seen.add(one)
        if one.startswith("mark"):
            assert one.replace("mark", "entry") in seen
    assert len(order) == 600


async def test_signals_of_two_processes_come_in_one_order_to_all(buses: Buses) -> None:
    first, second, hub = await buses.open(), await buses.open(), await buses.open()
    receivers = [Receiver() for _ in range(3)]
    for bus, receiver in zip((first, second, hub), receivers, strict=True):
        bus.listen(SIGNAL, receiver.signal)
        await bus.caught_up()
    for number in range(50):
        first.signal(SIGNAL, f"a{number}")
        second.signal(SIGNAL, f"b{number}")
    await both(first, second, hub)
    assert len(receivers[0].signals) == 100
    assert receivers[0].signals == receivers[1].signals == receivers[2].signals


async def test_a_publisher_that_starts_again_doubles_nothing(buses: Buses) -> None:
    hub, receiver = await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    for life in range(3):
        feeds = await buses.open(TOPIC)
        feeds.begin(TOPIC, "log")
        assert feeds.head(TOPIC) == 10 * life - 1
        for offset in range(10 * life + 10):
            feeds.publish(TOPIC, offset, f"r{offset}")
        await both(feeds, hub)
        await feeds.aclose()
    assert receiver.records == [(offset, f"r{offset}") for offset in range(30)]


async def test_a_publisher_that_is_slow_to_begin_again_loses_nothing(buses: Buses) -> None:
    for life in range(2):
        feeds = await buses.open(TOPIC)
        # The journal is read meanwhile; what Redis has must still be there afterwards.
        await feeds.settled()
        feeds.begin(TOPIC, "log")
        for offset in range(feeds.head(TOPIC) + 1, 10 * life + 10):
            feeds.publish(TOPIC, offset, f"r{offset}")
        await feeds.settled()
        await feeds.aclose()
    hub, receiver = await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    await hub.caught_up()
    assert numbers(receiver) == list(range(20))


async def test_another_log_is_told_from_what_was_there(buses: Buses) -> None:
    hub, receiver = await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    for lineage in ("old", "new"):
        feeds = await buses.open(TOPIC)
        feeds.begin(TOPIC, lineage)
        assert feeds.head(TOPIC) == -1
        for offset in range(3):
            feeds.publish(TOPIC, offset, lineage)
        await both(feeds, hub)
        await feeds.aclose()
    assert receiver.records == [(0, "old"), (1, "old"), (2, "old"), (0, "new"), (1, "new"), (2, "new")]
    late = Receiver()
    newcomer = await buses.open()
    newcomer.subscribe(TOPIC, late.record)
    await newcomer.caught_up()
    assert late.records == [(0, "new"), (1, "new"), (2, "new")]


@pytest.mark.parametrize("how", ["restarted empty", "flushed"])
async def test_a_wiped_redis_is_filled_again(server: RedisServer, buses: Buses, how: str) -> None:
    feeds, relay, hub = await buses.open(), await buses.open(), await buses.open()
    receiver = Receiver()
    hub.subscribe(TOPIC, receiver.record)
    hub.listen(SIGNAL, receiver.signal)
    await hub.caught_up()
    for offset in range(20):
        feeds.publish(TOPIC, offset, f"r{offset}")
    relay.signal(SIGNAL, "out")
    await both(feeds, relay, hub)
    feeds.trim(TOPIC, 5)
    await both(feeds, relay, hub)
    if how == "flushed":
        await server.ask("FLUSHALL")
    else:
        await server.kill()
    for offset in range(20, 40):
        feeds.publish(TOPIC, offset, f"r{offset}")
    if how != "flushed":
        await server.start()
    late, newcomer = Receiver(), await buses.open()
    while len(late.records) < 35 or not late.signals:
        await both(feeds, relay, hub)
        late = Receiver()
        newcomer.subscribe(TOPIC, late.record)
        newcomer.listen(SIGNAL, late.signal)
        await newcomer.caught_up()
    assert numbers(receiver) == list(range(40))
    assert numbers(late) == list(range(5, 40))
    assert receiver.signals == ["out"]
    assert late.signals == ["out"]


async def test_a_lost_end_is_written_again(tmp_path: Path) -> None:
    # A fail-over: the address is the same, the marker too, the newest entries are not there.
    async with redis_server(tmp_path) as server:
        made = Buses(server.url)
        feeds, hub, receiver = await made.open(), await made.open(), Receiver()
        hub.subscribe(TOPIC, receiver.record)
        for offset in range(10):
            feeds.publish(TOPIC, offset, "r")
        await both(feeds, hub)
        key = "lockstep:t:" + TOPIC.name
        entries = await server.ask("XRANGE", key, "-", "+")
        assert isinstance(entries, list)
        kept = entries[:6]
        await server.ask("DEL", key)
        for id_, (mark, data) in kept:
            await server.ask("XADD", key, id_, mark, data)
        while await server.ask("XLEN", key) != 10:
            await hub.caught_up()
        assert await server.ask("XRANGE", key, "-", "+") == entries
        assert numbers(receiver) == list(range(10))
        for bus in made.all:
            await bus.aclose()


async def test_kill_9_with_an_append_only_file_loses_nothing(tmp_path: Path) -> None:
    async with redis_server(tmp_path, appendonly=True) as server:
        made = Buses(server.url)
        feeds, hub, receiver = await made.open(), await made.open(), Receiver()
        hub.subscribe(TOPIC, receiver.record)
        sent = 0
        for _ in range(3):
            for _ in range(500):
                feeds.publish(TOPIC, sent, f"r{sent}")
                sent += 1
            await asyncio.sleep(0)
            await server.kill()
            await server.start()
            await both(feeds, hub)
        assert receiver.records == [(offset, f"r{offset}") for offset in range(sent)]
        assert await server.ask("XLEN", "lockstep:t:" + TOPIC.name) == sent
        for bus in made.all:
            await bus.aclose()


async def test_a_frozen_redis_is_noticed_and_forgiven(server: RedisServer, buses: Buses) -> None:
    feeds, hub, receiver = await buses.open(), await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    feeds.publish(TOPIC, 0, "r")
    await both(feeds, hub)
    await until(lambda: hub.trouble() is None)
    server.stop_answering()
    feeds.publish(TOPIC, 1, "r")
    await until(lambda: hub.trouble() == "unreachable")
    assert hub.fresh_at() < hub.now() - 1
    server.go_on()
    await both(feeds, hub)
    assert numbers(receiver) == [0, 1]
    await until(lambda: hub.trouble() is None)


def agree(one: RedisBus, other: RedisBus) -> bool:
    """Return whether two nodes tell the same time, but for what each says it may be wrong by."""
    early, between, late = one.now(), other.now(), one.now()
    bound_s = one.bound_s() + other.bound_s()
    return early - bound_s <= between <= late + bound_s


async def test_bus_time_is_the_same_for_all_and_survives_a_jump_of_redis_clock(server: RedisServer) -> None:
    jumped_s = 0.0
    # That Redis' clock falls back by an hour, and that ours leaps as far ahead, looks the same.
    nodes = [RedisBus(server.url, monotonic=lambda: monotonic() + jumped_s, new_id=new_id) for _ in range(2)]
    for bus in nodes:
        await bus.open()
    before = nodes[0].now()
    assert agree(*nodes)
    jumped_s = 3_600.0
    for bus in nodes:
        for _ in range(3):
            await bus.caught_up()
    nodes.append(RedisBus(server.url, monotonic=monotonic, new_id=new_id))
    await nodes[2].open()
    for bus in nodes:
        assert 3_600 < bus.now() - before < 3_660 + PATIENCE_S
        await until(lambda bus=bus: bus.bound_s() < READY_BOUND_S)  # type: ignore[misc]
        assert agree(bus, nodes[2])
    for bus in nodes:
        await bus.aclose()


async def test_a_password_is_in_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with redis_server(tmp_path, password="hunter2hunter2") as server:
        made = Buses(server.url)
        bus = await made.open()
        assert bus.address == f"redis://127.0.0.1:{server.port}/0"
        await server.kill()
        await until(lambda: bus.trouble() is not None)
        await bus.aclose()
    out, err = capsys.readouterr()
    assert "bus.unavailable" in out + err
    assert "hunter2" not in out + err


async def test_two_deployments_share_a_redis_by_their_prefixes(server: RedisServer) -> None:
    buses = [RedisBus(server.url, monotonic=monotonic, new_id=new_id, prefix=prefix) for prefix in ("one", "two")]
    receivers = [Receiver(), Receiver()]
    for bus, receiver in zip(buses, receivers, strict=True):
        await bus.open()
        bus.subscribe(TOPIC, receiver.record)
    for bus, text in zip(buses, ("a", "b"), strict=True):
        bus.publish(TOPIC, 0, text)
    await both(*buses)
    assert [receiver.records for receiver in receivers] == [[(0, "a")], [(0, "b")]]
    for bus in buses:
        await bus.aclose()


async def test_a_run_ends_though_its_last_records_are_dropped(buses: Buses) -> None:
    feeds, hub = await buses.open(), await buses.open()
    calls: list[str] = []
    hub.subscribe(TOPIC, lambda _, record: calls.append(record), settled=lambda: calls.append("settled"))
    await hub.caught_up()
    feeds.publish_all(TOPIC, [(0, "a"), (1, "b"), (1, "again"), (0, "again")])
    await both(feeds, hub)
    assert calls == ["a", "b", "settled"]


async def test_who_writes_the_log_is_one(server: RedisServer, buses: Buses) -> None:
    first, hub, receiver = await buses.open(TOPIC, journal="j1"), await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    first.begin(TOPIC, "log")
    first.publish(TOPIC, 0, "r0")
    await both(first, hub)
    keys = await server.ask("KEYS", "*")
    with pytest.raises(LogHeld, match="another `lockstep ingest`"):
        await buses.open(TOPIC, journal="j2")
    # Whoever is refused has left no trace, and changed nothing for the other.
    assert await server.ask("KEYS", "*") == keys
    assert first.holds_log()
    assert not hub.holds_log()
    first.publish(TOPIC, 1, "r1")
    await both(first, hub)
    # After an end in order nobody waits for the lease.
    await first.aclose()
    second = await buses.open(TOPIC, journal="j2")
    second.begin(TOPIC, "another")
    second.publish(TOPIC, 0, "s0")
    await both(second, hub)
    assert receiver.records == [(0, "r0"), (1, "r1"), (0, "s0")]


async def test_who_was_taken_over_writes_nothing_more(buses: Buses, capsys: pytest.CaptureFixture[str]) -> None:
    first, hub, receiver = await buses.open(TOPIC, journal="j1"), await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    hub.listen(SIGNAL, receiver.signal)
    first.begin(TOPIC, "log")
    first.publish(TOPIC, 0, "r0")
    await both(first, hub)
    # A restart, with the same journal: at once.
    again = await buses.open(TOPIC, journal="j1")
    first.publish(TOPIC, 1, "of the one before")
    first.signal(SIGNAL, "of the one before")
    await first.superseded.wait()
    assert first.trouble() == "superseded"
    assert not first.holds_log()
    again.begin(TOPIC, "log")
    again.publish(TOPIC, 1, "r1")
    first.publish(TOPIC, 2, "of the one before")
    await both(again, hub)
    assert receiver.records == [(0, "r0"), (1, "r1")]
    assert receiver.signals == []
    out, err = capsys.readouterr()
    assert (out + err).count("bus.superseded") == 1


async def test_a_wipe_takes_the_log_from_nobody(server: RedisServer, buses: Buses) -> None:
    first, hub, receiver = await buses.open(TOPIC, journal="j1"), await buses.open(), Receiver()
    hub.subscribe(TOPIC, receiver.record)
    first.begin(TOPIC, "log")
    first.publish(TOPIC, 0, "r0")
    await both(first, hub)
    await server.ask("FLUSHALL")
    first.publish(TOPIC, 1, "r1")
    await both(first, hub)
    assert receiver.records == [(0, "r0"), (1, "r1")]
    assert first.holds_log()
    with pytest.raises(LogHeld):
        await buses.open(TOPIC, journal="j2")
