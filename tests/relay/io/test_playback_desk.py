from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kernel.bus import fixes_signal
from kernel.revocation import Revocation, Subject, SubjectKind
from kernel.tokens import Keyring, Purpose
from relay.token_verifier import TokenVerifier
from tests.support.playing import (
    BEGIN,
    KEEP,
    LAPTOP,
    LOS_ANGELES,
    RELEASE,
    RENEW,
    STOP,
    Rig,
    bought,
    desks,
)
from tests.support.tokens import KEYS, NOW, claims, token


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with desks() as one:
        yield one


# Beginning


async def test_a_session_begins(rig: Rig) -> None:
    answer = await rig.begin(device=LAPTOP)
    assert answer.status_code == 201
    body = answer.json()
    text = body["token"]
    said = TokenVerifier(KEYS).verify(text)
    assert said is not None
    assert body == {
        "session_id": said.session, "event_id": "game", "token": text, "playlist_url": f"/hls/{text}/game/index.m3u8",
        "expires_at": 1000 * (NOW + 3600), "session_ends": 1000 * (NOW + 3600), "refresh_url": RENEW,
        "heartbeat_url": KEEP, "release_url": RELEASE, "wagering_url": "/api/v1/wagering/subscribe", "heartbeat_s": 30,
    }  # fmt: skip
    assert said.fingerprint == rig.entitlements.fingerprints.of(LAPTOP)
    (one,) = await rig.book.of("ann")
    assert (one.session, one.dead_after_ms, dict(one.about)) == (
        said.session, 60_000,
        {"device": "app", "network": "203.0.113.0/24", "place": "Pasadena, US-CA", "fingerprint": said.fingerprint},
    )  # fmt: skip
    # As the bearer likewise, and with a template for whoever counts by that.
    rig.template = {"uri": "/x"}
    answer = await rig.http.post(BEGIN, headers={"Authorization": f"Bearer {bought()}"})
    assert (answer.status_code, answer.json()["player_event"]) == (201, {"uri": "/x"})
    assert len(await rig.book.of("ann")) == 2


