from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.blackouts import BlackoutRecord
from kernel.dates import parse_date
from kernel.decisions import Decision, Ending, Scope, Verdict, Whence
from kernel.policies import PolicyRecord
from kernel.revocation import Reinstatement, Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import Claims, Keyring, Purpose, Reason
from relay.audit import Auditor, Judged, Note
from relay.blackouts import BlackoutIndex, Blackouts
from relay.entitlements import Entitlements
from relay.fixes import FixBook
from relay.gate import Gate, StaleLimits
from relay.place.model import Fix, IpPlace, NetworkClass, PlaceVerdict
from relay.policies import PolicyIndex
from relay.sessions.model import Wish
from relay.sessions.seats import Seats
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier
from relay.whereabouts import Whereabouts
from tests.support.issuer import KIDS, signed, verifier
from tests.support.tokens import KEYS, NOW, cache, claims, token

GATE = Gate(cache(), RevocationIndex())


def test_a_good_token_admits() -> None:
    decision = GATE(token(), "game", Scope.WATCH, now=NOW)
    assert decision.verdict is Verdict.ADMIT
    assert decision.admitted
    assert (decision.may_watch, decision.may_wager, decision.reason) == (True, True, None)
    assert decision.claims == claims()


@pytest.mark.parametrize("text", [None, "", "x", "a.b.c", token() + "=", token()[:-2], "e" * 5000])
def test_a_strangers_token_yields_no_claims(text: str | None) -> None:
    decision = GATE(text, "game", Scope.WATCH, now=NOW)
    assert not decision.admitted
    assert decision.claims is None
    assert decision.reason is (Reason.BAD_TOKEN if text else Reason.MISSING_TOKEN)


def test_a_token_of_another_deployment_is_a_strangers() -> None:
    other = Keyring({"k1": b"o" * 32}).issue(claims())
    assert GATE(other, "game", Scope.WATCH, now=NOW).claims is None


@pytest.mark.parametrize(
    ("changes", "event_id", "scope", "now", "reason"),
    [
        # The token's own validity
        ({}, "game", Scope.WATCH, NOW + 3600, Reason.EXPIRED),
        ({}, "game", Scope.WATCH, NOW - 11, Reason.NOT_YET_VALID),
        # What it is for
        ({}, "other", Scope.WATCH, NOW, Reason.WRONG_EVENT),
        ({"window": (NOW + 5, NOW + 9)}, "game", Scope.WATCH, NOW, Reason.OUTSIDE_WINDOW),
        ({"window": (NOW - 9, NOW)}, "game", Scope.WATCH, NOW, Reason.OUTSIDE_WINDOW),
        ({"scopes": frozenset({"wager"})}, "game", Scope.WATCH, NOW, Reason.SCOPE_MISSING),
        ({}, "game", Scope.SERVER, NOW, Reason.SCOPE_MISSING),
        # Two things at once: the first in order is told
        ({}, "other", Scope.WATCH, NOW + 3600, Reason.EXPIRED),
    ],
)
def test_who_holds_a_signature_learns_why(
    changes: dict[str, object], event_id: str, scope: Scope, now: float, reason: Reason
) -> None:
    decision = GATE(token(**changes), event_id, scope, now=now)
    assert decision.verdict is Verdict.REFUSE
    assert decision.reason is reason
    assert decision.claims is not None
    assert not decision.may_watch


def test_scopes_govern_what_may_be_done() -> None:
    decision = GATE.decide(claims(scopes=frozenset({"watch"})), "game", Scope.WATCH, now=NOW)
    assert (decision.may_watch, decision.may_wager) == (True, False)


def test_a_remembered_token_is_judged_anew_each_time() -> None:
    """Replay: what was admitted a moment ago is refused elsewhere, later, and for more than it says."""
    gate = Gate(cache(), RevocationIndex())
    text = token(scopes=frozenset({"watch"}))
    for _ in range(2):
        assert gate(text, "game", Scope.WATCH, now=NOW).admitted
        assert gate(text, "other", Scope.WATCH, now=NOW).reason is Reason.WRONG_EVENT
        assert gate(text, "game", Scope.WAGER, now=NOW).reason is Reason.SCOPE_MISSING
        assert gate(text, "game", Scope.WATCH, now=NOW - 60).reason is Reason.NOT_YET_VALID
    for _ in range(2):
        assert gate(text, "game", Scope.WATCH, now=NOW + 3600).reason is Reason.EXPIRED


