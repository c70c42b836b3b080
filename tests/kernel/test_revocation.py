from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kernel.revocation import (
    FOREVER,
    MAX_VALUE_CHARS,
    Reinstatement,
    Revocation,
    RevocationIndex,
    Subject,
    SubjectKind,
)
from kernel.tokens import Binding, Claims
from kernel.value import replace
from tests.support.tokens import NOW, claims

KEYED = replace(claims(), kid="k1", binding=Binding("n", "tv", "entitlement-1"))


def revocation(subject: Subject, expires: int | None = None) -> Revocation:
    return Revocation("r1", subject, "", NOW, expires, "ops")


@pytest.mark.parametrize(
    ("subject", "concerned"),
    [
        (Subject(SubjectKind.TOKEN, "token-1"), True),
        (Subject(SubjectKind.TOKEN, "session-1"), False),
        # What the session was made of ends it; what it is tied to is nobody's name.
        (Subject(SubjectKind.TOKEN, "entitlement-1"), True),
        (Subject(SubjectKind.SESSION, "entitlement-1"), False),
        (Subject(SubjectKind.TOKEN, "n"), False),
        (Subject(SubjectKind.TOKEN, "tv"), False),
        (Subject(SubjectKind.SESSION, "session-1"), True),
        (Subject(SubjectKind.SESSION, "token-1"), False),
        (Subject(SubjectKind.ACCOUNT, "ann"), True),
        (Subject(SubjectKind.ACCOUNT, "bob"), False),
        (Subject(SubjectKind.ACCOUNT, "ann", "game"), True),
        (Subject(SubjectKind.ACCOUNT, "ann", "other"), False),
        (Subject(SubjectKind.EVENT, "game"), True),
        (Subject(SubjectKind.EVENT, "ann"), False),
        (Subject(SubjectKind.KEY, "k1"), True),
        (Subject(SubjectKind.KEY, "k2"), False),
    ],
)
def test_a_revocation_covers_whom_it_names(subject: Subject, concerned: bool) -> None:
    index = RevocationIndex()
    assert index.apply(revocation(subject))
    assert index.covers(KEYED, NOW) is concerned
    assert subject.concerns(KEYED) is concerned
    assert index.until(subject) == FOREVER
    assert index.apply(Reinstatement("r1", subject))
    assert not index.covers(KEYED, NOW)
    assert index.until(subject) is None


def test_an_accounts_ban_and_its_ban_at_one_event_are_two() -> None:
    index = RevocationIndex()
    everywhere, here = Subject(SubjectKind.ACCOUNT, "ann"), Subject(SubjectKind.ACCOUNT, "ann", "game")
    index.apply(revocation(everywhere))
    index.apply(revocation(here))
    index.apply(Reinstatement("r1", everywhere))
    assert index.covers(KEYED, NOW)
    assert not index.covers(replace(KEYED, event_id="other"), NOW)


def test_an_account_whose_name_looks_like_a_place_is_not_taken_for_one() -> None:
    index = RevocationIndex()
    index.apply(revocation(Subject(SubjectKind.ACCOUNT, "ann", "game")))
    assert not index.covers(replace(KEYED, account="game/ann"), NOW)
    assert index.covers(replace(KEYED, account="ann"), NOW)


def test_the_same_again_changes_nothing() -> None:
    index, subject = RevocationIndex(), Subject(SubjectKind.TOKEN, "t")
    assert index.apply(revocation(subject))
    assert (index.version, len(index)) == (1, 1)
    assert not index.apply(revocation(subject))
    assert (index.version, len(index)) == (1, 1)
    assert index.apply(revocation(subject, NOW + 60))
    assert (index.version, len(index)) == (2, 1)
    assert index.apply(Reinstatement("r1", subject))
    assert not index.apply(Reinstatement("r1", subject))
    assert (index.version, len(index)) == (3, 0)


