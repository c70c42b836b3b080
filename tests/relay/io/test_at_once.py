"""What is answered from memory is what `Hls` would have said, for whom the gates admit; all else is left to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

import relay.io.at_once
from kernel.revocation import Revocation, Subject, SubjectKind
from relay.io.at_once import PlaylistsAtOnce
from tests.relay.io.test_hls import TOKEN, Site
from tests.support.tokens import KEYRING, NOW, claims, token


class Both:
    """A site, and what answers for it at once."""

    def __init__(self, folder: Path, *, allowed_origins: tuple[str, ...] = ()) -> None:
        self.site = Site(folder, allowed_origins=allowed_origins)
        self.answered: list[tuple[object, ...]] = []
        self.at_once = PlaylistsAtOnce(
            {"game": self.site.relay},
            admit=self.site.gate,
            wall=lambda: self.site.wall,
            now=lambda: 0.0,
            tell=lambda *one: self.answered.append(one),
        )

    def ask(self, target: str, **headers: str) -> bytes | None:
        fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return self.at_once(target.encode("latin-1"), fields, "192.0.2.1")

    async def is_the_same(self, target: str, **headers: str) -> None:
        mine = self.ask(target, **headers)
        assert mine is not None
        head, _, body = mine.partition(b"\r\n\r\n")
        answer: httpx2.Response = await self.site.http.get(target, headers=headers)
        assert answer.status_code == 200
        assert body == answer.content
        fields = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")]
        assert sorted(fields) == sorted(answer.headers.raw)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    both = Both(tmp_path)
    both.site.open(0)
    yield both
    await both.site.aclose()


async def test_it_is_what_hls_would_say(both: Both) -> None:
    await both.is_the_same(f"/hls/{TOKEN}/game/index.m3u8")
    await both.is_the_same(f"/hls/{TOKEN}/game/index.m3u8", origin="https://page.test")
    await both.is_the_same("/hls/game/index.m3u8", authorization=f"Bearer {TOKEN}")


async def test_it_changes_with_the_playlist(both: Both) -> None:
    target = f"/hls/{TOKEN}/game/index.m3u8"
    before = both.ask(target)
    assert both.ask(target) is before
    both.site.open(1)
    assert both.ask(target) != before
    await both.is_the_same(target)


async def test_origins_are_told_apart(tmp_path: Path) -> None:
    both = Both(tmp_path, allowed_origins=("https://a.test",))
    both.site.open(0)
    target = f"/hls/{TOKEN}/game/index.m3u8"
    for origin in ("https://a.test", "https://b.test", "https://a.test", "null"):
        await both.is_the_same(target, origin=origin)
    await both.is_the_same(target)
    for number in range(3):
        both.ask(target, origin=f"https://c{number}.test")
    assert len(both.at_once._kept) == 2
    await both.site.aclose()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        # Not admitted: `Hls` says why
        ("/hls/game/index.m3u8", {}),
        ("/hls/forged.forged.forged/game/index.m3u8", {}),
        (f"/hls/{KEYRING.issue(claims(expires=NOW))}/game/index.m3u8", {}),
        (f"/hls/{token(event_id='other')}/game/index.m3u8", {}),
        (f"/hls/{TOKEN}/other/index.m3u8", {}),
        ("/hls/game/index.m3u8", {"authorization": "Basic x"}),
        ("/hls/game/index.m3u8", {"cookie": f"lockstep_token={TOKEN}"}),
        # Not a playlist that is out, spelled as we spell it
        (f"/hls/{TOKEN}/game/v7/index.m3u8", {}),
        (f"/hls/{TOKEN}/game/main/0-0.ts", {}),
        (f"/hls/{TOKEN}/game/index.m3u8?x=/index.m3u8", {}),
        (f"/hls/{TOKEN}/game/index.m3u8?x=y", {}),
        (f"/hls/{TOKEN}/game/%69ndex.m3u8", {}),
        (f"http://x/hls/{TOKEN}/game/index.m3u8", {}),
        (f"/hls/{TOKEN}{'a' * 1_024}/game/index.m3u8", {}),
        ("/index.m3u8", {}),
        ("", {}),
    ],
)
async def test_all_else_is_left_to_hls(both: Both, target: str, headers: dict[str, str]) -> None:
    assert both.ask(target, **headers) is None
    assert both.answered == []


async def test_before_the_first_mark(tmp_path: Path) -> None:
    both = Both(tmp_path)
    assert both.ask(f"/hls/{TOKEN}/game/index.m3u8") is None
    await both.site.aclose()


async def test_a_grant_that_ended_counts_at_once(both: Both) -> None:
    target = f"/hls/{TOKEN}/game/index.m3u8"
    assert both.ask(target) is not None
    both.site.wall = NOW + 3600.0
    assert both.ask(target) is None


async def test_who_is_revoked_gets_nothing(both: Both) -> None:
    target = f"/hls/{TOKEN}/game/index.m3u8"
    assert both.ask(target) is not None
    both.site.revocations.apply(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann"), "fraud", NOW, None, "ops"))
    assert both.ask(target) is None


async def test_what_is_logged(both: Both) -> None:
    answer = both.ask(f"/hls/{TOKEN}/game/index.m3u8")
    assert answer is not None
    length = len(answer.partition(b"\r\n\r\n")[2])
    assert both.answered == [("GET", "/hls/token-1/game/index.m3u8", "192.0.2.1", 0.0, 200, length)]


async def test_what_is_kept_is_bounded(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay.io.at_once, "MAX_KEPT", 1)
    target = f"/hls/{TOKEN}/game/index.m3u8"
    first = both.ask(target)
    both.at_once._kept["x", None, "", ()] = ("", b"", 0)
    both.site.open(1)
    assert both.ask(target) != first
    assert list(both.at_once._kept) == [("game", None, "", ())]


async def test_what_changed_for_a_showing_is_asked_anew(both: Both) -> None:
    target = f"/hls/{TOKEN}/game/index.m3u8"
    await both.is_the_same(target, origin="https://page.test")
    both.site.relay.change(replace(both.site.relay.showing, allowed_origins=("https://page.test",)))
    both.at_once.forget()
    await both.is_the_same(target, origin="https://page.test")
    await both.is_the_same(target, origin="https://other.test")
