"""Under which version there is a write may happen: `If-Match` and `If-None-Match` (RFC 9110, 13.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernel.errors import DecodeError

MAX_CHARS = 512
_TAG = re.compile(r'"([1-9][0-9]{0,14})"')

CONDITION_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "If-Match": {
        "description": "The version that is meant, as its ETag has it; `*`: whichever, but there must be one.",
        "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,14}")$'},
    },
    "If-None-Match": {
        "description": "`*`: there must be none yet.",
        "schema": {"type": "string", "enum": ["*"]},
    },
}
"""What `condition_of` takes, as an API description says it."""


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
        """Return whether the write may happen; `version` is the present one, None where there is none."""
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
        raise DecodeError("If-None-Match: only * is understood here: it must not be there yet")
    if wanted is None or wanted.strip() == "*":
        return Condition(exists=wanted is not None, absent=unwanted is not None)
    tags = [_TAG.fullmatch(tag.strip()) for tag in wanted[:MAX_CHARS].split(",")]
    versions = frozenset(int(tag[1]) for tag in tags if tag is not None)
    if len(wanted) > MAX_CHARS or None in tags:
        raise DecodeError('If-Match: a version in quotes is expected, as the ETag has it: "3"')
    return Condition(versions, absent=unwanted is not None)
