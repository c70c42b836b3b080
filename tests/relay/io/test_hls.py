from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kernel.blackouts import BlackoutRecord, Veil, Window
from kernel.bus import served_signal
from kernel.decisions import Scope as Scopes
from kernel.decisions import Whence
from kernel.io.cut import EXTENSION, Connection
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher, resolve
from kernel.marks import ReleaseMark, Served
from kernel.playlist import parse_media_playlist
from kernel.policies import PolicyRecord
from kernel.revocation import Revocation, RevocationIndex, Subject, SubjectKind
from kernel.showings import Showing
from kernel.tokens import MAX_TOKEN_CHARS, Purpose, Reason
from relay.blackouts import BlackoutIndex, Blackouts
from relay.entitlements import Entitlements
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.at_once import PlaylistsAtOnce
from relay.io.driver import StreamRelay
from relay.io.headers import PLAYLIST_TYPE
from relay.io.hls import Hls
from relay.io.session_keeper import SessionKeeper
from relay.place.model import Fix, IpPlace, PlaceVerdict
from relay.policies import PolicyIndex
from relay.spliced import tag_of
from relay.whereabouts import Whereabouts
from tests.support.issuer import KIDS, signed, verifier
from tests.support.origins import write_list
from tests.support.playlists import timing
from tests.support.redirecting import BLOCKED, CITY, INSIDE, InsideGate, Pair
from tests.support.tokens import KEYRING, KEYS, NOW, cache, claims, token

TOKEN = token()
MAIN = f"/hls/{TOKEN}/game"


class Site:
    """An application whose showing `game` has two segments, of which the first is out."""

    def __init__(
        self,
        folder: Path,
        *,
        allowed_origins: tuple[str, ...] = (),
        whereabouts: Whereabouts | None = None,
        blackouts: Blackouts | None = None,
        sessions: SessionKeeper | None = None,
    ) -> None:
        path = write_list(folder, ["a.ts", "b.ts"])
        bus = MemoryBus(asyncio.get_running_loop().time)
        self.served: list[Served] = []
        bus.listen(served_signal("game"), self.served.append)
        ref = Path(path).as_uri()
        self.fetcher = Fetcher([ref], now=bus.now)
        showing = Showing("game", ref, allowed_origins=allowed_origins)
        self.relay = StreamRelay(showing, fetcher=self.fetcher, bus=bus)
        self.wall = float(NOW)
        self.revocations = RevocationIndex()
        self.lag_s = 0.0
        numbers = count(1)
        self.entitlements = Entitlements(KEYS, verifier(), new_id=lambda: f"id-{next(numbers)}")
        self.gate = Gate(
            cache(), self.revocations, entitlements=self.entitlements, lag_s=lambda: self.lag_s,
            whereabouts=whereabouts, blackouts=blackouts, endings=sessions.endings if sessions is not None else None,
        )  # fmt: skip
        self.hls = Hls(
            {"game": self.relay},
            gate=self.gate,
            fetcher=self.fetcher,
            wall=lambda: self.wall,
            entitlements=self.entitlements,
            sessions=sessions,
        )
        self.app = Starlette(routes=self.hls.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url="http://relay.test")
        copy = parse_media_playlist(Path(path).read_text("utf-8"))
        refs = [resolve(ref, segment.uri) for segment in copy.segments]
        self.relay.presentation.window.observe(copy, refs, lambda uri: resolve(ref, uri), now=0.0)

    def open(self, msn: int) -> None:
        self.relay.presentation.window.on_mark(ReleaseMark("game", 0, msn, None, timing(msn, "x").upto, 0.0))
        self.relay.presentation.window.handle_timer(now=0.0)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.fetcher.aclose()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    site.open(0)
    yield site
    await site.aclose()


async def test_the_path_the_header_and_the_cookie_admit(site: Site) -> None:
    by_path = await site.http.get(f"{MAIN}/index.m3u8")
    by_header = await site.http.get("/hls/game/index.m3u8", headers={"Authorization": f"Bearer {TOKEN}"})
    by_cookie = await site.http.get("/hls/game/index.m3u8", headers={"Cookie": f"lockstep_token={TOKEN}"})
    for answer in (by_path, by_header, by_cookie):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == PLAYLIST_TYPE
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "main/0-0.ts" in answer.text
        assert "main/0-1.ts" not in answer.text


