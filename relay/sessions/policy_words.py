"""What operators say and are told of session policies: routes, bodies, answers."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import Field

from kernel.strict_json import decode_known
from relay.api import Answer, Operation, Told
from relay.operators import OperatorScope
from relay.paging import PAGE_QUERY
from relay.sessions.policy_text import PLAN, SessionPolicyBody

PATH = "/api/v1/ppv/session-policy"

MAX_SESSION_POLICIES = 10_000
"""Each is known to every process: 5 MB in all."""

_MS = 1000


class SessionPolicyRecord(NamedTuple):
    """A policy as it lies on disk.

    Args:
        subject: what it is of, `event:final` or `plan:season`.
        text: canonical JSON; None: it is deleted.
        made: when, in Unix seconds.
        by: the operator who made it.
    """

    subject: str
    text: str | None
    made: float
    by: str


class SessionPolicyTold(Told):
    """A session policy; `made` is Unix ms."""

    event_id: str | None = None
    plan: str | None = None
    session_policy: dict[str, Any] = Field(description="As it was made.")
    made: int
    by: str = Field(description="The operator who made it.")


class SessionPoliciesTold(Told):
    """A page of them."""

    session_policies: list[SessionPolicyTold]
    next_after: int | None = Field(description="`after` of the next page; null on the last one.")


_NAMED = {
    "kind": {"description": "What it is of.", "schema": {"type": "string", "enum": ["event", "plan"]}},
    "name": {
        "description": "The event id, or the plan's name.",
        "schema": {"type": "string", "pattern": f"^{PLAN.pattern}$"},
    },
}
_ABSENT = Answer("There is none of that.")
MAKE_SESSION_POLICY = Operation(
    method="POST",
    path=PATH,
    name="makeSessionPolicy",
    summary="Say how many sessions an account may have at a time, of an event or by a plan",
    tag="sessions",
    scope=OperatorScope.SESSION,
    body=SessionPolicyBody,
    idempotent=True,
    answers={
        200: Answer("It takes the place of the one before.", SessionPolicyTold),
        201: Answer("It is new.", SessionPolicyTold),
        507: Answer("There are as many as may be."),
    },
)
LIST_SESSION_POLICIES = Operation(
    method="GET",
    path=PATH,
    name="listSessionPolicies",
    summary="List the session policies, in the order in which they were first made",
    tag="sessions",
    scope=OperatorScope.READ,
    query=PAGE_QUERY,
    answers={200: Answer("A page of them.", SessionPoliciesTold)},
)
GET_SESSION_POLICY = Operation(
    method="GET",
    path=PATH + "/{kind}/{name}",
    name="getSessionPolicy",
    summary="Return the session policy of an event, or of a plan",
    tag="sessions",
    scope=OperatorScope.READ,
    parameters=_NAMED,
    answers={200: Answer("The policy.", SessionPolicyTold), 404: _ABSENT},
)
DELETE_SESSION_POLICY = Operation(
    method="DELETE",
    path=PATH + "/{kind}/{name}",
    name="deleteSessionPolicy",
    summary="Delete the session policy of an event, or of a plan: what is usual counts again",
    tag="sessions",
    scope=OperatorScope.SESSION,
    parameters=_NAMED,
    answers={204: Answer("It is deleted, everywhere."), 404: _ABSENT},
)
OPERATIONS = (MAKE_SESSION_POLICY, LIST_SESSION_POLICIES, GET_SESSION_POLICY, DELETE_SESSION_POLICY)


def told_of(record: SessionPolicyRecord) -> SessionPolicyTold:
    """Return a policy that is not deleted as operators are told of it."""
    said = decode_known(record.text or "{}")
    return SessionPolicyTold(**said, made=round(record.made * _MS), by=record.by)
