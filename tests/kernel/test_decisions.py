"""A decision admits or it does not."""

from __future__ import annotations

import pytest

from kernel.decisions import NOWHERE, Decision, Scope, Verdict, Whence
from kernel.tokens import Reason


@pytest.mark.parametrize(
    ("verdict", "admitted"),
    [(Verdict.ADMIT, True), (Verdict.WARN, True), (Verdict.REFUSE, False), (Verdict.REDIRECT, False)],
)
def test_who_may_go_on(verdict: Verdict, admitted: bool) -> None:
    assert Decision(verdict, Reason.EXPIRED, False, False, None).admitted is admitted


def test_scopes_are_those_of_the_token() -> None:
    assert {str(scope) for scope in Scope} == {"watch", "wager", "server", "trading"}


def test_whence_is_nowhere_unless_said() -> None:
    assert Whence("", "") == NOWHERE
