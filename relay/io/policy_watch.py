"""Keeps the index of policies by the bus, and compiles off the loop what comes.

A policy of 256 KiB may take a good part of a second to compile: that happens in a thread, one policy at a time, while
the version before it stays in force. Before anybody is admitted all of them are compiled (`settle`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from kernel.bus import policies_topic
from kernel.errors import DecodeError

if TYPE_CHECKING:
    from kernel.bus import Bus, Cancel
    from kernel.policies import PolicyRecord
    from relay.policies import Compile, CompiledPolicy, PolicyIndex

log = structlog.get_logger("policies")


class PolicyWatch:
    """Compile what the bus says into an index.

    Args:
        bus: where policies come from.
        index: what the gates ask.
        compile_: turns a text into a policy.
    """

    def __init__(self, bus: Bus, index: PolicyIndex, compile_: Compile) -> None:
        self._bus = bus
        self._index = index
        self._compile = compile_
        self._cancel: Cancel | None = None
        self._wake = asyncio.Event()
        self._alone = asyncio.Lock()
        self._at_hand: tuple[str, CompiledPolicy] | None = None

    def start(self) -> None:
        """Listen to the bus."""
        self._cancel = self._bus.subscribe(policies_topic(), self._on_record)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def at_hand(self, text: str, policy: CompiledPolicy) -> None:
        """Take a policy that somebody has compiled already, and whose record is about to come."""
        self._at_hand = (text, policy)

    async def run(self) -> None:
        """Compile what comes, until cancelled."""
        while True:
            await self._wake.wait()
            await self.settle()

    async def settle(self) -> None:
        """Return when everything that was heard of is in force."""
        async with self._alone:
            self._wake.clear()
            while waiting := self._index.waiting():
                record = waiting[0]
                self._index.install(record, await asyncio.to_thread(self._policy_of, record))

    def _on_record(self, _: int, record: PolicyRecord) -> None:
        if not self._index.heard(record):
            return
        if self._at_hand is not None and self._at_hand[0] == record.text:
            self._index.install(record, self._at_hand[1])
            return
        self._wake.set()

    def _policy_of(self, record: PolicyRecord) -> CompiledPolicy | None:
        assert record.text is not None
        try:
            return self._compile(record.text)
        except DecodeError as error:
            why = str(error)
        except Exception as error:
            # Whatever it is: one policy must not keep the others from being compiled.
            why = repr(error)
        # Those who need it are refused from now on.
        log.error("policy.not_understood", policy_id=record.policy_id, version=record.version, error=why)
        return None
