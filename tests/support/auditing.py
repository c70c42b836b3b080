"""Policies small enough to be written here, and notes of decisions by them."""

from __future__ import annotations

import json
from pathlib import Path

from kernel.decisions import Scope, Verdict
from kernel.errors import DecodeError
from kernel.policies import PolicyRecord
from kernel.tokens import Reason
from relay.audit import Judged, Note
from relay.io.audit_reader import Audit, Texts, Verified
from relay.place.model import Fix, IpPlace, NetworkClass, PlaceVerdict, Point, known_place
from tests.support.tokens import NOW

DAY_S = 86_400
WEST = PolicyRecord("west", 1, '{"policy_id":"west","deny":["DE"]}', 1.0, "ops")
PLACE = known_place(
    "203.0.113.77", "US", "US-CA", "Pasadena", "91101", Point(-118.14, 34.15), 5_000.0, "803", 64_500,
    frozenset({NetworkClass.VPN}),
)  # fmt: skip
FIX = Fix(Point(-118.25, 34.05), 12.5, NOW - 10.25)


class Policy:
    """Deny some countries, for both scopes; a fix is refused when it is older than a minute."""

    def __init__(self, denied: list[str]) -> None:
        self.denied = denied

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        reason, rule = (Reason.GEO_BLOCKED, "abroad") if place.country in self.denied else (None, "")
        if fix is not None and now - fix.at > 60:
            reason = reason or Reason.GPS_STALE
        return PlaceVerdict(reason, reason, None, rule, rule, 300.0)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


def compile_policy(text: str) -> Policy:
    content = json.loads(text)
    if "deny" not in content:
        raise DecodeError("deny: it is missing")
    return Policy(content["deny"])


def judged(
    place: IpPlace = PLACE, *, fix: Fix | None = None, policy: PolicyRecord = WEST, now: float = NOW + 0.123
) -> Judged:
    assert policy.text is not None
    verdict = compile_policy(policy.text).decide(place, fix, now=now)
    return Judged(policy, verdict, now, place, fix, None, "city 2026-11-24")


def note(
    session: str = "s1", *, account: str = "ann", at: float = NOW, asked: Judged | None = None, address: str = ""
) -> Note:
    reason = None if asked is None else asked.verdict.watch
    verdict = Verdict.ADMIT if reason is None else Verdict.REFUSE
    return Note(at, session, account, "game", Scope.WATCH, verdict, reason, "west", asked, address)


def verified(folder: Path) -> list[Verified]:
    audit = Audit(folder)
    return [audit.verify(path, Texts(compile_policy)) for path in audit.chains()]
