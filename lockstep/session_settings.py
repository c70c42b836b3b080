"""The settings of sessions: how many may watch at a time where no session policy says so."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from relay.sessions.model import MAX_SESSIONS, Order
from relay.sessions.policy_text import DEFAULT_GRACE_S, MAX_GRACE_S, PLAN_SESSIONS, PPV_SESSIONS, SessionPolicy


class SessionsSettings(BaseModel):
    """How many may watch at a time where no session policy says so."""

    model_config = ConfigDict(extra="forbid")

    ppv_max: int = Field(
        default=PPV_SESSIONS, ge=1, le=MAX_SESSIONS, description="Sessions of an account at an event that was bought."
    )
    plan_max: int = Field(default=PLAN_SESSIONS, ge=1, le=MAX_SESSIONS, description="Sessions of an account by a plan.")
    order: Order = Field(default=Order.OLDEST_FIRST, description="Who has to go where one more comes.")
    grace_s: int = Field(
        default=DEFAULT_GRACE_S, ge=0, le=MAX_GRACE_S, description="Seconds from the warning to the cut."
    )
    dead_after_s: float = Field(
        default=30.0, ge=5, le=3_600, description="Seconds without a request for a segment after which nobody watches."
    )
    tenant: str = Field(
        default="lockstep", pattern=r"^[!-~]{1,64}$", description="What the deployment is called in kick events."
    )

    def to_policies(self) -> tuple[SessionPolicy, SessionPolicy]:
        """Return what counts at an event that was bought, and by a plan."""
        event, plan = (
            SessionPolicy(most, self.order, 1_000 * self.grace_s) for most in (self.ppv_max, self.plan_max)
        )  # fmt: skip
        return event, plan
