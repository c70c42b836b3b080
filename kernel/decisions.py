"""Admission as a value: one `Decision` governs video and socket alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from kernel.blackouts import ZoneSet
from kernel.tokens import Claims, Reason


class Verdict(StrEnum):
    """What becomes of a request."""

    ADMIT = "admit"
    WARN = "warn"
    REFUSE = "refuse"
    REDIRECT = "redirect"


class Scope(StrEnum):
    """What a token may be used for."""

    WATCH = "watch"
    WAGER = "wager"
    SERVER = "server"
    TRADING = "trading"


class Whence(NamedTuple):
    """Where a request comes from, as the front door knows it.

    Args:
        address: the client's, behind trusted proxies; empty where it is not known.
        agent: the User-Agent field, empty without one; None where it says nothing of the device that plays.
    """

    address: str = ""
    agent: str | None = ""


NOWHERE = Whence()


class Ending(NamedTuple):
    """The session has to go.

    Args:
        at_ms: when it is cut, in Unix milliseconds.
        code: why.
        by: the session that takes its place; empty where there is none.
    """

    at_ms: int
    code: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of the gates to one request.

    `reason` is None when admitted. `claims` are those of a token whose signature holds, also when it is refused
    for another reason: only then may the reason be told. `zones` are the blackouts that apply to the bearer, in force
    by now or not: of a segment that one of them covers nothing may be served, and no cue sent. `ending` is there where
    the session has to go: until then it is warned (`Reason.EVICTED`), from then on refused.
    """

    verdict: Verdict
    reason: Reason | None
    may_watch: bool
    may_wager: bool
    claims: Claims | None
    zones: ZoneSet = ()
    ending: Ending | None = None

    @property
    def admitted(self) -> bool:
        """Return whether the request may go on."""
        return self.verdict in (Verdict.ADMIT, Verdict.WARN)


class Admit(Protocol):
    """Decide on one request; made by `relay.gate`, handed to the hub by the composition root.

    Guaranteed: no store, no bus and no lookup outside the process; it does not block.
    """

    def __call__(
        self, token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:
        """Decide whether the bearer of `token` may use `event_id` for `scope` at `now`, in Unix seconds."""
        ...


Judge = Callable[[Claims, Whence, Scope], Decision]
"""Decide, as of now, on claims that were found genuine before; made by the composition root of `relay.gate`."""
