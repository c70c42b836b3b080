"""The bus's contract, and its names."""

from __future__ import annotations

from kernel.bus import (
    Bus,
    blackouts_topic,
    entries_topic,
    epoch_signal,
    marks_topic,
    opened_signal,
    policies_topic,
    revocations_topic,
    state_signal,
    timings_topic,
)
from kernel.io.memory_bus import MemoryBus
from tests.support.bus_contract import BusContract


def test_every_name_is_a_streams_own_and_no_two_are_alike() -> None:
    names = [
        made(stream).name
        for stream in ("a", "b")
        for made in (entries_topic, timings_topic, marks_topic, opened_signal, state_signal, epoch_signal)
    ]
    assert len(set(names)) == len(names)
    assert all(name.split("/")[0] in ("a", "b") for name in names)
    # Revocations are no stream's, and no stream can be called so that they are: its names have a slash.
    assert "/" not in revocations_topic().name
    assert "/" not in policies_topic().name
    assert "/" not in blackouts_topic().name


class TestMemoryBus(BusContract):
    """The bus within one process keeps the contract."""

    def make_bus(self) -> Bus:
        return MemoryBus(lambda: 1.0)