def test_a_key_that_is_dropped_ends_what_it_signed() -> None:
    verifier = TokenVerifier(KEYS)
    gate = Gate(TokenCache(verifier), RevocationIndex())
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    verifier.rotate({"k2": b"n" * 32, **KEYS})
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    verifier.rotate({"k3": b"m" * 32, "k2": b"n" * 32})
    decision = gate(token(), "game", Scope.WATCH, now=NOW)
    assert (decision.reason, decision.claims) == (Reason.BAD_TOKEN, None)


@pytest.mark.parametrize(
    "subject",
    [
        Subject(SubjectKind.TOKEN, "token-1"),
        Subject(SubjectKind.SESSION, "session-1"),
        Subject(SubjectKind.ACCOUNT, "ann"),
        Subject(SubjectKind.ACCOUNT, "ann", "game"),
        Subject(SubjectKind.EVENT, "game"),
        # The key that the token was verified by, not one that it speaks of.
        Subject(SubjectKind.KEY, "k1"),
    ],
)
def test_what_is_revoked_is_refused_until_it_is_undone(subject: Subject) -> None:
    index = RevocationIndex()
    gate = Gate(cache(), index)
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    index.apply(Revocation("r", subject, "", NOW, None, "ops"))
    decision = gate(token(), "game", Scope.WATCH, now=NOW)
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, Reason.REVOKED)
    assert decision.claims == claims()
    index.apply(Reinstatement("r", subject))
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted


def test_the_window_is_told_before_the_revocation() -> None:
    index = RevocationIndex()
    index.apply(Revocation("r", Subject(SubjectKind.EVENT, "game"), "", NOW, None, "ops"))
    assert Gate(cache(), index)(token(), "game", Scope.WATCH, now=NOW + 3600).reason is Reason.EXPIRED


