"""What operators say and are told of policies: routes, bodies, answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field, RootModel

from kernel.errors import DecodeError, MessageTooLarge
from kernel.policies import PolicyRecord
from kernel.strict_json import Limits, decode, decode_known, encode
from relay.api import Answer, Operation, Told
from relay.operators import OperatorScope
from relay.paging import PAGE_QUERY
from relay.preconditions import CONDITION_HEADERS

PATH = "/api/v1/policies"

POLICY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a policy may be called: what stands unescaped in a path."""

POLICY_LIMITS = Limits(max_bytes=256 << 10, max_depth=40, max_nodes=140_000)
"""A thousand of them are 256 MB. Conditions nest 8 deep, each taking two levels, around a polygon's four; of the
shortest values 256 KiB hold 131,072."""

MAX_POLICIES = 1_000
_TAG = re.compile(r'"([1-9][0-9]{0,14})"')
_MS = 1000
_NAMED = {
    "policy_id": {
        "description": "What it is called.",
        "schema": {"type": "string", "pattern": f"^{POLICY_ID.pattern}$"},
    }
}
_TAGGED = {"ETag": "The version, in quotes."}


class PolicyBody(RootModel[dict[str, Any]]):
    """A policy; docs/place.md says what stands in it."""


class PolicyHeadTold(Told):
    """A policy without its text; `made` is Unix ms."""

    policy_id: str
    version: int
    made: int
    by: str
    bytes: int


class PolicyTold(PolicyHeadTold):
    """A policy; null in a version that says that it was deleted."""

    policy: dict[str, Any] | None
    findings: list[dict[str, Any]] = Field(default_factory=list, description="What is odd about it; after a PUT only.")


class PoliciesTold(Told):
    """A page of them."""

    policies: list[PolicyHeadTold]
    next_after: int | None = Field(description="`after` of the next page; null on the last one.")


LIST_POLICIES = Operation(
    method="GET",
    path=PATH,
    name="listPolicies",
    summary="List the policies of place, in the order in which their names came up",
    tag="policies",
    scope=OperatorScope.READ,
    query=PAGE_QUERY,
    answers={200: Answer("A page of them.", PoliciesTold)},
)
GET_POLICY = Operation(
    method="GET",
    path=PATH + "/{policy_id}",
    name="getPolicy",
    summary="Return a policy, its newest version or another one",
    tag="policies",
    scope=OperatorScope.READ,
    parameters=_NAMED,
    query={"version": {"description": "Which one; unset: the newest.", "schema": {"type": "integer", "minimum": 1}}},
    answers={200: Answer("The policy.", PolicyTold, _TAGGED), 404: Answer("There is no such policy, or version.")},
)
PUT_POLICY = Operation(
    method="PUT",
    path=PATH + "/{policy_id}",
    name="putPolicy",
    summary="Make a policy, or a new version of it",
    tag="policies",
    scope=OperatorScope.POLICY,
    parameters=_NAMED,
    headers=CONDITION_HEADERS,
    body=PolicyBody,
    raw=True,
    limits=POLICY_LIMITS,
    answers={
        200: Answer("It is in force; the same as before is no new version.", PolicyTold, _TAGGED),
        201: Answer("It is in force, and new.", PolicyTold, _TAGGED),
        412: Answer("Its version is another (`reason` version_changed)."),
        507: Answer("There are as many as may be."),
    },
)
DELETE_POLICY = Operation(
    method="DELETE",
    path=PATH + "/{policy_id}",
    name="deletePolicy",
    summary="Delete a policy; its versions stay on record",
    tag="policies",
    scope=OperatorScope.POLICY,
    parameters=_NAMED,
    headers=CONDITION_HEADERS,
    answers={
        204: Answer("It is deleted."),
        404: Answer("There is no such policy."),
        412: Answer("Its version is another (`reason` version_changed)."),
    },
)
OPERATIONS = (LIST_POLICIES, GET_POLICY, PUT_POLICY, DELETE_POLICY)


def version_of(query: Mapping[str, str]) -> int | None:
    """Return which version a GET asks for, None for the newest.

    Raises:
        DecodeError: it is no number.
    """
    text = query.get("version")
    if text is None:
        return None
    if not _TAG.fullmatch(f'"{text}"'):
        raise DecodeError("version: a number from 1 is expected")
    return int(text)


def text_of(policy_id: str, body: bytes) -> str:
    """Return the canonical text of a policy: keys sorted, no blanks. The same policy has the same text.

    Args:
        policy_id: what it is called in the path.
        body: JSON as it was sent.

    Raises:
        MessageTooLarge: it exceeds `POLICY_LIMITS`.
        DecodeError: it is no object, or another policy's.
    """
    policy = decode(body, POLICY_LIMITS)
    if not isinstance(policy, dict):
        raise DecodeError("the body is an object, the policy")
    if policy.get("policy_id") != policy_id:
        raise DecodeError(f"policy_id: it is {policy_id!r} in the path, so it must be in the body")
    text = encode(_sorted(policy))
    if len(text.encode()) > POLICY_LIMITS.max_bytes:
        raise MessageTooLarge(f"the policy, written out, is longer than {POLICY_LIMITS.max_bytes} bytes")
    return text


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


class PolicyHead(NamedTuple):
    """A policy without its text: `made` in Unix seconds, `n_bytes` the text's length in UTF-8."""

    policy_id: str
    version: int
    made: float
    by: str
    n_bytes: int


def head_map_of(head: PolicyHead) -> dict[str, Any]:
    """Return what a list says of a policy; times are Unix ms."""
    return {
        "policy_id": head.policy_id,
        "version": head.version,
        "made": round(head.made * _MS),
        "by": head.by,
        "bytes": head.n_bytes,
    }


def map_of(record: PolicyRecord, findings: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return a policy as operators are told of it.

    Args:
        record: one version; of one that says "deleted", `policy` is null.
        findings: what is odd about it, where that was looked for.
    """
    text = record.text
    head = PolicyHead(record.policy_id, record.version, record.made, record.by, len((text or "").encode()))
    told = {**head_map_of(head), "policy": None if text is None else decode_known(text)}
    return told if findings is None else told | {"findings": list(findings)}
