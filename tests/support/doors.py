"""An operators' door for tests of what lies behind it."""

from __future__ import annotations

from pathlib import Path

from relay.io.operator_door import OperatorDoor
from relay.io.repeats import Repeats
from relay.operators import Operator, Operators, OperatorScope, digest_of, operator_key
from relay.quota import Quota, QuotaLimits
from tests.support.tokens import NOW

FULL, READER = operator_key(b"f" * 32), operator_key(b"r" * 32)


def operators() -> Operators:
    """Return one who may do everything, and one who may only read."""
    return Operators(
        [
            Operator("ops", digest_of(FULL), frozenset(OperatorScope)),
            Operator("eyes", digest_of(READER), frozenset({OperatorScope.READ})),
        ]
    )


class Door(OperatorDoor):
    """A door with a store of its own, which closing it closes; its clocks stand at NOW."""

    def __init__(self, repeats: Repeats, limits: QuotaLimits) -> None:
        self.repeats = repeats
        self.now = float(NOW)
        self.holds = True
        super().__init__(
            operators(),
            quota=Quota(limits),
            repeats=repeats,
            wall=lambda: self.now,
            now=lambda: self.now,
            holds_log=lambda: self.holds,
        )

    async def aclose(self) -> None:
        """Finish what was begun, then close the store."""
        await super().aclose()
        await self.repeats.aclose()


async def open_door(folder: Path, limits: QuotaLimits | None = None) -> Door:
    """Return a door that remembers in a folder."""
    return Door(await Repeats.open(folder / "repeats.sqlite"), limits or QuotaLimits())