def test_it_ends_when_it_expires_and_is_forgotten_in_pieces() -> None:
    index = RevocationIndex()
    for number in range(3_000):
        index.apply(revocation(Subject(SubjectKind.TOKEN, str(number)), NOW + 60 * (1 + number % 2)))
    index.apply(revocation(Subject(SubjectKind.EVENT, "game")))
    one = replace(KEYED, jti="0", event_id="other")
    assert index.covers(one, NOW + 59)
    assert not index.covers(one, NOW + 60)
    version = index.version
    index.sweep(NOW + 60, shards=1)
    # A piece of it: which one, and whether anything in it has ended, the hashes say.
    assert 1_501 < len(index) <= 3_001
    for _ in range(64):
        index.sweep(NOW + 60)
    assert len(index) == 1_501
    assert index.version == version
    for _ in range(64):
        index.sweep(NOW + 120)
    assert len(index) == 1
    assert index.covers(KEYED, NOW + 120)


@pytest.mark.parametrize(
    ("kind", "value", "event_id", "says"),
    [
        (SubjectKind.TOKEN, "", None, "1 to 256 characters, not 0"),
        (SubjectKind.ACCOUNT, "a" * (MAX_VALUE_CHARS + 1), None, "not 257"),
        (SubjectKind.TOKEN, "t", "game", "only an account"),
    ],
)
def test_a_subject_is_held_to_its_limits(kind: SubjectKind, value: str, event_id: str | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Subject(kind, value, event_id)


VALUES = ["a", "b", "game"]
SUBJECTS = [Subject(kind, value) for kind in SubjectKind for value in VALUES] + [
    Subject(SubjectKind.ACCOUNT, value, event) for value in VALUES for event in VALUES
]
CLAIMS = st.builds(
    Claims,
    jti=st.sampled_from(VALUES),
    account=st.sampled_from(VALUES),
    event_id=st.sampled_from(VALUES),
    not_before=st.just(0),
    expires=st.just(NOW),
    window=st.just((0, NOW)),
    session=st.sampled_from(VALUES),
    scopes=st.just(frozenset[str]()),
    kid=st.sampled_from(VALUES),
)


class AgainstANaiveOne(RuleBasedStateMachine):
    """The index against a list of what is in force, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.index = RevocationIndex()
        self.naive: dict[Subject, int] = {}
        self.now = 0

    @rule(subject=st.sampled_from(SUBJECTS), expires=st.none() | st.integers(1, 50))
    def revoke(self, subject: Subject, expires: int | None) -> None:
        until = FOREVER if expires is None else expires
        known = self.naive.get(subject)
        changed = self.index.apply(revocation(subject, expires))
        if known is None or known > self.now:
            assert changed is (known != until)
        self.naive[subject] = until

    @rule(subject=st.sampled_from(SUBJECTS))
    def reinstate(self, subject: Subject) -> None:
        in_force = self.naive.pop(subject, 0) > self.now
        assert self.index.apply(Reinstatement("r1", subject)) or not in_force

    @rule(by=st.integers(1, 20))
    def pass_time(self, by: int) -> None:
        self.now += by

    @rule(shards=st.integers(1, 1024))
    def sweep(self, shards: int) -> None:
        version = self.index.version
        self.index.sweep(self.now, shards=shards)
        assert self.index.version == version

    @rule(claims=CLAIMS)
    def ask(self, claims: Claims) -> None:
        expected = any(subject.concerns(claims) and self.now < until for subject, until in self.naive.items())
        assert self.index.covers(claims, self.now) is expected

    @invariant()
    def it_keeps_what_is_in_force_and_no_more_than_it_was_told(self) -> None:
        in_force = sum(self.now < until for until in self.naive.values())
        assert in_force <= len(self.index) <= len(self.naive)


TestAgainstANaiveOne = AgainstANaiveOne.TestCase
TestAgainstANaiveOne.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.sampled_from(SUBJECTS), st.booleans()), max_size=20))
def test_hearing_the_log_twice_ends_where_hearing_it_once_does(log: list[tuple[Subject, bool]]) -> None:
    changes = [revocation(subject) if revoked else Reinstatement("r1", subject) for subject, revoked in log]
    once, twice = RevocationIndex(), RevocationIndex()
    for change in changes:
        once.apply(change)
    for change in changes + changes:
        twice.apply(change)
    assert [once.until(subject) for subject in SUBJECTS] == [twice.until(subject) for subject in SUBJECTS]