class Lag:
    """How long the bus has been away."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


def test_without_the_bus_nobody_new_is_admitted_and_after_a_while_nobody() -> None:
    lag = Lag()
    gate = Gate(cache(), RevocationIndex(), lag_s=lag, limits=StaleLimits(admission_s=5, running_s=60))
    mine, other = token(), token(session="session-2")
    assert gate(mine, "game", Scope.WATCH, now=NOW).admitted
    for lag_s, expected in ((5.0, (True, True)), (5.1, (True, True)), (60.0, (True, True)), (60.1, (False, False))):
        lag.s = lag_s
        assert tuple(gate(one, "game", Scope.WATCH, now=NOW).admitted for one in (mine, other)) == expected


def test_who_comes_first_when_the_bus_is_away_comes_too_late() -> None:
    lag = Lag()
    gate = Gate(cache(), RevocationIndex(), lag_s=lag)
    gate(token(), "game", Scope.WATCH, now=NOW)
    lag.s = 6
    new = gate(token(session="session-2"), "game", Scope.WATCH, now=NOW)
    assert (new.verdict, new.reason) == (Verdict.REFUSE, Reason.STALE)
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    lag.s = 0
    assert gate(token(session="session-2"), "game", Scope.WATCH, now=NOW).admitted


def test_who_has_a_seat_runs_for_as_long_as_it_counts() -> None:
    lag, seats, time = Lag(), Seats(), Lag()
    gate = Gate(cache(), RevocationIndex(), lag_s=lag, seated=lambda who: seats.has(who, time()))
    mine, other = token(), token(session="session-2")

    def admitted() -> tuple[bool, bool]:
        first, second = (gate(one, "game", Scope.WATCH, now=NOW + time()) for one in (mine, other))
        for one in (first, second):
            # As behind the gate: who watches takes a seat, and each request for media is a sign of life.
            if one.admitted and one.claims is not None and not seats.touch(one.claims, time()) and one is first:
                wish = Wish("ann", "session-1", "game", (), 10**13, 30_000, {})
                seats.take(wish, 0, one.claims.expires, now=time())
                assert seats.touch(one.claims, time())
        return first.admitted, second.admitted

    # The other one has no seat, as who is only at a socket: it is remembered that it was admitted.
    for time.s in range(0, 300, 20):
        assert admitted() == (True, True)
        seats.begin_round()
        for owed in seats.take_owed(10):
            seats.confirm(owed)
    lag.s = 6
    assert admitted() == (True, True)
    time.s += 31
    assert admitted() == (False, True)
    # While nobody can be asked whether it still counts, it does.
    seats.hold_on(400.0)
    assert admitted() == (True, True)
    lag.s = 61
    assert admitted() == (False, False)


def test_before_the_bus_has_been_heard_nobody_is_admitted() -> None:
    gate = Gate(cache(), RevocationIndex(), lag_s=lambda: float("inf"))
    assert gate(token(), "game", Scope.WATCH, now=NOW).reason is Reason.STALE


def test_decisions_are_counted_by_reason_and_timed() -> None:
    ticks = iter([10.0, 10.002, 20.0, 20.0, 30.0, 30.0])
    gate = Gate(cache(), RevocationIndex(), clock=lambda: next(ticks))
    gate(token(), "game", Scope.WATCH, now=NOW)
    gate(token(), "other", Scope.WATCH, now=NOW)
    gate(None, "game", Scope.WAGER, now=NOW)
    assert gate.decisions[Scope.WATCH][None] == gate.decisions[Scope.WATCH][Reason.WRONG_EVENT] == 1
    assert gate.decisions[Scope.WAGER][Reason.MISSING_TOKEN] == 1
    assert sum(sum(counts.values()) for counts in gate.decisions.values()) == 3
    assert gate.took.count == 3
    assert gate.took.total == pytest.approx(0.002)
    # A look at a body that is on its way is no request.
    gate.decide(claims(), "game", Scope.WATCH, now=NOW)
    assert gate.took.count == 3


# Entitlements


def exchange(index: RevocationIndex | None = None, **settings: Any) -> Gate:
    entitlements = Entitlements(KEYS, verifier(), new_id=lambda: "id")
    return Gate(cache(), index or RevocationIndex(), entitlements=entitlements, **settings)


def entitlement(**changes: Any) -> str:
    return Keyring(KEYS).issue(claims(**changes), Purpose.ENTITLEMENT)


@pytest.mark.parametrize("text", [entitlement(), *map(signed, KIDS)], ids=["HS256", *KIDS])
@pytest.mark.parametrize("scope", [Scope.WATCH, Scope.WAGER])
def test_an_entitlement_is_exchanged_and_admits_to_nothing(text: str, scope: Scope) -> None:
    gate = exchange()
    decision = gate(text, "game", scope, now=NOW)
    assert (decision.verdict, decision.reason) == (Verdict.REDIRECT, Reason.WRONG_PURPOSE)
    assert (decision.admitted, decision.may_watch, decision.may_wager) == (False, False, False)
    assert decision.claims is not None
    assert decision.claims.account == "ann"
    assert gate.decisions[scope][Reason.WRONG_PURPOSE] == 1
    # Where nobody exchanges them they are strangers'.
    assert GATE(text, "game", scope, now=NOW).reason is Reason.BAD_TOKEN


@pytest.mark.parametrize(
    ("event_id", "scope", "now", "reason"),
    [
        ("other", Scope.WATCH, NOW, Reason.WRONG_EVENT),
        ("game", Scope.SERVER, NOW, Reason.SCOPE_MISSING),
        ("game", Scope.WATCH, NOW - 11, Reason.NOT_YET_VALID),
        ("game", Scope.WATCH, NOW + 3000, Reason.OUTSIDE_WINDOW),
        ("game", Scope.WATCH, NOW + 3600, Reason.EXPIRED),
    ],
)
def test_one_that_does_not_admit_is_not_exchanged(event_id: str, scope: Scope, now: float, reason: Reason) -> None:
    for text in (signed("EdDSA"), entitlement(window=(NOW - 10, NOW + 3000))):
        decision = exchange()(text, event_id, scope, now=now)
        assert (decision.verdict, decision.reason) == (Verdict.REFUSE, reason)
        assert decision.claims is not None


def test_one_that_is_revoked_is_not_exchanged() -> None:
    index = RevocationIndex()
    index.apply(Revocation("r", Subject(SubjectKind.TOKEN, "order-7"), "", NOW, None, "op"))
    assert exchange(index)(signed("EdDSA"), "game", Scope.WATCH, now=NOW).reason is Reason.REVOKED


def test_no_session_begins_while_revocations_may_be_missed() -> None:
    lag_s = 0.0
    gate = exchange(lag_s=lambda: lag_s)
    assert gate(signed("EdDSA"), "game", Scope.WATCH, now=NOW).verdict is Verdict.REDIRECT
    lag_s = 6.0
    assert gate(signed("EdDSA"), "game", Scope.WATCH, now=NOW).reason is Reason.STALE


@pytest.mark.parametrize(
    "text",
    [signed("EdDSA")[:-2], signed("EdDSA", name="eve"), entitlement()[:-2], "a.b.c"],
    ids=["cut", "another key", "ours cut", "none"],
)
def test_a_strangers_entitlement_yields_no_claims(text: str) -> None:
    decision = exchange()(text, "game", Scope.WATCH, now=NOW)
    assert (decision.reason, decision.claims) == (Reason.BAD_TOKEN, None)


# Place and binding


class Notebook:
    """Keep what is noted."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, Scope, Decision, Judged | None, str]] = []

    def note(
        self, claims: Claims, scope: Scope, decision: Decision, *, now: float, judged: Judged | None = None,
        address: str = "",
    ) -> None:  # fmt: skip
        self.notes.append((claims.jti, scope, decision, judged, address))