async def test_what_is_no_entitlement_begins_nothing(rig: Rig) -> None:
    for text in ("x.y.z", bought() + "=", Keyring({"k1": b"o" * 32}).issue(claims(), Purpose.ENTITLEMENT)):
        answer = await rig.http.post(BEGIN, json={"token": text})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "reason" not in answer.json()
    assert (await rig.http.post(BEGIN, json={})).status_code == 401
    cookie = await rig.http.post(BEGIN, json={}, headers={"Cookie": f"lockstep_token={bought()}"})
    assert cookie.status_code == 401
    for text, status, reason in (
        (token(), 403, "wrong_purpose"),
        (bought(expires=NOW - 1), 403, "expired"),
        (bought(scopes=frozenset({"wager"})), 403, "scope_missing"),
        (bought(event_id="other"), 404, None),
    ):
        answer = await rig.http.post(BEGIN, json={"token": text})
        assert (answer.status_code, answer.json().get("reason")) == (status, reason)
    rig.index.apply(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann"), "", NOW, None, "ops"))
    assert (await rig.begin()).json()["reason"] == "revoked"
    assert await rig.book.of("ann") == []


async def test_who_cannot_know_lets_nobody_in(rig: Rig) -> None:
    rig.lag_s = 10.0
    answer = await rig.begin()
    assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (503, "stale", "2")
    rig.lag_s, rig.book.lost = 0.0, True
    answer = await rig.begin()
    assert (answer.status_code, answer.json()["reason"]) == (503, "stale")


# Place


async def test_a_device_that_is_elsewhere_than_its_network(rig: Rig) -> None:
    london = {"lat": 51.5, "lon": 0, "accuracy_m": 10, "at": NOW * 1000}
    told: list[Any] = []
    rig.bus.listen(fixes_signal(), told.append)
    assert (await rig.begin(gps=london)).status_code == 201
    rig.policy(geo_mismatch_action="block", max_concurrent=9)
    answer = await rig.begin(gps=london)
    assert (answer.status_code, answer.json()["reason"]) == (403, "geo_mismatch")
    assert (await rig.begin(gps=LOS_ANGELES)).status_code == 201
    rig.policy(geo_mismatch_action="warn", max_concurrent=9)
    assert (await rig.begin(gps=london)).status_code == 201
    # Only who was let in is told of elsewhere, each under a session of its own.
    assert len({record[0] for record in told}) == len(told) == 3


# No room


async def test_the_oldest_has_to_go(rig: Rig) -> None:
    rig.policy(max_concurrent=1, grace_period_sec=30)
    first = (await rig.begin()).json()
    rig.now += 1
    second = (await rig.begin()).json()
    kept = (await rig.ask(KEEP, first["token"])).json()
    assert kept == {"ok": True, "warning": {"code": "session_limit", "ends": 1000 * (NOW + 31), "left_s": 30}}
    assert (await rig.ask(KEEP, second["token"])).json() == {"ok": True}
    renewed = (await rig.ask(RENEW, first["token"])).json()
    assert renewed["warning"]["code"] == "session_limit"
    rig.now += 30
    for path in (KEEP, RENEW):
        answer = await rig.ask(path, first["token"])
        assert (answer.status_code, answer.json()["reason"]) == (403, "evicted")


async def test_one_for_one_device_at_a_time(rig: Rig) -> None:
    rig.policy(max_concurrent=1, eviction="reject")
    answers = await asyncio.gather(*(rig.begin() for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409, 409]
    refused = next(one for one in answers if one.status_code == 409)
    assert refused.headers["content-type"] == "application/problem+json"
    body = refused.json()
    assert (body["inUse"], body["reason"], body["code"]) == (True, "session_limit", "session_limit")
    ((conflict),) = body["conflicts"]
    assert (conflict["device"], conflict["place"]) == ("app", "Pasadena, US-CA")
    # Whoever is refused for good is given no code to stop the other.
    assert "stop_code" not in conflict


async def test_the_viewer_chooses_who_goes(rig: Rig) -> None:
    rig.policy(max_concurrent=2, eviction="viewer_choice")
    sessions = [(await rig.begin()).json() for _ in range(2)]
    answer = await rig.begin()
    body = answer.json()
    assert (answer.status_code, body["inUse"], len(body["conflicts"])) == (409, False, 2)
    chosen = body["conflicts"][1]
    assert chosen["session_id"] == sessions[1]["session_id"]
    stopped = await rig.http.post(STOP, json={"code": chosen["stop_code"]})
    assert (stopped.status_code, stopped.json()) == (200, {"ok": True, "session_id": chosen["session_id"]})
    # It has gone, at once, and does not come back; its room is free.
    assert (await rig.ask(KEEP, sessions[1]["token"])).json()["reason"] == "evicted"
    assert (await rig.begin()).status_code == 201
    # A code is for one thing and for two minutes.
    assert (await rig.http.post(STOP, json={"code": chosen["stop_code"]})).status_code == 404
    rig.now += 121
    assert (await rig.http.post(STOP, json={"code": body["conflicts"][0]["stop_code"]})).status_code == 401
    assert (await rig.http.post(STOP, json={"code": sessions[0]["token"]})).status_code == 401


async def test_when_there_will_be_room(rig: Rig) -> None:
    rig.policy(max_concurrent=1, eviction="reject")
    first = (await rig.begin()).json()
    await rig.book.dismiss("ann", first["session_id"], code="kicked", by="ops", grace_ms=9_500)
    assert (await rig.begin()).status_code == 201
    answer = await rig.begin()
    assert (answer.headers["retry-after"], answer.json()["retry_after_s"]) == ("10", 10)


async def test_more_networks_than_may_share(rig: Rig) -> None:
    rig.policy(max_concurrent=9, ip_sharing_threshold=1)
    assert (await rig.begin()).status_code == 201
    assert (await rig.begin()).status_code == 201
    async with rig.client("198.51.100.7") as elsewhere:
        answer = await rig.begin(elsewhere)
    assert (answer.status_code, answer.json()["reason"], answer.json()["code"]) == (409, "session_limit", "ip_sharing")


# Status


async def test_how_a_showing_is(rig: Rig) -> None:
    path = "/api/events/game/status"
    answer = await rig.http.get(path, headers={"Authorization": f"Bearer {token()}"})
    window = {"starts": 1000 * (NOW - 10), "ends": 1000 * (NOW + 3600)}
    assert (answer.status_code, answer.json()) == (200, {"event_id": "game", "status": "upcoming", **window})
    early = token(not_before=NOW + 60, window=(NOW + 60, NOW + 3600))
    assert (await rig.http.get(path, headers={"Authorization": f"Bearer {early}"})).status_code == 200
    assert (await rig.http.get(path)).status_code == 401
    for text, status in ((token(event_id="other"), 403), (token(expires=NOW - 1), 403)):
        assert (await rig.http.get(path, headers={"Authorization": f"Bearer {text}"})).status_code == status
    other = {"Authorization": f"Bearer {token(event_id='other')}"}
    assert (await rig.http.get("/api/events/other/status", headers=other)).status_code == 404
