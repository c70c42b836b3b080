"""Where viewers' applications ask before they play."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from kernel.bus import fixes_signal
from kernel.io.http import exception_handlers
from kernel.io.memory_bus import MemoryBus
from kernel.policies import PolicyRecord
from kernel.revocation import Revocation, RevocationIndex, Subject, SubjectKind
from kernel.showings import Showing
from kernel.tokens import Keyring, Purpose, Reason
from relay.entitlements import Entitlements
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.viewer_desk import ViewerDesk
from relay.place.model import Fix, IpPlace, PlaceVerdict
from relay.policies import PolicyIndex
from relay.whereabouts import Whereabouts
from tests.support.tokens import KEYS, NOW, cache, claims, token

GAME = Showing("game", "http://127.0.0.1/", allowed_origins=("https://a.example",))
CHECK = "/api/v1/ppv/geo-check/game"
LOS_ANGELES = {"lat": 34.0522, "lon": -118.2437, "accuracy_m": 12.5, "at": NOW * 1000}


class North:
    """A policy that wants a fix in the north, and lets nobody wager."""

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        if fix is None:
            return PlaceVerdict(Reason.GPS_MISSING, Reason.GPS_MISSING)
        watch = None if fix.point.lat > 0 else Reason.OUTSIDE_TERRITORY
        return PlaceVerdict(watch, Reason.GEO_BLOCKED, Reason.PRIVATE_RELAY, recheck_s=300.4)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


class Atlas:
    version = "v1"

    def locate(self, address: str) -> IpPlace:
        return IpPlace(address)


class Rig:
    def __init__(self) -> None:
        self.bus, self.index, policies = MemoryBus(lambda: 0.0), RevocationIndex(), PolicyIndex()
        record = PolicyRecord("north", 1, "{}", NOW, "ops")
        policies.heard(record)
        policies.install(record, North())
        self.governing: str | None = "north"
        self.fixes = FixBook()
        self.whereabouts = Whereabouts(Atlas(), policies, lambda event_id: self.governing, self.fixes)
        gate = Gate(
            cache(), self.index, entitlements=Entitlements(KEYS, new_id=lambda: "id"), whereabouts=self.whereabouts
        )
        self.moved = 0
        self.desk = ViewerDesk(
            gate, self.whereabouts, self.bus, {"game": GAME}, sessions=lambda account, event_id: {account, event_id},
            moved=self.move, wall=lambda: float(NOW),
        )  # fmt: skip
        self.desk.start()
        app = Starlette(routes=self.desk.routes(), exception_handlers=exception_handlers)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://viewer.test")

    def move(self) -> None:
        self.moved += 1

    async def check(self, text: str | None = None, path: str = CHECK) -> httpx2.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {text or token()}"})

    async def report(self, fix: Any = LOS_ANGELES, text: str | None = None) -> httpx2.Response:
        return await self.http.post(CHECK, json=fix, headers={"Authorization": f"Bearer {text or token()}"})


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    one = Rig()
    async with one.http:
        yield one
    one.desk.stop()
    one.desk.stop()


async def test_a_place_is_told_with_its_reasons(rig: Rig) -> None:
    answer = await rig.check()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    refused = {"allowed": False, "reason": "gps_missing"}
    assert answer.json() == {"event_id": "game", "status": "blocked", "watch": refused, "wager": refused}
    rig.governing = None
    assert (await rig.check()).json() == {
        "event_id": "game", "status": "allowed", "watch": {"allowed": True}, "wager": {"allowed": True},
    }  # fmt: skip


async def test_a_fix_counts_at_once_everywhere_and_for_its_session_only(rig: Rig) -> None:
    told: list[Any] = []
    rig.bus.listen(fixes_signal(), told.append)
    answer = await rig.report()
    assert answer.json() == {
        "event_id": "game", "status": "allowed", "watch": {"allowed": True},
        "wager": {"allowed": False, "reason": "geo_blocked"}, "warning": "private_relay", "recheck_s": 300,
    }  # fmt: skip
    assert told == [["session-1", -118.2437, 34.0522, 12.5, float(NOW)]]
    assert rig.moved == 1
    other = token(session="session-2", jti="token-2")
    assert (await rig.check(other)).json()["watch"] == {"allowed": False, "reason": "gps_missing"}
    # From another process
    rig.bus.signal(fixes_signal(), ["session-2", 0.0, -1.0, 5.0, float(NOW)])
    assert (await rig.check(other)).json()["watch"] == {"allowed": False, "reason": "outside_territory"}
    assert rig.moved == 2
    # Not newer
    again = await rig.report()
    assert (again.status_code, again.json()["detail"]) == (409, "a fix that is as new is known: send newer ones")


@pytest.mark.parametrize("record", [None, [], ["s", 1, 2, 3], ["s", "x", 0, 0, 0], {"a": 1}, 7])
async def test_an_odd_word_on_the_bus_harms_nobody(rig: Rig, record: Any) -> None:
    with capture_logs() as logs:
        rig.bus.signal(fixes_signal(), record)
    assert [line["event"] for line in logs] == ["fix.not_understood"]
    assert rig.moved == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lat": 90.1}, "lat"), ({"lon": -180.5}, "lon"), ({"accuracy_m": -1}, "accuracy_m"),
        ({"accuracy_m": 1e9}, "accuracy_m"), ({"at": -1}, "at"), ({"at": 1.5}, "at"), ({"at": "now"}, "at"),
        ({"lat": "34"}, "lat"), ({"lat": True}, "lat"), ({"lat": None}, "lat"), ({"speed": 3}, "speed"),
    ],
)  # fmt: skip
async def test_a_fix_that_is_none_is_named(rig: Rig, change: dict[str, Any], named: str) -> None:
    answer = await rig.report({**LOS_ANGELES, **change})
    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert rig.fixes.of("session-1") == (None, None)


async def test_a_fix_of_a_fast_clock_is_of_now_and_one_of_the_future_is_left_to_the_policy(rig: Rig) -> None:
    await rig.report({**LOS_ANGELES, "at": (NOW + 30) * 1000})
    fix, _ = rig.fixes.of("session-1")
    assert fix is not None
    assert fix.at == NOW
    await rig.report({**LOS_ANGELES, "at": (NOW + 3600) * 1000})
    fix, _ = rig.fixes.of("session-1")
    assert fix is not None
    assert fix.at == NOW + 3600


async def test_bodies_are_bounded(rig: Rig) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    assert (await rig.http.post(CHECK, content=b"x" * 5_000, headers=headers)).status_code == 413
    assert (await rig.http.post(CHECK, content=b'{"lat":NaN}', headers=headers)).status_code == 422
    assert (await rig.http.post(CHECK, content=b"[" * 3_000, headers=headers)).status_code == 422


async def test_strangers_learn_nothing_and_holders_why(rig: Rig) -> None:
    for text in ("a.b.c", token() + "=", Keyring({"k1": b"o" * 32}).issue(claims())):
        for answer in (await rig.check(text), await rig.report(text=text)):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "reason" not in answer.json()
    assert (await rig.http.get(CHECK)).status_code == 401
    answer = await rig.check(path="/api/v1/ppv/geo-check/other")
    assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_event")
    rig.index.apply(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann"), "", NOW, None, "ops"))
    for answer in (await rig.check(), await rig.report()):
        assert (answer.status_code, answer.json()["reason"]) == (403, "revoked")
    assert rig.fixes.of("session-1") == (None, None)


async def test_the_cookie_admits_and_scopes_are_told_apart(rig: Rig) -> None:
    rig.governing = None
    text = token(scopes=frozenset({"wager"}))
    answer = await rig.http.get(CHECK, headers={"Cookie": f"lockstep_token={text}"})
    assert answer.json()["watch"] == {"allowed": False, "reason": "scope_missing"}
    assert answer.json()["wager"] == {"allowed": True}
    assert answer.json()["status"] == "allowed"


async def test_an_entitlement_is_asked_about_before_there_is_a_session(rig: Rig) -> None:
    bought = Keyring(KEYS).issue(claims(session="", jti="bought"), Purpose.ENTITLEMENT)
    assert (await rig.check(bought)).json()["watch"] == {"allowed": False, "reason": "gps_missing"}
    assert (await rig.report(text=bought)).json()["watch"] == {"allowed": True}
    assert rig.fixes.of("bought")[0] is not None


async def test_what_a_token_is_worth(rig: Rig) -> None:
    answer = await rig.http.get(f"/api/v1/ppv/entitlement/{token(geo='north')}")
    assert answer.status_code == 200
    assert answer.json() == {
        "event_id": "game", "status": "active", "purpose": "session", "remaining_s": 3600,
        "starts": (NOW - 10) * 1000, "ends": (NOW + 3600) * 1000, "scopes": ["wager", "watch"],
        "geo_policy": "north", "sessions": 2,
    }  # fmt: skip
    bought = Keyring(KEYS).issue(claims(session="", window=(NOW + 60, NOW + 120)), Purpose.ENTITLEMENT)
    told = (await rig.http.get(f"/api/v1/ppv/entitlement/{bought}")).json()
    assert (told["purpose"], told["status"], told["remaining_s"], told["starts"]) == (
        "entitlement", "outside_window", 0, (NOW + 60) * 1000,
    )  # fmt: skip
    for text in ("a.b.c", "x", token() + "="):
        assert (await rig.http.get(f"/api/v1/ppv/entitlement/{text}")).status_code == 401


@pytest.mark.parametrize(("origin", "allowed"), [("https://a.example", True), ("https://b.example", False)])
async def test_pages_that_may_read_the_video_may_ask(rig: Rig, origin: str, *, allowed: bool) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answers = [await rig.http.options(CHECK, headers=asked)]
    answers.append(await rig.http.get(CHECK, headers={"Authorization": f"Bearer {token()}", "Origin": origin}))
    assert [answer.status_code for answer in answers] == [204, 200]
    assert (await rig.http.options("/api/v1/ppv/geo-check/%C2%84", headers=asked)).status_code == 404
    for answer in answers:
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
        assert ("access-control-allow-headers" in answer.headers) is allowed
