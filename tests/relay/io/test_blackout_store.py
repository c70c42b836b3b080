from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel.blackouts import BlackoutRecord
from relay.blackout_words import FADE_S, ended_of
from relay.io import blackout_store
from relay.io.blackout_store import KEEP_ENDED_S, BlackoutStore, Kept
from relay.paging import Page

A, B = BlackoutRecord("a", "game", "{}", 1.0, "ops"), BlackoutRecord("b", "other", "{}", 2.0, "ops")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BlackoutStore]:
    store = await BlackoutStore.open(tmp_path / "blackouts.sqlite")
    yield store
    await store.aclose()


async def test_what_was_made_is_there_until_it_is_ended(store: BlackoutStore) -> None:
    assert await store.make(A)
    assert await store.make(B)
    assert (await store.find("a"), await store.find("c")) == (A, None)
    assert (await store.page(Page(0, 1))).entries == [A]
    assert (await store.page(Page(1, 5))).entries == [B]
    assert (await store.page(Page(0, 5), "other")).entries == [B]
    ended = BlackoutRecord("a", "game", None, 5.0, "eve")
    assert await store.end("a", now=5.0, by="eve") == ended
    assert await store.end("a", now=6.0, by="eve") is None
    assert await store.find("a") is None
    assert (await store.page(Page(0, 5))).entries == [B]
    # Whoever has missed the end hears of it again.
    assert await store.all(-1, 5) == [Kept(1, ended), Kept(2, B)]
    assert await store.all(1, 5) == [Kept(2, B)]
    # For a day.
    assert await store.make(BlackoutRecord("c", "game", "{}", 5.0 + KEEP_ENDED_S + 1, "ops"))
    assert [kept.record.blackout_id for kept in await store.all(-1, 5)] == ["b", "c"]


async def test_there_is_an_end_to_it(store: BlackoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackout_store, "MAX_BLACKOUTS", 1)
    assert await store.make(A)
    assert not await store.make(B)
    await store.end("a", now=3.0, by="ops")
    assert await store.make(B)


REDIRECT = '{"blackout_zones":[{"action":"redirect","redirect_stream":"local","type":"all"}],"event_id":"game"}'
R = BlackoutRecord("r", "game", REDIRECT, 1.0, "ops")


def ended_at(at: float) -> BlackoutRecord:
    ended = ended_of(REDIRECT, at)
    assert ended is not None
    return BlackoutRecord("r", "game", ended[0], 1.0, "ops")


async def test_a_redirect_that_is_ended_fades(store: BlackoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await store.make(R)
    assert await store.end("r", now=5.0, by="eve") == ended_at(5.0)
    # Operators have done with it, but it takes its place until it has faded.
    assert await store.find("r") is None
    assert await store.end("r", now=6.0, by="eve") is None
    assert await store.all(-1, 5) == [Kept(1, ended_at(5.0))]
    monkeypatch.setattr(blackout_store, "MAX_BLACKOUTS", 1)
    assert not await store.make(B)
    assert await store.fade(5.0 + FADE_S - 1) == []
    gone = BlackoutRecord("r", "game", None, 5.0, "eve")
    assert await store.fade(5.0 + FADE_S) == [gone]
    assert await store.fade(5.0 + FADE_S) == []
    assert await store.all(-1, 5) == [Kept(1, gone)]
    assert await store.make(B)


async def test_it_is_forgotten_if_that_is_said(store: BlackoutStore) -> None:
    assert await store.make(R)
    gone = BlackoutRecord("r", "game", None, 5.0, "eve")
    assert await store.end("r", now=5.0, by="eve", forget=True) == gone
    assert await store.all(-1, 5) == [Kept(1, gone)]
    assert await store.end("r", now=6.0, by="eve", forget=True) is None
    second = BlackoutRecord("s", "game", REDIRECT, 2.0, "ops")
    assert await store.make(second)
    assert (await store.end("s", now=7.0, by="eve")) is not None
    # Also afterwards.
    late = BlackoutRecord("s", "game", None, 8.0, "eve")
    assert await store.end("s", now=8.0, by="eve", forget=True) == late
    assert await store.all(1, 5) == [Kept(2, late)]


async def test_one_that_was_over_long_ago_is_forgotten(store: BlackoutStore) -> None:
    text = REDIRECT.replace('"event_id"', '"end":"1970-01-01T00:00:05Z","event_id"')
    assert await store.make(BlackoutRecord("r", "game", text, 1.0, "ops"))
    gone = BlackoutRecord("r", "game", None, 6.0 + FADE_S, "eve")
    assert await store.end("r", now=6.0 + FADE_S, by="eve") == gone


async def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    first = await BlackoutStore.open(tmp_path / "b.sqlite")
    await first.make(A)
    assert first.writes is not None
    await first.aclose()
    second = await BlackoutStore.open(tmp_path / "b.sqlite")
    assert await second.find("a") == A
    await second.aclose()
