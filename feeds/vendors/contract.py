"""What an adapter is: a pure function from one vendor message to facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from kernel.cues import Fact


@dataclass(frozen=True, slots=True)
class Alive:
    """A source's sign of life.

    `interval_s` is how often it promises one. `complete_to` is the Unix time up to which all that happened has been
    sent, None where the source does not say.
    """

    interval_s: float
    complete_to: float | None


@dataclass(frozen=True, slots=True)
class Adapted:
    """What one vendor message says: its facts in the order in which it names them, and its sign of life if any."""

    facts: list[Fact] = field(default_factory=list)
    alive: Alive | None = None


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message that is on disk: its journal number, when it came (Unix seconds), what it says, and to which stream.

    `again` says that it came before a restart, and is handed out once more because not all of it was sealed.
    """

    seq: int
    source: str
    received: float
    adapted: Adapted
    stream: str
    again: bool = False


class Adapter(Protocol):
    """Read one vendor's messages.

    An adapter is pure and stateless: the same message from the same source gives the same facts, also when the
    journal hands it out again after a restart. It decides nothing about order, revisions or media time.
    """

    def __call__(self, source: str, message: Any) -> Adapted:
        """Return what `message`, decoded JSON, says on behalf of `source`.

        Raises:
            DecodeError: it is not this vendor's; the text names the field and what is expected there.
        """
        ...
