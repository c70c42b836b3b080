"""What viewers' applications ask of a place and of a token, and are told: the routes, their bodies and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kernel.blackouts import Veil
from kernel.decisions import Decision
from kernel.showings import EVENT_ID
from kernel.tokens import Claims, Purpose, Reason
from relay.api import Answer, Body, Operation, Told
from relay.place.model import Fix, Point
from relay.whereabouts import Standing

GEO_CHECK_PATH = "/api/v1/ppv/geo-check/{event_id}"
ENTITLEMENT_PATH = "/api/v1/ppv/entitlement/{token}"
SECURITY = "token"

MAX_ACCURACY_M = 100_000.0
"""W3C Geolocation gives no bound; a fix that is worse than a metropolitan area says nothing."""

CLOCK_SKEW_S = 60.0
"""How far a device's clock may be ahead of ours and its fix still count as of now."""

_MAX_UNIX_MS = 253_402_300_799_000
_MS = 1000

EventId = Annotated[str, Field(pattern=f"^{EVENT_ID.pattern}$")]


class FixBody(Body):
    """Where a device says that it is (W3C Geolocation)."""

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False, description="Degrees, WGS 84.")
    lon: float = Field(ge=-180, le=180, allow_inf_nan=False, description="Degrees, WGS 84.")
    accuracy_m: float = Field(
        ge=0, le=MAX_ACCURACY_M, allow_inf_nan=False, description="The radius within which that holds, in metres."
    )
    at: int = Field(ge=0, le=_MAX_UNIX_MS, description="When it was taken, in Unix ms.")


class PlaceAnswer(Told):
    """Whether something may be done from there, and why not."""

    allowed: bool
    reason: Reason | None = None


class GeoCheckTold(Told):
    """What the gates say of the place of whoever asks."""

    event_id: str
    status: Literal["allowed", "blocked", "blackout"]
    watch: PlaceAnswer
    wager: PlaceAnswer
    warning: Reason | None = None
    recheck_s: int | None = Field(default=None, description="Say where the device is again within so many seconds.")


class EntitlementTold(Told):
    """What a token is worth now; times are Unix ms."""

    event_id: str
    status: Literal["active", "not_yet_valid", "outside_window", "expired", "revoked", "scope_missing"]
    purpose: Literal["session", "entitlement"]
    remaining_s: int = Field(ge=0, description="Until it ceases to admit; 0 where it does not.")
    starts: int
    ends: int
    scopes: list[str]
    geo_policy: str | None = Field(default=None, description="The policy of place that the token names.")
    sessions: int = Field(ge=0, description="Of its account at the event, as this process serves them now.")


_EVENT = {"description": "The showing.", "schema": {"type": "string", "pattern": f"^{EVENT_ID.pattern}$"}}
_REFUSED = {
    401: Answer("There is no token, or one that is not ours."),
    403: Answer("It does not admit to that showing, wherever its bearer is; `reason` says why."),
}
GEO_CHECK = Operation(
    method="GET",
    path=GEO_CHECK_PATH,
    name="checkPlace",
    summary="Tell whether the bearer of a token may watch and wager from where they are",
    tag="place",
    security=SECURITY,
    parameters={"event_id": _EVENT},
    answers={200: Answer("What the gates say.", GeoCheckTold), **_REFUSED},
)
REPORT_FIX = Operation(
    method="POST",
    path=GEO_CHECK_PATH,
    name="reportPlace",
    summary="Say where the device is, and tell whether its user may watch and wager there",
    tag="place",
    security=SECURITY,
    parameters={"event_id": _EVENT},
    body=FixBody,
    answers={
        200: Answer("What the gates say, with the fix.", GeoCheckTold),
        409: Answer("A fix that is as new, or newer, is known."),
        413: Answer("The body is too large."),
        422: Answer("It is not understood; `detail` names the field and what is expected."),
        **_REFUSED,
    },
)
PREFLIGHT = Operation(
    method="OPTIONS",
    path=GEO_CHECK_PATH,
    name="mayPageAsk",
    summary="Tell a browser whether a page may ask (Fetch standard, CORS preflight)",
    tag="place",
    parameters={"event_id": _EVENT},
    answers={204: Answer("The fields say."), 404: Answer("That is no event id.")},
)
SHOW_ENTITLEMENT = Operation(
    method="GET",
    path=ENTITLEMENT_PATH,
    name="showEntitlement",
    summary="Tell what a token is worth now",
    tag="place",
    parameters={"token": {"description": "The token; logs print its `jti`.", "schema": {"type": "string"}}},
    answers={
        200: Answer("What it says, and whether it admits.", EntitlementTold),
        401: Answer("It is no token of ours."),
    },
)
OPERATIONS = (GEO_CHECK, REPORT_FIX, PREFLIGHT, SHOW_ENTITLEMENT)


def fix_of(body: FixBody, now: float) -> Fix:
    """Return what a device says. `now` is Unix time in seconds: a clock that is a little fast is of now."""
    at = body.at / _MS
    return Fix(Point(body.lon, body.lat), body.accuracy_m, now if now < at <= now + CLOCK_SKEW_S else at)


def geo_check_told(
    event_id: str, watch: Decision, wager: Decision, standing: Standing, dark: Veil | None = None
) -> GeoCheckTold:
    """Return what is told of two decisions on the same claims; what does not concern somebody is not allowed them.

    `dark` is the blackout that lies over the showing for them now. With a redirect they may watch that, and not wager.
    """
    allowed = watch.admitted or (watch.reason is Reason.SCOPE_MISSING and wager.admitted)
    status: Literal["allowed", "blocked", "blackout"] = "allowed" if allowed else "blocked"
    if Reason.BLACKOUT in (watch.reason, wager.reason) or (allowed and dark is not None):
        status = "blackout"
    told: dict[str, Any] = {} if standing.warning is None else {"warning": standing.warning}
    if standing.recheck_s is not None:
        told["recheck_s"] = int(standing.recheck_s)
    return GeoCheckTold(
        event_id=event_id,
        status=status,
        watch=_answer(watch, dark if dark is not None and dark.redirect is None else None),
        wager=_answer(wager, dark),
        **told,
    )


def _answer(decision: Decision, dark: Veil | None) -> PlaceAnswer:
    if not decision.admitted:
        return PlaceAnswer(allowed=False, reason=decision.reason)
    return PlaceAnswer(allowed=True) if dark is None else PlaceAnswer(allowed=False, reason=Reason.BLACKOUT)


def entitlement_told(
    claims: Claims, lapse: Reason | None, purpose: Purpose, sessions: int, now: float
) -> EntitlementTold:
    """Return what is told of a genuine token. `now` is Unix time in seconds."""
    starts = max(claims.not_before, claims.window[0])
    return EntitlementTold.model_validate({
        "event_id": claims.event_id,
        "status": "active" if lapse is None else lapse.value,
        "purpose": purpose.value,
        "remaining_s": max(0, int(claims.ends - now)) if lapse is None else 0,
        "starts": starts * _MS,
        "ends": claims.ends * _MS,
        "scopes": sorted(claims.scopes),
        "geo_policy": claims.geo,
        "sessions": sessions,
    })  # fmt: skip