class Verdicts:
    """A policy that says what it is told to."""

    def __init__(self, verdict: PlaceVerdict) -> None:
        self.verdict = verdict

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        return self.verdict

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


class Nowhere:
    """A locator that knows no place."""

    version = "v1"

    def locate(self, address: str) -> IpPlace:
        return IpPlace(address)


HERE = Whence("192.0.2.7", "player")


def placed(verdict: PlaceVerdict, *, entitlements: Entitlements | None = None) -> tuple[Gate, Notebook]:
    index, notes = PolicyIndex(), Notebook()
    record = PolicyRecord("here", 1, "{}", NOW, "ops")
    index.heard(record)
    index.install(record, Verdicts(verdict))
    whereabouts = Whereabouts(Nowhere(), index, lambda event_id: "here", FixBook())
    return Gate(cache(), RevocationIndex(), whereabouts=whereabouts, notes=notes, entitlements=entitlements), notes


@pytest.mark.parametrize(
    ("verdict", "scope", "expected"),
    [
        # Both
        (PlaceVerdict(None, None), Scope.WATCH, (Verdict.ADMIT, None, True, True)),
        (PlaceVerdict(None, None, Reason.DATA_CENTRE), Scope.WATCH, (Verdict.WARN, Reason.DATA_CENTRE, True, True)),
        # Watching and no bets
        (PlaceVerdict(None, Reason.GEO_BLOCKED), Scope.WATCH, (Verdict.ADMIT, None, True, False)),
        (PlaceVerdict(None, Reason.GEO_BLOCKED), Scope.WAGER, (Verdict.REFUSE, Reason.GEO_BLOCKED, False, False)),
        # Bets and no watching
        (PlaceVerdict(Reason.VPN, None), Scope.WATCH, (Verdict.REFUSE, Reason.VPN, False, False)),
        (PlaceVerdict(Reason.VPN, None), Scope.WAGER, (Verdict.ADMIT, None, False, True)),
        # Servers and trading desks are no persons.
        (PlaceVerdict(Reason.DATA_CENTRE, Reason.DATA_CENTRE), Scope.SERVER, (Verdict.ADMIT, None, True, True)),
    ],
)
def test_place_governs_watching_and_wagering_apart(
    verdict: PlaceVerdict, scope: Scope, expected: tuple[Verdict, Reason | None, bool, bool]
) -> None:
    gate, notes = placed(verdict)
    text = token(scopes=frozenset(Scope))
    decision = gate(text, "game", scope, now=NOW, whence=HERE)
    assert (decision.verdict, decision.reason, decision.may_watch, decision.may_wager) == expected
    assert gate.decisions[scope][decision.reason] == 1
    ((jti, noted, told, judged, address),) = notes.notes
    assert (jti, noted, told, address) == ("token-1", scope, decision, "192.0.2.7")
    assert (None if judged is None else judged.verdict) == (None if scope is Scope.SERVER else verdict)
    # The same again is one object, until something changes.
    again = gate(text, "game", scope, now=NOW, whence=HERE)
    assert again is decision or not decision.admitted


