"""A session policy as operators write it: how many may watch at a time, who has to go, and what is looked at besides.

It is of an event or of a plan; `relay/sessions/policies.py` says which one counts for whom.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from kernel.errors import DecodeError
from kernel.showings import EVENT_ID
from kernel.strict_json import CLIENT_LIMITS, decode, encode
from relay.api import Body, read_as
from relay.place.model import ClassAction
from relay.sessions.model import MAX_SESSIONS, Order

PLAN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
"""What a plan may be called: what stands unescaped in a path."""

DEFAULT_GRACE_S = 30
"""From the warning to the cut: as long as it takes to read a message and to say no to it."""

MAX_GRACE_S = 3_600

PPV_SESSIONS, PLAN_SESSIONS = 1, 3
"""How many may watch at a time what was bought once, and by a plan, where no policy says so."""

Kind = Literal["event", "plan"]


class SessionPolicy(NamedTuple):
    """What is meant.

    Args:
        most: how many sessions of one account may be there at a time.
        order: who goes where one more comes.
        grace_ms: from the warning to the cut.
        by_device: whether a session belongs to the fingerprint that it was begun with.
        mismatch: what becomes of who is elsewhere than their network; None: that is for policies of place to say.
        most_networks: from how many networks one account may watch at a time; None: from any number.
    """

    most: int
    order: Order = Order.OLDEST_FIRST
    grace_ms: int = DEFAULT_GRACE_S * 1_000
    by_device: bool = False
    mismatch: ClassAction | None = None
    most_networks: int | None = None


FOR_EVENT, FOR_PLAN = SessionPolicy(PPV_SESSIONS), SessionPolicy(PLAN_SESSIONS)


class SessionPolicyFields(Body):
    """What a policy says; what is left out takes its default."""

    max_concurrent: int | None = Field(
        default=None, ge=1, le=MAX_SESSIONS,
        description=f"Sessions of an account at a time; default {PPV_SESSIONS} of an event, {PLAN_SESSIONS} of a plan.",
    )  # fmt: skip
    eviction: Literal["oldest_first", "newest_first", "reject", "viewer_choice"] = Field(
        default="oldest_first", description="Who has to go where one more comes; the last two refuse the newcomer."
    )
    grace_period_sec: int = Field(
        default=DEFAULT_GRACE_S, ge=0, le=MAX_GRACE_S, description="From the warning to the cut, in seconds."
    )
    device_fingerprint: bool = Field(
        default=False, description="Whether a session belongs to the device that it was begun on."
    )
    geo_mismatch_action: Literal["block", "warn", "allow"] | None = Field(
        default=None,
        description="What becomes of who is elsewhere than their network; unset: as policies of place say.",
    )
    ip_sharing_threshold: int | None = Field(
        default=None, ge=1, le=MAX_SESSIONS, description="Networks of an account at a time; unset: any number."
    )


class SessionPolicyBody(Body):
    """A session policy, of an event or of a plan."""

    event_id: str | None = Field(default=None, pattern=f"^{EVENT_ID.pattern}$", description="The event that it is of.")
    plan: str | None = Field(default=None, pattern=f"^{PLAN.pattern}$", description="Or the plan.")
    session_policy: SessionPolicyFields

    @model_validator(mode="after")
    def _is_of_one(self) -> SessionPolicyBody:
        if (self.event_id is None) == (self.plan is None):
            raise ValueError("event_id or plan: one of them is expected, and not both")
        return self

    @property
    def subject(self) -> str:
        """Return what it is of, as the limits' keys have it: `event:final`, `plan:season`."""
        return subject_of("plan", self.plan) if self.plan is not None else subject_of("event", self.event_id or "")


def subject_of(kind: Kind, name: str) -> str:
    """Return what a policy is of, in one word."""
    return f"{kind}:{name}"


def text_of(body: SessionPolicyBody) -> str:
    """Return the canonical text of a policy; the same policy has the same text."""
    said: dict[str, Any] = body.model_dump(exclude_unset=True)
    return encode({key: _sorted(said[key]) for key in sorted(said)})


def _sorted(value: Any) -> Any:
    return {key: value[key] for key in sorted(value)} if isinstance(value, dict) else value


def read_policy(text: str) -> SessionPolicy:
    """Return what a policy's text means.

    Raises:
        DecodeError: it is none: a newer version wrote it.
    """
    body = read_as(SessionPolicyBody, decode(text.encode(), CLIENT_LIMITS))
    said = body.session_policy
    usual = FOR_PLAN if body.plan is not None else FOR_EVENT
    mismatch = said.geo_mismatch_action
    return SessionPolicy(
        usual.most if said.max_concurrent is None else said.max_concurrent,
        Order(said.eviction),
        said.grace_period_sec * 1_000,
        said.device_fingerprint,
        None if mismatch is None else ClassAction(mismatch),
        said.ip_sharing_threshold,
    )


def check_subject(kind: str, name: str) -> str:
    """Return what a path names.

    Raises:
        DecodeError: no policy can be of that.
    """
    if kind == "event" and EVENT_ID.fullmatch(name):
        return subject_of("event", name)
    if kind == "plan" and PLAN.fullmatch(name):
        return subject_of("plan", name)
    raise DecodeError("`event` and an event id, or `plan` and a plan's name, are expected")
