from __future__ import annotations

from typing import Any

from kernel.decisions import Decision, Scope, Verdict
from kernel.policies import PolicyRecord
from kernel.tokens import Reason
from kernel.value import replace
from relay.audit import Auditor, Note
from relay.place.model import PlaceVerdict
from tests.support.auditing import WEST, judged, note
from tests.support.tokens import NOW, claims

ADMITTED = Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=None)
REFUSED = Decision(Verdict.REFUSE, Reason.GEO_BLOCKED, may_watch=False, may_wager=False, claims=None)


class Rig:
    def __init__(self, *, max_sessions: int = 100) -> None:
        self.notes: list[Note] = []
        self.auditor = Auditor(self.notes.append, max_sessions=max_sessions)

    def says(
        self, decision: Decision = ADMITTED, *, scope: Scope = Scope.WATCH, session: str = "s", **more: Any
    ) -> int:
        """Return how many notes it makes of a decision."""
        before = len(self.notes)
        self.auditor.note(replace(claims(), session=session), scope, decision, now=NOW, **more)
        return len(self.notes) - before


def test_the_first_decision_is_noted_and_the_same_again_is_not() -> None:
    rig = Rig()
    asked = judged()
    assert [rig.says(judged=asked) for _ in range(3)] == [1, 0, 0]
    one = claims()
    assert rig.notes == [
        Note(NOW, "s", one.account, one.event_id, Scope.WATCH, Verdict.ADMIT, None, one.geo, asked, "")
    ]


def test_what_changes_is_noted() -> None:
    rig = Rig()
    second = PolicyRecord("west", 2, WEST.text, 2.0, "ops")
    again = PolicyRecord("west", 1, WEST.text, 9.0, "ops")
    warned = replace(judged(), verdict=PlaceVerdict(None, None, Reason.VPN))
    assert rig.says(address="203.0.113.77") == 1
    assert rig.notes[-1].address == "203.0.113.77"
    assert rig.says(judged=judged()) == 1
    assert rig.says(judged=judged(policy=again)) == 0
    assert rig.says(judged=judged(policy=second)) == 1
    assert rig.says(REFUSED, judged=judged(policy=second)) == 1
    assert rig.says(judged=judged(policy=second)) == 1
    assert rig.says(judged=replace(warned, policy=second)) == 1
    assert rig.says(judged=judged(policy=PolicyRecord("east", 2, WEST.text, 2.0, "ops"))) == 1
    both = replace(judged(), beside=judged(policy=second))
    assert [rig.says(judged=both), rig.says(judged=both)] == [1, 0]
    assert rig.says(judged=replace(both, beside=judged(policy=again))) == 1
    assert rig.says() == 1


def test_sessions_and_scopes_are_apart() -> None:
    rig = Rig()
    assert rig.says() == rig.says(scope=Scope.WAGER) == rig.says(session="t") == 1
    assert rig.says() == rig.says(scope=Scope.WAGER) == rig.says(session="t") == 0


def test_what_is_remembered_is_bounded_and_whoever_still_comes_is_not_forgotten() -> None:
    rig = Rig(max_sessions=10)
    rig.says(session="here")
    noted = 0
    for number in range(200):
        noted += rig.says(session=f"s{number}")
        assert rig.says(session="here") == 0
    assert noted == 200
    assert len(rig.auditor._young) + len(rig.auditor._old) <= 20
    assert rig.says(session="s0") == 1


def test_notes_hold_what_there_is() -> None:
    assert note().judged is None