def test_what_a_token_is_not_for_is_not_put_on_record() -> None:
    gate, notes = placed(PlaceVerdict(None, None))
    assert gate(token(scopes=frozenset({"wager"})), "game", Scope.WATCH, now=NOW).reason is Reason.SCOPE_MISSING
    assert gate(None, "game", Scope.WATCH, now=NOW).reason is Reason.MISSING_TOKEN
    assert notes.notes == []
    assert gate(token(), "game", Scope.WATCH, now=NOW + 3600).reason is Reason.EXPIRED
    assert len(notes.notes) == 1


def test_an_entitlement_is_not_exchanged_in_the_wrong_place() -> None:
    entitlements = Entitlements(KEYS, new_id=lambda: "id")
    text = Keyring(KEYS).issue(claims(session=""), Purpose.ENTITLEMENT)
    gate, notes = placed(PlaceVerdict(Reason.OUTSIDE_TERRITORY, None), entitlements=entitlements)
    assert gate(text, "game", Scope.WATCH, now=NOW, whence=HERE).reason is Reason.OUTSIDE_TERRITORY
    assert len(notes.notes) == 1
    gate, _ = placed(PlaceVerdict(None, None), entitlements=entitlements)
    assert gate(text, "game", Scope.WATCH, now=NOW, whence=HERE).verdict is Verdict.REDIRECT


