from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.io import session_policy_store
from relay.io.session_policy_store import KEEP_DELETED_S, Put, SessionPolicyStore
from relay.paging import Page
from relay.sessions.policy_words import SessionPolicyRecord

A = SessionPolicyRecord("event:a", '{"a":1}', 1.0, "ops")
B = SessionPolicyRecord("plan:b", '{"b":1}', 2.0, "ops")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SessionPolicyStore]:
    store = await SessionPolicyStore.open(tmp_path / "session-policies.sqlite")
    yield store
    await store.aclose()


async def test_one_takes_the_place_of_the_one_before(store: SessionPolicyStore) -> None:
    assert [await store.put(one) for one in (A, B)] == [Put.CREATED, Put.CREATED]
    newer = A._replace(text='{"a":2}', made=3.0, by="eve")
    assert await store.put(newer) is Put.CHANGED
    assert (await store.find("event:a"), await store.find("event:c")) == (newer, None)
    first = await store.page(Page(0, 1))
    assert first.entries == [newer]
    assert first.next_after is not None
    assert (await store.page(Page(first.next_after, 1))).entries == [B]


async def test_what_was_deleted_is_told_for_a_day(store: SessionPolicyStore) -> None:
    await store.put(A)
    gone = SessionPolicyRecord("event:a", None, 5.0, "eve")
    assert await store.delete("event:a", now=5.0, by="eve") == gone
    assert await store.delete("event:a", now=6.0, by="eve") is None
    assert (await store.find("event:a"), (await store.page(Page(0, 5))).entries) == (None, [])
    assert [record for _, record in await store.all(-1, 5)] == [gone]
    # Made again it is new.
    assert await store.put(A._replace(made=7.0)) is Put.CREATED
    await store.delete("event:a", now=8.0, by="eve")
    await store.put(B._replace(made=9.0 + KEEP_DELETED_S))
    assert [record.subject for _, record in await store.all(-1, 5)] == ["plan:b"]


async def test_there_is_an_end_to_it(store: SessionPolicyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_policy_store, "MAX_SESSION_POLICIES", 1)
    assert await store.put(A) is Put.CREATED
    assert await store.put(B) is Put.FULL
    assert await store.put(A) is Put.CHANGED
    await store.delete("event:a", now=3.0, by="ops")
    assert await store.put(B) is Put.CREATED
