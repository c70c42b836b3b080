from __future__ import annotations

import pytest

from kernel.errors import DecodeError
from relay.sessions.account import Account
from relay.sessions.kept import from_text, to_text
from relay.sessions.model import Life, Limit, Order, Wish

NOW = 1_790_000_000_000


def full() -> Account:
    account, limit = Account(), Limit("event:final", 2, Order.OLDEST_FIRST, grace_ms=30_000)
    for n, session in enumerate("abcd"):
        about = {"device": "tv", "place": "Zürich"} if n else {}
        account.admit(Wish("anna", session, "final", (limit,), NOW + 3_600_000, 30_000, about), now_ms=NOW + n)
    account.changed = False
    return account


def test_all_but_the_signs_of_life_comes_back() -> None:
    account = full()
    text = to_text(account.sessions, account.evicted)
    assert text.isascii()
    later = NOW + 20_000
    again = from_text("anna", text, now_ms=later)
    account.wake(later)
    assert again == account
    assert [one.about for one in again.sessions] == [one.about for one in account.sessions]
    assert again.saw("a", seen_ms=later, now_ms=later).life is Life.EVICTED


def test_what_is_over_by_now_is_let_go() -> None:
    account = full()
    again = from_text("anna", to_text(account.sessions, account.evicted), now_ms=NOW + 60_000)
    assert [one.session for one in again.sessions] == ["c", "d"]
    assert [one.session for one in again.evicted] == ["a", "b"]
    assert again.changed
    assert from_text("anna", to_text(account.sessions, account.evicted), now_ms=NOW + 3_600_000).is_empty


@pytest.mark.parametrize("text", ["", "{}", "[[1],[]]", "[[],[[1]]]", "[[]]", '[[["a"]],[]]', "null"])
def test_what_is_no_account_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="cannot be read"):
        from_text("anna", text, now_ms=NOW)