def test_a_session_is_held_to_where_it_was_begun() -> None:
    entitlements = Entitlements(KEYS, new_id=lambda: "id")
    gate = Gate(cache(), RevocationIndex(), entitlements=entitlements)
    text = entitlements.begin(claims(), HERE, now=NOW)
    assert text is not None
    assert gate(text, "game", Scope.WATCH, now=NOW, whence=Whence("192.0.2.8", "player")).admitted
    elsewhere = gate(text, "game", Scope.WATCH, now=NOW, whence=Whence("198.51.100.1", "player"))
    assert elsewhere.reason is Reason.NETWORK_CHANGED
    phone = Whence("192.0.2.7", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148")
    assert gate(text, "game", Scope.WATCH, now=NOW, whence=phone).reason is Reason.DEVICE_CHANGED
    # A socket says nothing of the device that plays.
    assert gate(text, "game", Scope.WAGER, now=NOW, whence=Whence("192.0.2.7", None)).admitted


def test_what_a_token_is_worth() -> None:
    entitlements, index = Entitlements(KEYS, new_id=lambda: "id"), RevocationIndex()
    gate = Gate(cache(), index, entitlements=entitlements)
    assert gate.open(token(), now=NOW) == (claims(), Purpose.SESSION)
    bought = claims(session="")
    assert gate.open(Keyring(KEYS).issue(bought, Purpose.ENTITLEMENT), now=NOW) == (bought, Purpose.ENTITLEMENT)
    assert gate.open("a.b.c", now=NOW) is None
    assert Gate(cache(), index).open("a.b.c", now=NOW) is None
    assert gate.lapse(claims(), now=NOW) is None
    assert gate.lapse(claims(), now=NOW + 3600) is Reason.EXPIRED
    assert gate.lapse(claims(scopes=frozenset()), now=NOW) is Reason.SCOPE_MISSING
    index.apply(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann"), "", NOW, None, "ops"))
    assert gate.lapse(claims(), now=NOW) is Reason.REVOKED


def test_decisions_kept_ready_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.gate.MAX_READY", 2)
    gate = Gate(cache(), RevocationIndex())
    for number in range(5):
        assert gate(token(jti=f"t{number}"), "game", Scope.WATCH, now=NOW).admitted
    assert len(gate._ready) <= 2


class Dark:
    """A gate with blackouts of the showing."""

    def __init__(self) -> None:
        self.index = BlackoutIndex()
        self.notes: list[Note] = []
        asked = Blackouts(Somewhere(), self.index, FixBook())
        self.gate = Gate(cache(), RevocationIndex(), blackouts=asked, notes=Auditor(self.notes.append))

    def make(self, action: str, name: str = "blk_1", **more: Any) -> None:
        zone = {"type": "all", "action": action} | ({"redirect_stream": "other"} if action == "redirect" else {})
        text = json.dumps({"event_id": "game", "blackout_zones": [zone], **more})
        self.index.heard(BlackoutRecord(name, "game", text, 1.0, "ops"))

    def asks(self, scope: Scope = Scope.WATCH, *, now: float = NOW, **changes: Any) -> Decision:
        return self.gate(token(**changes), "game", scope, now=now, whence=Whence("192.0.2.7"))


class Somewhere:
    version = "v1"

    def locate(self, address: str) -> IpPlace:
        return IpPlace(address, classes=frozenset({NetworkClass.TOR}))


def test_a_block_without_a_beginning_refuses_until_its_end_and_is_on_record() -> None:
    dark = Dark()
    assert dark.asks().admitted
    dark.make("block", end="2027-06-01T00:00:00Z")
    ends = parse_date("2027-06-01T00:00:00Z")
    scopes = frozenset({"watch", "wager", "server"})
    for scope in (Scope.WATCH, Scope.WAGER):
        decision = dark.asks(scope, scopes=scopes)
        assert (decision.verdict, decision.reason) == (Verdict.REFUSE, Reason.BLACKOUT)
        assert [veil.blackout_id for veil in decision.zones] == ["blk_1"]
        assert not decision.may_watch
    # Servers are nowhere.
    assert dark.asks(Scope.SERVER, scopes=scopes).admitted
    assert dark.notes[-2].blackouts == ("blk_1",)
    assert dark.notes[-2].reason is Reason.BLACKOUT
    later: dict[str, Any] = {"expires": int(ends) + 9, "window": (NOW - 10, int(ends) + 9)}
    assert dark.asks(now=ends - 1, **later).reason is Reason.BLACKOUT
    assert dark.asks(now=ends, **later).admitted


@pytest.mark.parametrize("action", ["block", "redirect"])
def test_what_has_a_beginning_or_a_stand_in_is_told_and_not_refused(action: str) -> None:
    dark = Dark()
    dark.make(action, **({"start": "2020-01-01T00:00:00Z"} if action == "block" else {}))
    decision = dark.asks()
    assert decision.admitted
    assert [(veil.blackout_id, veil.redirect) for veil in decision.zones] == [
        ("blk_1", "other" if action == "redirect" else None)
    ]
    # The same decision again is the same object.
    assert dark.asks(jti="token-1") is dark.asks(jti="token-1")
    dark.index.heard(BlackoutRecord("blk_1", "game", None, 2.0, "ops"))
    assert dark.asks().zones == ()
    # Each change of what applies is on record.
    assert [note.blackouts for note in dark.notes] == [("blk_1",), ()]


def test_a_blackout_may_warn_of_networks() -> None:
    dark = Dark()
    dark.make("redirect", vpn_policy="warn")
    decision = dark.asks()
    assert (decision.verdict, decision.reason) == (Verdict.WARN, Reason.TOR)


def test_a_session_that_has_to_go_is_warned_until_its_time_and_refused_from_then_on() -> None:
    endings: dict[str, Ending] = {}
    notes: list[Note] = []
    gate = Gate(cache(), RevocationIndex(), endings=endings, notes=Auditor(notes.append))
    before = gate(token(), "game", Scope.WATCH, now=NOW)
    endings["session-1"] = Ending(1_000 * NOW + 2_500, "session_limit", "session-2")
    for scope in (Scope.WATCH, Scope.WAGER):
        decision = gate(token(), "game", scope, now=NOW + 2.4)
        assert (decision.verdict, decision.reason) == (Verdict.WARN, Reason.EVICTED)
        assert (decision.admitted, decision.may_watch, decision.may_wager) == (True, True, True)
        assert decision.ending == endings["session-1"]
        decision = gate(token(), "game", scope, now=NOW + 2.5)
        assert (decision.verdict, decision.reason, decision.may_watch) == (Verdict.REFUSE, Reason.EVICTED, False)
        assert decision.ending == endings["session-1"]
    # It is nobody else's, and a weightier reason is told first.
    assert gate(token(session="session-2"), "game", Scope.WATCH, now=NOW + 3).verdict is Verdict.ADMIT
    assert gate(token(), "other", Scope.WATCH, now=NOW + 3).reason is Reason.WRONG_EVENT
    endings.clear()
    assert gate(token(), "game", Scope.WATCH, now=NOW + 3) == before
    assert [note.reason for note in notes if note.session == "session-1" and note.scope is Scope.WATCH] == [
        None, Reason.EVICTED, Reason.EVICTED, Reason.WRONG_EVENT, None,
    ]  # fmt: skip


def test_a_token_without_a_session_goes_by_its_own_id() -> None:
    gate = Gate(cache(), RevocationIndex(), endings={"token-1": Ending(0, "dismissed")})
    assert gate(token(session=""), "game", Scope.WATCH, now=NOW).reason is Reason.EVICTED
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
