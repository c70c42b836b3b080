from __future__ import annotations

from pathlib import Path

from relay.io.session_store import SessionStore, Snapshot
from relay.sessions.account import Account
from relay.sessions.kept import to_text
from relay.sessions.model import Wish

NOW = 1_790_000_000_000


def snapshot(name: str, *sessions: str) -> Snapshot:
    account = Account()
    for session in sessions:
        account.admit(Wish(name, session, "final", (), NOW + 60_000, 30_000, {}), now_ms=NOW)
    return Snapshot(name, account.sessions, account.evicted)


async def test_what_is_put_is_there_in_pages_and_what_is_empty_goes(tmp_path: Path) -> None:
    store = await SessionStore.open(tmp_path / "sessions.sqlite")
    assert await store.page(None, 9) == []
    first = [snapshot("c", "1"), snapshot("", "2"), snapshot("b", "3"), snapshot("d"), snapshot("\ud800", "5")]
    await store.put(first)
    await store.put([snapshot("c", "1", "4"), snapshot("b")])
    await store.aclose()
    store = await SessionStore.open(tmp_path / "sessions.sqlite")
    rows = [(one.account, to_text(one.sessions, one.evicted)) for one in (first[1], snapshot("c", "1", "4"), first[4])]
    assert await store.page(None, 9) == rows
    assert await store.page(None, 1) == rows[:1]
    assert await store.page("", 9) == rows[1:]
    assert await store.page("c", 9) == rows[2:]
    assert await store.page("\ud800", 9) == []
    await store.aclose()