async def test_a_segment_that_is_out(site: Site) -> None:
    answer = await site.http.get(f"{MAIN}/main/0-0.ts")
    assert answer.status_code == 200
    assert answer.content == (b"a.ts" * 1000)[:1000]
    assert answer.headers["content-type"] == "video/mp2t"
    assert answer.headers["cache-control"].startswith("private, ")
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_head_tells_the_length_and_sends_nothing(site: Site) -> None:
    answer = await site.http.head(f"{MAIN}/main/0-0.ts")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "1000")


@pytest.mark.parametrize(
    "path",
    ["main/0-1.ts", "main/0-9.ts", "main/1-0.ts", "main/0-0.mp4", "nothing.m3u8", "main/key-0123456789abcdef.bin"],
)
async def test_what_is_not_out_is_not_there(site: Site, path: str) -> None:
    answer = await site.http.get(f"{MAIN}/{path}")
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("what", ["index.m3u8", "main/0-0.ts", "main/0-1.ts", "main/key-0123456789abcdef.bin"])
@pytest.mark.parametrize(
    ("bearer", "status", "reason"),
    [
        (None, 401, None),
        ("forged.forged.forged", 401, None),
        (token(expires=NOW), 403, "expired"),
        (token(event_id="other"), 403, "wrong_event"),
        (token(window=(NOW + 60, NOW + 120)), 403, "outside_window"),
        (token(scopes=frozenset({"wager"})), 403, "scope_missing"),
    ],
    ids=["none", "forged", "expired", "other event", "outside window", "other scope"],
)
async def test_not_a_byte_without_a_grant(
    site: Site, what: str, bearer: str | None, status: int, reason: str | None
) -> None:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    answer = await site.http.get(f"/hls/game/{what}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == status
    assert problem.get("reason") == reason
    assert b"a.ts" not in answer.content


async def test_a_stranger_does_not_learn_which_showings_exist(site: Site) -> None:
    known = await site.http.get("/hls/game/index.m3u8")
    unknown = await site.http.get("/hls/nothing/index.m3u8")
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    mine = await site.http.get(f"/hls/{token(event_id='nothing')}/nothing/index.m3u8")
    assert mine.status_code == 404


async def test_before_the_first_mark_a_player_is_told_to_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path)
    answer = await site.http.get(f"{MAIN}/index.m3u8")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await site.aclose()


async def test_ranges(site: Site) -> None:
    whole = await site.http.get(f"{MAIN}/main/0-0.ts")
    etag = whole.headers["etag"]

    async def ask(**headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await site.http.get(f"{MAIN}/main/0-0.ts", headers=named)

    part = await ask(range="bytes=4-7")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"a.ts", "bytes 4-7/1000")
    beyond = await ask(range="bytes=1000-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */1000")
    assert (await ask(range="bytes=0-1,4-5")).status_code == 200
    # RFC 9110, 13.1.5: the range counts only for the representation that is known.
    assert (await ask(range="bytes=4-7", if_range=etag)).status_code == 206
    assert (await ask(range="bytes=4-7", if_range='"old"')).status_code == 200
    assert (await ask(if_none_match=etag)).status_code == 304


