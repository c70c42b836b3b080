from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.grants import Grants
from kernel.revocation import Subject, SubjectKind
from kernel.tokens import Binding, Claims
from kernel.value import replace
from tests.support.tokens import claims

VALUES = ["a", "b", "c"]
SUBJECTS = [Subject(kind, value) for kind in SubjectKind for value in VALUES] + [
    Subject(SubjectKind.ACCOUNT, value, event) for value in VALUES for event in VALUES
]
names = st.sampled_from(VALUES)
held = st.builds(
    lambda jti, account, event, session, kid, made_of: replace(
        claims(),
        jti=jti,
        account=account,
        event_id=event,
        session=session,
        kid=kid,
        binding=made_of and Binding("n", "tv", made_of),
    ),
    names, names, names, names, names, st.none() | names,
)  # fmt: skip


def test_holders_are_found_in_the_order_in_which_they_came() -> None:
    grants: Grants[int] = Grants()
    for number in (3, 1, 2):
        grants.add(number, claims(jti=str(number)))
    assert grants.find(Subject(SubjectKind.ACCOUNT, "ann")) == [3, 1, 2]
    assert grants.find(Subject(SubjectKind.TOKEN, "1")) == [1]
    assert grants.find(Subject(SubjectKind.ACCOUNT, "ann", "other")) == []
    assert len(grants) == 3
    grants.remove(1)
    grants.remove(1)
    assert grants.all() == [3, 2]
    assert grants.of(1) is None


def test_those_of_a_session_are_found_also_where_their_token_says_none() -> None:
    grants: Grants[int] = Grants()
    for number, (jti, session) in enumerate((("a", "s"), ("b", "s"), ("c", ""), ("d", ""), ("s", "other"))):
        grants.add(number, claims(jti=jti, session=session))
    assert [grants.of_session(name) for name in ("s", "c", "d", "a", "other", "")] == [[0, 1], [2], [3], [], [4], []]


def test_new_claims_replace_the_old() -> None:
    grants: Grants[str] = Grants()
    grants.add("c", claims(jti="old"))
    grants.add("c", claims(jti="new"))
    assert grants.find(Subject(SubjectKind.TOKEN, "old")) == []
    assert grants.find(Subject(SubjectKind.TOKEN, "new")) == ["c"]
    assert grants.find(Subject(SubjectKind.SESSION, "session-1")) == ["c"]


def test_sessions_are_found_by_the_entitlement_they_were_made_of() -> None:
    grants: Grants[str] = Grants()
    for name in "abc":
        grants.add(name, replace(claims(jti=name), binding=Binding("n", "tv", "bought")))
    grants.add("alone", claims(jti="d"))
    assert grants.find(Subject(SubjectKind.TOKEN, "bought")) == ["a", "b", "c"]
    grants.remove("b")
    assert grants.find(Subject(SubjectKind.TOKEN, "bought")) == ["a", "c"]
    assert grants.find(Subject(SubjectKind.TOKEN, "a")) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | held), max_size=40))
def test_as_a_plain_list_would_have_it(steps: list[tuple[int, Claims | None]]) -> None:
    grants: Grants[int] = Grants()
    naive: dict[int, Claims] = {}
    for holder, claimed in steps:
        if claimed is None:
            grants.remove(holder)
            naive.pop(holder, None)
        else:
            grants.add(holder, claimed)
            naive[holder] = claimed
        for subject in SUBJECTS:
            expected = {one for one, its in naive.items() if subject.concerns(its)}
            assert set(grants.find(subject)) == expected
    assert set(grants.all()) == naive.keys()
    for holder in list(naive):
        grants.remove(holder)
    # Nothing is left behind under any name.
    assert [table._by_name for table in (grants._tokens, grants._sessions, grants._accounts)] == [{}, {}, {}]
