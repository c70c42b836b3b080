from __future__ import annotations

from dataclasses import replace

import pytest

from kernel.decisions import Scope, Verdict
from kernel.tokens import Reason
from kernel.value import replace as changed
from lockstep import dry_run as module
from lockstep.dry_run import Changed, dry_run
from relay.audit_records import DecisionRecord, Gap, Inputs, Said
from relay.io.audit_reader import Entry
from relay.place.model import PlaceVerdict
from tests.support.auditing import PLACE, Policy

ALLOWED, BLOCKED = PlaceVerdict(None, None), PlaceVerdict(Reason.GEO_BLOCKED, Reason.GEO_BLOCKED)


def entry(
    session: str, country: str, verdict: PlaceVerdict = ALLOWED, *, at_ms: int = 1, policy_id: str = "west"
) -> Entry:
    record = DecisionRecord(
        0, at_ms, session, "ann", "game", Scope.WATCH, Verdict.ADMIT, verdict.watch, policy_id, 1, "", verdict
    )
    return Entry(record, Inputs(1.0, PLACE.address, changed(PLACE, locality=changed(PLACE.locality, country=country))))


def test_who_would_have_been_cut_or_let_in() -> None:
    told = dry_run(
        [entry("a", "US"), entry("b", "DE", BLOCKED), entry("c", "CA"), entry("d", "US", policy_id="east")],
        "west",
        Policy(["US"]),
    )
    cut = [Changed("a", "ann", "game", scope, 1, None, Reason.GEO_BLOCKED) for scope in ("watch", "wager")]
    let_in = [Changed("b", "ann", "game", scope, 1, Reason.GEO_BLOCKED, None) for scope in ("watch", "wager")]
    assert (told.decisions, told.sessions, told.cut, told.let_in, told.other) == (3, 3, cut, let_in, [])


def test_a_session_is_named_once_and_to_be_cut_counts_most() -> None:
    told = dry_run(
        [
            entry("a", "DE", BLOCKED, at_ms=1),
            entry("a", "US", at_ms=2),
            entry("a", "US", at_ms=3),
            entry("a", "DE", BLOCKED, at_ms=4),
        ],
        "west",
        Policy(["US"]),
    )
    assert [(one.scope, one.at_ms) for one in told.cut] == [("watch", 2), ("wager", 2)]
    assert told.let_in == []
    assert told.sessions == 1


def test_another_reason_is_told_apart() -> None:
    told = dry_run([entry("a", "US", PlaceVerdict(Reason.VPN, None))], "west", Policy(["US"]))
    assert [(one.scope, one.before) for one in told.other] == [("watch", Reason.VPN)]
    assert [one.scope for one in told.cut] == ["wager"]


def test_what_cannot_be_made_again_is_counted() -> None:
    sealed, plain = entry("a", "US")._replace(inputs=None), entry("b", "US")
    told = dry_run(
        [sealed, Entry(Gap(1, 1, 5), None), plain._replace(inputs=Inputs(1.0, "::1"))], "west", Policy(["US"])
    )
    assert (told.sealed, told.decisions, told.cut) == (1, 0, [])


def test_a_policy_that_stood_beside_another_is_judged_again() -> None:
    one = entry("a", "US", BLOCKED, policy_id="east")
    assert isinstance(one.record, DecisionRecord)
    both = one._replace(record=replace(one.record, beside=Said("west", 1, ALLOWED)))
    told = dry_run([both], "west", Policy(["US"]))
    assert [(change.before, change.scope) for change in told.cut] == [(None, "watch"), (None, "wager")]


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    assert dry_run([entry(str(number), "CA") for number in range(5)], "west", Policy([])).sessions == 2
