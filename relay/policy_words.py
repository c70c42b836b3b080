"""What operators say and are told of policies: bodies, conditions of writes, answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kernel.errors import DecodeError, MessageTooLarge
from kernel.policies import PolicyRecord
from kernel.strict_json import Limits, decode, decode_known, encode

POLICY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a policy may be called: what stands unescaped in a path."""

POLICY_LIMITS = Limits(max_bytes=256 << 10, max_depth=40, max_nodes=140_000)
"""A thousand of them are 256 MB. Conditions nest 8 deep, each taking two levels, around a polygon's four; of the
shortest values 256 KiB hold 131,072."""

MAX_POLICIES = 1_000
_TAG = re.compile(r'"([1-9][0-9]{0,14})"')
_MS = 1000


@dataclass(frozen=True, slots=True)
class Condition:
    """Under which version there is a write may happen (RFC 9110, 13.1).

    Args:
        match: the versions of `If-Match`; None where any will do.
        exists: it asks for `*`: whichever, but there must be one.
        absent: `If-None-Match: *`: there must be none.
    """

    match: frozenset[int] | None = None
    exists: bool = False
    absent: bool = False

    def holds(self, version: int | None) -> bool:
        """Return whether the write may happen; `version` is that of the policy, None where there is none."""
        if version is None:
            return self.match is None and not self.exists
        return not self.absent and (self.match is None or version in self.match)


def condition_of(headers: Mapping[str, str]) -> Condition:
    """Read the condition of a request.

    Raises:
        DecodeError: a header is not what it may be.
    """
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if unwanted is not None and unwanted.strip() != "*":
        raise DecodeError("If-None-Match: only * is understood here: the policy must not be there yet")
    if wanted is None or wanted.strip() == "*":
        return Condition(exists=wanted is not None, absent=unwanted is not None)
    tags = [_TAG.fullmatch(tag.strip()) for tag in wanted[:512].split(",")]
    versions = frozenset(int(tag[1]) for tag in tags if tag is not None)
    if len(wanted) > 512 or None in tags:
        raise DecodeError('If-Match: a version in quotes is expected, as the ETag has it: "3"')
    return Condition(versions, absent=unwanted is not None)


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
