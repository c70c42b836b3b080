"""What operators, and account holders of themselves, are told of sessions; and how one is ended: routes and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from kernel.errors import DecodeError
from relay.api import Answer, Operation, Told
from relay.operators import OperatorScope
from relay.sessions.about import DEVICE, FINGERPRINT, PLACE
from relay.sessions.model import Order
from relay.sessions.networks import NETWORK
from relay.viewer_words import SECURITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.sessions.model import Session
    from relay.sessions.policies import SessionPolicies

PATH = "/api/v1/ppv/sessions/{id}"

MAX_ID_CHARS = 255
KICKED, ENDED = "kicked", "ended_by_account"
"""What a session is told that an operator has ended, or its own account holder."""


class LeavingTold(Told):
    """A session that has to go; times are Unix ms."""

    ends: int
    left_s: int = Field(ge=0, description="How much of its grace is left, in seconds.")
    code: str
    by: str = Field(description="The session that takes its place, or who sent it away.")


class SessionTold(Told):
    """A session; times are Unix ms."""

    session_id: str
    event_id: str
    since: int
    duration_s: int
    last_segment_at: int
    token_ends: int
    device: str | None = None
    fingerprint: str | None = Field(default=None, description="The hash of what the device said of itself.")
    network: str | None = None
    place: str | None = None
    counted_by: list[str] = Field(description="The limits that count it.")
    eviction_order: int | None = Field(
        default=None, description="1: it goes first where one more comes. Unset: nobody goes, or it is leaving."
    )
    leaving: LeavingTold | None = None


class SessionsTold(Told):
    """The sessions of an account, the oldest first."""

    account_id: str
    sessions: list[SessionTold]


_ID = {"schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS}}
LIST_SESSIONS = Operation(
    method="GET",
    path=PATH,
    name="listSessions",
    summary="List the sessions of an account: for operators, and for whoever holds a token of that account",
    tag="sessions",
    scope=OperatorScope.READ,
    security=SECURITY,
    parameters={"id": {"description": "The account.", **_ID}},
    answers={
        200: Answer("Those who are here, leaving or not.", SessionsTold),
        404: Answer("No account is called so."),
    },
)
END_SESSION = Operation(
    method="DELETE",
    path=PATH,
    name="endSession",
    summary="End a session at once, its socket too: for operators, and for whoever holds a token of its account",
    tag="sessions",
    scope=OperatorScope.SESSION,
    security=SECURITY,
    parameters={"id": {"description": "The session.", **_ID}},
    query={
        "account": {"description": "Whose it is, where that is known: it is found sooner.", **_ID},
        "grace_s": {
            "description": "How long it is warned before, in seconds.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 3600, "default": 0},
        },
    },
    answers={204: Answer("It has ended, or is warned."), 404: Answer("There is no such session.")},
)
OPERATIONS = (LIST_SESSIONS, END_SESSION)


def grace_of(query: Mapping[str, str]) -> int:
    """Return for how long a session is warned before it is cut, in seconds.

    Raises:
        DecodeError: it is no number, or too long.
    """
    text = query.get("grace_s", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and int(text) <= 3_600):
        raise DecodeError("grace_s: a number from 0 to 3600 is expected")
    return int(text)


def account_of(query: Mapping[str, str]) -> str | None:
    """Return whose session is meant, None if that is not said.

    Raises:
        DecodeError: it is no account's name.
    """
    text = query.get("account")
    if text is not None and not 1 <= len(text) <= MAX_ID_CHARS:
        raise DecodeError(f"account: 1 to {MAX_ID_CHARS} characters are expected")
    return text


def sessions_told(
    account: str, sessions: Sequence[Session], policies: SessionPolicies, *, now_ms: int
) -> SessionsTold:  # fmt: skip
    """Return what is told of an account. `now_ms` is Unix time in milliseconds."""
    turns = turns_of(sessions, policies)
    return SessionsTold(account_id=account, sessions=[_told(one, turns.get(one.session), now_ms) for one in sessions])


def _told(one: Session, turn: int | None, now_ms: int) -> SessionTold:
    leaving = one.leaving
    said: dict[str, object] = {
        "session_id": one.session,
        "event_id": one.event_id,
        "since": one.began_ms,
        "duration_s": max(0, now_ms - one.began_ms) // 1_000,
        "last_segment_at": one.seen_ms,
        "token_ends": one.until_ms,
        "counted_by": list(one.keys),
    }
    for field, name in (("device", DEVICE), ("fingerprint", FINGERPRINT), ("network", NETWORK), ("place", PLACE)):
        if name in one.about:
            said[field] = one.about[name]
    if turn is not None:
        said["eviction_order"] = turn
    if leaving is not None:
        left_s = max(0, -(-(leaving.at_ms - now_ms) // 1_000))
        said["leaving"] = LeavingTold(ends=leaving.at_ms, left_s=left_s, code=leaving.code, by=leaving.by)
    return SessionTold.model_validate(said)


def turns_of(sessions: Sequence[Session], policies: SessionPolicies) -> dict[str, int]:
    """Return in which order sessions go where one more comes, from 1, by the first limit that counts each."""
    by_key: dict[str, list[str]] = {}
    for one in sessions:
        if one.leaving is None and one.keys:
            by_key.setdefault(one.keys[0], []).append(one.session)
    turns: dict[str, int] = {}
    for key, names in by_key.items():
        policy = policies.of(key)
        if policy is None or not policy.order.evicts:
            continue
        ordered = reversed(names) if policy.order is Order.NEWEST_FIRST else names
        turns.update({name: number for number, name in enumerate(ordered, 1)})
    return turns