async def test_a_grant_that_ends_cuts_the_body(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(bytes(1_000_000))
    site.wall = NOW + 3600.0
    assert (await site.http.get(f"{MAIN}/main/0-0.ts")).status_code == 403


async def test_an_origin_that_lost_a_segment(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.ts").unlink()
    assert (await site.http.get(f"{MAIN}/main/0-0.ts")).status_code == 404
    # What lies outside the folder is not the origin's, whatever its name leads to.
    site.open(1)
    (tmp_path / "b.ts").unlink()
    (tmp_path / "b.ts").symlink_to("/etc/hostname")
    answer = await site.http.get(f"{MAIN}/main/0-1.ts")
    assert answer.status_code == 502
    assert answer.headers["retry-after"] == "1"


async def test_any_page_may_read_where_no_origin_is_named(site: Site) -> None:
    answer = await site.http.get(f"{MAIN}/index.m3u8", headers={"Origin": "https://player.test"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    preflight = await site.http.options(f"{MAIN}/main/0-0.ts", headers={"Origin": "https://player.test"})
    assert preflight.status_code == 204
    assert "Range" in preflight.headers["access-control-allow-headers"]


async def test_only_named_origins_may_read(tmp_path: Path) -> None:
    site = Site(tmp_path, allowed_origins=("https://player.test",))
    site.open(0)
    mine = await site.http.get(f"{MAIN}/index.m3u8", headers={"Origin": "https://player.test"})
    assert mine.headers["access-control-allow-origin"] == "https://player.test"
    assert mine.headers["access-control-allow-credentials"] == "true"
    other = await site.http.get(f"{MAIN}/index.m3u8", headers={"Origin": "https://evil.test"})
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"
    await site.aclose()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_written(site: Site, method: str) -> None:
    assert (await site.http.request(method, f"{MAIN}/index.m3u8")).status_code == 405


async def test_who_is_revoked_learns_it_and_strangers_do_not(site: Site) -> None:
    site.revocations.apply(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann"), "fraud", NOW, None, "ops"))
    answer = await site.http.get(f"{MAIN}/index.m3u8")
    assert (answer.status_code, answer.json()["reason"]) == (403, "revoked")
    assert answer.headers["cache-control"] == "no-store"
    # Why is for operators only.
    assert "fraud" not in answer.text
    assert (await site.http.get("/hls/game/index.m3u8")).status_code == 401
    other = await site.http.get(f"/hls/{token(account='bob')}/game/index.m3u8")
    assert other.status_code == 200


async def test_who_comes_while_revocations_may_be_missed_is_to_come_again(site: Site) -> None:
    assert (await site.http.get(f"{MAIN}/index.m3u8")).status_code == 200
    site.lag_s = 6.0
    new = await site.http.get(f"/hls/{token(session='new')}/game/main/0-0.ts")
    assert (new.status_code, new.headers["retry-after"], new.json()["reason"]) == (503, "2", "stale")
    assert (await site.http.get(f"{MAIN}/main/0-0.ts")).status_code == 200
    site.lag_s = 61.0
    assert (await site.http.get(f"{MAIN}/main/0-0.ts")).status_code == 503


class Line:
    """A connection as the server would offer it."""

    def __init__(self) -> None:
        self.cuts = 0

    def cut(self) -> None:
        self.cuts += 1

    def when_lost(self, tell: Callable[[Connection], None]) -> None:
        """Live for ever."""


async def ask_over(site: Site, line: Line, path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await site.app({**scope, "extensions": {EXTENSION: line}}, receive, send)

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as client:
        await client.get(path)


async def test_a_connection_belongs_to_whom_it_answered_last(site: Site) -> None:
    line, ann, bob = Line(), Subject(SubjectKind.ACCOUNT, "ann"), Subject(SubjectKind.ACCOUNT, "bob")
    await ask_over(site, line, f"{MAIN}/main/0-0.ts")
    site.hls.flights.revoke(bob)
    assert line.cuts == 0
    # A proxy carries several viewers over one connection, one after the other.
    await ask_over(site, line, f"/hls/{token(account='bob')}/game/main/0-0.ts")
    site.hls.flights.revoke(ann)
    assert line.cuts == 0
    # A refusal is nobody's answer: it does not free what went before.
    await ask_over(site, line, "/hls/game/index.m3u8")
    site.hls.flights.revoke(bob)
    assert line.cuts == 1
    await ask_over(site, line, f"{MAIN}/index.m3u8")
    site.hls.flights.revoke(ann)
    assert line.cuts == 2


async def test_a_body_whose_grant_ends_is_cut_with_its_connection(site: Site) -> None:
    line, said = Line(), list[str]()
    heard = iter(["http.request", "http.disconnect"])

    async def receive() -> Any:
        return {"type": next(heard), "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message["type"])
        # Its token ends before the first byte is out.
        site.wall = float(claims().expires)

    path = f"{MAIN}/main/0-0.ts"
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "query_string": b"",
        "raw_path": path.encode(), "headers": [], "client": ("127.0.0.1", 1), "extensions": {EXTENSION: line},
    }  # fmt: skip
    await site.app(scope, receive, send)
    assert (said, line.cuts) == (["http.response.start"], 1)


async def test_a_fault_of_ours_has_the_shape_of_all_errors(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(site.relay.presentation, "text", fault)
    answer = await site.http.get(f"{MAIN}/index.m3u8")
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert "secret" not in answer.text


async def test_the_hub_is_told_who_has_half_of_a_segment(site: Site) -> None:
    url, session = f"{MAIN}/main/0-0.ts", "session-1"
    await site.http.head(url)
    for span in ("bytes=0-399", "bytes=0-300"):
        answer = await site.http.get(url, headers={"Range": span})
        assert answer.status_code == 206
    assert site.served == []
    await site.http.get(url, headers={"Range": "bytes=400-499"})
    assert site.served == [Served("game", session, 0, 0)]
    answer = await site.http.get(url)
    assert site.served == [Served("game", session, 0, 0)] * 2
    # What a cache of its own holds is no news; playlists are none either.
    await site.http.get(url, headers={"If-None-Match": answer.headers["etag"]})
    await site.http.get(f"{MAIN}/index.m3u8")
    assert len(site.served) == 2
    # A renewed token is of the same session; one that says none is a session by itself.
    for changes in ({"jti": "renewed"}, {"jti": "alone", "session": ""}):
        await site.http.get(f"/hls/{token(**changes)}/game/main/0-0.ts")
    assert [one.session for one in site.served[2:]] == [session, "alone"]


# Entitlements

OWN_ENTITLEMENT = KEYRING.issue(claims(jti="bought"), Purpose.ENTITLEMENT)
ENTITLEMENTS = [OWN_ENTITLEMENT, *map(signed, KIDS)]


@pytest.mark.parametrize("text", ENTITLEMENTS, ids=["HS256", *KIDS])
async def test_an_entitlement_is_sent_to_a_session_of_its_own(site: Site, text: str) -> None:
    by_path = await site.http.get(f"/hls/{text}/game/index.m3u8")
    by_header = await site.http.get("/hls/game/index.m3u8", headers={"Authorization": f"Bearer {text}"})
    by_cookie = await site.http.get("/hls/game/index.m3u8", headers={"Cookie": f"lockstep_token={text}"})
    head = await site.http.head(f"/hls/{text}/game/index.m3u8")
    sessions = set()
    for answer in (by_path, by_header, by_cookie, head):
        assert (answer.status_code, answer.headers["cache-control"], answer.content) == (302, "no-store", b"")
        # A page of another origin must be let through to follow.
        assert answer.headers["access-control-allow-origin"] == "*"
        location = answer.headers["location"]
        assert location.startswith("/hls/ey")
        assert location.endswith("/game/index.m3u8")
        assert text not in location
        session = site.gate(location.split("/")[2], "game", Scopes.WATCH, now=NOW).claims
        assert session is not None
        assert session.binding is not None
        assert session.binding.entitlement in ("bought", "order-7")
        sessions.add(session.session)
        playlist = await site.http.get(location)
        assert (playlist.status_code, "main/0-0.ts" in playlist.text) == (200, True)
        assert (await site.http.get(location.replace("index.m3u8", "main/0-0.ts"))).status_code == 200
    assert len(sessions) == 4


@pytest.mark.parametrize("text", ENTITLEMENTS, ids=["HS256", *KIDS])
@pytest.mark.parametrize("what", ["main/index.m3u8", "main/0-0.ts", "main/key-0123456789abcdef.bin", "v0/index.m3u8"])
async def test_an_entitlement_opens_nothing_else(site: Site, text: str, what: str) -> None:
    for path, headers in (
        (f"/hls/{text}/game/{what}", {}),
        (f"/hls/game/{what}", {"Authorization": f"Bearer {text}"}),
    ):
        answer = await site.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_purpose")
        assert answer.headers["cache-control"] == "no-store"
        assert "location" not in answer.headers


async def test_an_entitlement_that_does_not_admit_is_told_why(site: Site) -> None:
    other = await site.http.get(f"/hls/{OWN_ENTITLEMENT}/other/index.m3u8")
    assert (other.status_code, other.json()["reason"]) == (403, "wrong_event")
    site.wall = NOW + 3600.0
    late = await site.http.get(f"/hls/{signed('RS256')}/game/index.m3u8")
    assert (late.status_code, late.json()["reason"]) == (403, "expired")
    forged = await site.http.get(f"/hls/{signed('RS256', name='eve')}/game/index.m3u8")
    assert (forged.status_code, "reason" in forged.json()) == (401, False)


async def test_who_revokes_the_entitlement_ends_its_sessions(site: Site) -> None:
    location = (await site.http.get(f"/hls/{OWN_ENTITLEMENT}/game/index.m3u8")).headers["location"]
    bought = Subject(SubjectKind.TOKEN, "bought")
    line = Line()
    await ask_over(site, line, location)
    site.revocations.apply(Revocation("r", bought, "", NOW, None, "ops"))
    site.hls.flights.revoke(bought)
    assert line.cuts == 1
    for path in (location, f"/hls/{OWN_ENTITLEMENT}/game/index.m3u8"):
        answer = await site.http.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (403, "revoked")


async def test_one_whose_claims_do_not_fit_is_refused(site: Site) -> None:
    room = (MAX_TOKEN_CHARS - len(KEYRING.issue(claims(jti=""), Purpose.ENTITLEMENT))) * 3 // 4 - 3
    text = KEYRING.issue(claims(jti="j" * room), Purpose.ENTITLEMENT)
    answer = await site.http.get(f"/hls/{text}/game/index.m3u8")
    assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_purpose")


async def test_a_session_is_tied_to_who_began_it(site: Site) -> None:
    headers = {"User-Agent": "AppleCoreMedia/1.0.0 (Apple TV; U; CPU OS 18_5 like Mac OS X; en_us)"}
    location = (await site.http.get(f"/hls/{OWN_ENTITLEMENT}/game/index.m3u8", headers=headers)).headers["location"]
    session = site.gate(location.split("/")[2], "game", Scopes.WATCH, now=NOW).claims
    assert session is not None
    assert session.binding is not None
    assert session.binding.device == "tv"
    breach = site.entitlements.binder.breach
    # httpx2's transport says that it comes from there.
    assert breach(session, Whence("127.0.0.1", headers["User-Agent"])) is None
    assert breach(session, Whence("198.51.100.1", headers["User-Agent"])) is Reason.NETWORK_CHANGED
    assert breach(session, Whence("127.0.0.1", "curl/8.5.0")) is Reason.DEVICE_CHANGED


class Warned:
    """A policy that lets everybody in, and warns; it keeps where they were."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        self.asked.append(place.address)
        return PlaceVerdict(None, None, Reason.DATA_CENTRE)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


class Atlas:
    version = "v1"

    def locate(self, address: str) -> IpPlace:
        return IpPlace(address)


async def test_who_is_let_in_with_a_warning_is_told_so(tmp_path: Path) -> None:
    policies, policy = PolicyIndex(), Warned()
    record = PolicyRecord("warns", 1, "{}", NOW, "ops")
    policies.heard(record)
    policies.install(record, policy)
    whereabouts = Whereabouts(Atlas(), policies, lambda event_id: None, FixBook())
    site = Site(tmp_path, whereabouts=whereabouts)
    site.open(0)
    assert "lockstep-warning" not in (await site.http.get(f"/hls/{token()}/game/index.m3u8")).headers
    for path in ("index.m3u8", "main/0-0.ts"):
        answer = await site.http.get(f"/hls/{token(geo='warns')}/game/{path}")
        assert (answer.status_code, answer.headers["lockstep-warning"]) == (200, "data_centre")
    assert policy.asked == ["127.0.0.1"]
    await site.aclose()


@pytest.mark.parametrize("action", ["block", "redirect"])
async def test_of_what_is_dark_no_segment_is_served_and_of_what_is_not_each(tmp_path: Path, action: str) -> None:
    index = BlackoutIndex()
    site = Site(tmp_path, blackouts=Blackouts(Atlas(), index, FixBook()))
    zone = {"type": "all", "action": action} | ({"redirect_stream": "other"} if action == "redirect" else {})
    start = {"tl": 0, "pts": timing(1, "x").start}
    text = json.dumps({"event_id": "game", "blackout_zones": [zone], "start_media": start})
    site.open(0)
    site.open(1)
    index.heard(BlackoutRecord("blk_1", "game", text, 1.0, "ops"))
    segments = [f"{MAIN}/main/0-{msn}.ts" for msn in (0, 1)]
    # When they were is not known: nothing is served.
    answers = [await site.http.get(path) for path in segments]
    assert [answer.json()["reason"] for answer in answers] == ["blackout", "blackout"]
    for msn in (0, 1):
        site.relay._on_timing(msn, timing(msn, "x"))
    answers = [await site.http.get(path) for path in segments]
    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[1].json()["reason"] == "blackout"
    assert answers[1].headers["cache-control"] == "no-store"
    index.heard(BlackoutRecord("blk_1", "game", None, 2.0, "ops"))
    assert [(await site.http.get(path)).status_code for path in segments] == [200, 200]
    await site.aclose()


class Dark:
    """A showing that is dark for who is inside, and the stream in its place."""

    def __init__(self, folder: Path) -> None:
        self.pair = Pair(folder)
        self.gate = InsideGate(cache(), RevocationIndex(), lag_s=lambda: 0.0)
        self.hls = Hls(self.pair.relays, gate=self.gate, fetcher=self.pair.fetcher, wall=lambda: float(NOW))
        self.at_once = PlaylistsAtOnce(self.pair.relays, admit=self.gate, wall=lambda: float(NOW), now=lambda: 0.0)
        app = Starlette(routes=self.hls.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://relay.test")

    async def run(self) -> None:
        await self.pair.start()
        self.pair.game.on_blackouts({"city": CITY}, frozenset({"local"}))
        for msn in range(3):
            await self.pair.release("game", msn)
            await self.pair.release("local", msn)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.pair.aclose()


@pytest.fixture
async def dark(tmp_path: Path) -> AsyncIterator[Dark]:
    dark = Dark(tmp_path)
    await dark.run()
    yield dark
    await dark.aclose()


async def test_who_is_inside_gets_the_list_and_the_segments_of_another_stream(dark: Dark) -> None:
    dark.gate.zones = INSIDE
    target = f"{MAIN}/index.m3u8"
    text = (await dark.http.get(target)).text
    names = [line for line in text.splitlines() if line.startswith("main/")]
    assert [name.count("-") for name in names] == [1, 2, 2]
    bodies = [(await dark.http.get(f"{MAIN}/{name}")).text for name in names]
    assert bodies == ["game 0.ts", "local 1.ts", "local 2.ts"]
    at_once = dark.at_once(target.encode(), [], "192.0.2.1")
    assert at_once is not None
    assert at_once.endswith(text.encode())
    # For anybody else they are not there.
    other = await dark.http.get(f"{MAIN}/{names[1].replace('-1.', '-0.')}")
    dark.gate.zones = ()
    outside = [await dark.http.get(f"{MAIN}/{name}") for name in names]
    assert [answer.status_code for answer in (other, *outside)] == [404, 200, 404, 404]
    usual = dark.at_once(target.encode(), [], "192.0.2.1")
    assert usual is not None
    assert usual.endswith((dark.pair.game.presentation.text(None) or "").encode())


async def test_what_stands_in_is_no_picture_of_the_showing(dark: Dark) -> None:
    served: list[Served] = []
    dark.pair.bus.listen(served_signal("game"), served.append)
    dark.gate.zones = INSIDE
    for name in ("main/0-0.ts", f"main/{tag_of('local')}-0-1.ts"):
        assert (await dark.http.get(f"{MAIN}/{name}")).status_code == 200
    assert [(one.first_msn, one.last_msn) for one in served] == [(0, 0)]


async def test_a_redirect_that_ends_while_the_origin_is_asked_is_over(dark: Dark) -> None:
    dark.gate.zones = INSIDE
    dark.gate.later = ()
    assert (await dark.http.get(f"{MAIN}/main/{tag_of('local')}-0-1.ts")).status_code == 403


async def test_a_blocked_list_ends_and_is_then_refused(dark: Dark) -> None:
    dark.gate.zones = BLOCKED
    answer = await dark.http.get(f"{MAIN}/index.m3u8")
    assert answer.text.endswith("main/0-0.ts\n#EXT-X-ENDLIST\n")
    dark.pair.game.on_blackouts({}, frozenset())
    dark.gate.zones = (Veil("now", Window(), None, 0.0),)
    dark.pair.game.on_blackouts({"now": Window()}, frozenset())
    answer = await dark.http.get(f"{MAIN}/index.m3u8")
    assert (answer.status_code, answer.json()["reason"]) == (403, "blackout")
