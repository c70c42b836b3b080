from __future__ import annotations

import asyncio
import threading

from structlog.testing import capture_logs

from kernel.bus import policies_topic
from kernel.errors import DecodeError
from kernel.io.memory_bus import MemoryBus
from kernel.policies import PolicyRecord
from relay.io.policy_watch import PolicyWatch
from relay.place.model import Fix, IpPlace, PlaceVerdict
from relay.policies import PolicyIndex


class Policy:
    """Stand for what a text is compiled to."""

    def __init__(self, text: str) -> None:
        self.text = text

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        return PlaceVerdict(None, None)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


class Rig:
    """A watch on a bus, whose compiler refuses some texts and counts the others."""

    def __init__(self) -> None:
        self.bus = MemoryBus(lambda: 0.0)
        self.index = PolicyIndex()
        self.compiled: list[str] = []
        self.threads: set[int] = set()
        self.watch = PolicyWatch(self.bus, self.index, self.compile)
        self._offset = -1

    def compile(self, text: str) -> Policy:
        self.compiled.append(text)
        self.threads.add(threading.get_ident())
        if text == "newer":
            raise DecodeError("watch: `moon` is unknown")
        if text == "fault":
            raise ZeroDivisionError
        return Policy(text)

    def tell(self, policy_id: str, version: int, text: str | None) -> None:
        self._offset += 1
        self.bus.publish(policies_topic(), self._offset, PolicyRecord(policy_id, version, text, 1.0, "ops"))

    def texts(self, *names: str) -> list[str | None]:
        found = [self.index.find(name) for name in names]
        return [one.policy.text if one is not None and isinstance(one.policy, Policy) else None for one in found]


async def test_what_the_bus_retains_is_in_force_once_it_is_settled() -> None:
    rig = Rig()
    rig.tell("west", 1, "a")
    rig.watch.start()
    rig.tell("east", 1, "b")
    rig.tell("gone", 2, None)
    assert rig.texts("west", "east") == [None, None]
    await rig.watch.settle()
    assert rig.texts("west", "east", "gone") == ["a", "b", None]
    # Not on the loop's thread.
    assert threading.get_ident() not in rig.threads
    rig.watch.stop()
    rig.watch.stop()
    rig.tell("west", 2, "c")
    await rig.watch.settle()
    assert rig.texts("west") == ["a"]


async def test_what_comes_later_is_compiled_by_itself() -> None:
    rig = Rig()
    rig.watch.start()
    task = asyncio.create_task(rig.watch.run())
    changed: asyncio.Queue[str] = asyncio.Queue()
    rig.index.listen(changed.put_nowait)
    for version, text in ((1, "a"), (2, "b")):
        rig.tell("west", version, text)
        assert await changed.get() == "west"
        assert rig.texts("west") == [text]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_understood_is_said_and_puts_the_policy_out_of_force() -> None:
    rig = Rig()
    rig.watch.start()
    rig.tell("west", 1, "a")
    await rig.watch.settle()
    with capture_logs() as logs:
        rig.tell("west", 2, "newer")
        rig.tell("east", 1, "fault")
        rig.tell("north", 1, "c")
        await rig.watch.settle()
    assert rig.texts("west", "east", "north") == [None, None, "c"]
    assert sorted(rig.index.broken()) == ["east", "west"]
    assert [(line["event"], line["policy_id"], line["log_level"]) for line in logs] == [
        ("policy.not_understood", "west", "error"),
        ("policy.not_understood", "east", "error"),
    ]
    assert "`moon`" in logs[0]["error"]


async def test_what_is_compiled_already_is_not_compiled_again() -> None:
    rig = Rig()
    rig.watch.start()
    rig.watch.at_hand("a", Policy("a"))
    rig.tell("west", 1, "a")
    assert (rig.texts("west"), rig.compiled) == (["a"], [])
