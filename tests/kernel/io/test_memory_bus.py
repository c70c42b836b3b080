"""What the bus within one process promises beyond the contract, which tests/kernel/test_bus.py holds it to."""

from __future__ import annotations

from structlog.testing import capture_logs

from kernel.io.memory_bus import MemoryBus
from tests.support.bus_contract import SIGNAL, TOPIC, Receiver


def test_time_is_what_it_was_given() -> None:
    times = iter([1.0, 2.5])
    bus = MemoryBus(lambda: next(times))
    assert (bus.now(), bus.now()) == (1.0, 2.5)
    assert bus.lag_s() == 0


def test_everything_is_delivered_before_publish_returns() -> None:
    bus, receiver = MemoryBus(lambda: 0.0), Receiver()
    bus.subscribe(TOPIC, receiver.record)
    bus.listen(SIGNAL, receiver.signal)
    bus.publish(TOPIC, 0, "r")
    assert receiver.records == [(0, "r")]
    bus.signal(SIGNAL, "s")
    assert receiver.signals == ["s"]


def test_delivery_is_in_the_order_of_subscription() -> None:
    bus, order = MemoryBus(lambda: 0.0), []
    for number in range(50):
        bus.subscribe(TOPIC, lambda _, __, number=number: order.append(number))  # type: ignore[misc]
    bus.publish(TOPIC, 0, "r")
    assert order == list(range(50))


def test_a_receivers_fault_is_logged_with_its_topic() -> None:
    bus, faulty = MemoryBus(lambda: 0.0), Receiver(RuntimeError("on purpose"))
    bus.subscribe(TOPIC, faulty.record)
    with capture_logs() as logs:
        bus.publish(TOPIC, 0, "r")
    assert [(line["event"], line["topic"], line["log_level"]) for line in logs] == [
        ("bus.receiver_failed", TOPIC.name, "error")
    ]
