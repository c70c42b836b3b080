from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from kernel.revocation import Revocation, Subject, SubjectKind
from relay.sessions.model import Sign
from tests.support.playing import BEGIN, KEEP, LAPTOP, RELEASE, RENEW, Rig, bought, desks
from tests.support.tokens import NOW, token


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with desks() as one:
        yield one


async def test_a_session_is_there_for_as_long_as_it_is_heard_of(rig: Rig) -> None:
    text = (await rig.begin()).json()["token"]
    for _ in range(4):
        rig.now += 59
        assert (await rig.ask(KEEP, text)).json() == {"ok": True}
    rig.now += 61
    answer = await rig.ask(KEEP, text)
    assert (answer.status_code, answer.json()["detail"]) == (404, "this session is gone: begin another one")
    assert (await rig.ask(RELEASE, text)).status_code == 404


async def test_a_renewed_token_is_the_same_sessions(rig: Rig) -> None:
    entitled = bought(expires=NOW + 60, window=(NOW - 10, NOW + 3600))
    begun = (await rig.http.post(BEGIN, json={"token": entitled})).json()
    assert begun["expires_at"] == 1000 * (NOW + 60)
    answer = await rig.ask(RENEW, begun["token"])
    assert answer.status_code == 200
    body = answer.json()
    assert (body["session_id"], body["expires_at"]) == (begun["session_id"], 1000 * (NOW + 3600))
    assert body["token"] != begun["token"]
    rig.now += 61
    assert (await rig.ask(KEEP, begun["token"])).json()["reason"] == "expired"
    async with rig.client("198.51.100.7") as elsewhere:
        shown = {"Authorization": f"Bearer {body['token']}"}
        for path in (KEEP, RENEW, RELEASE):
            refused = await elsewhere.post(path, headers=shown)
            assert (refused.status_code, refused.json()["reason"]) == (403, "network_changed")
    assert (await rig.http.post(RENEW, json={"token": entitled})).json()["reason"] == "wrong_purpose"
    assert (await rig.http.post(KEEP, json={"token": bought()})).json()["reason"] == "wrong_purpose"
    rig.index.apply(Revocation("r", Subject(SubjectKind.SESSION, body["session_id"]), "", NOW, None, "ops"))
    for path in (KEEP, RENEW, RELEASE):
        assert (await rig.ask(path, body["token"])).json()["reason"] == "revoked"


async def test_who_revokes_what_was_bought_ends_what_was_renewed(rig: Rig) -> None:
    begun = (await rig.begin()).json()
    renewed = (await rig.ask(RENEW, begun["token"])).json()
    rig.index.apply(Revocation("r", Subject(SubjectKind.TOKEN, "bought"), "", NOW, None, "ops"))
    assert (await rig.ask(RENEW, renewed["token"])).json()["reason"] == "revoked"


async def test_a_session_belongs_to_its_device_where_the_policy_says_so(rig: Rig) -> None:
    other = {**LAPTOP, "screen": "390x844"}
    begun = (await rig.begin(device=LAPTOP)).json()
    # Nobody looks at it.
    assert (await rig.ask(RENEW, begun["token"], device=other)).status_code == 200
    rig.policy(device_fingerprint=True)
    with capture_logs() as logs:
        assert (await rig.ask(KEEP, begun["token"], device=LAPTOP)).status_code == 200
        assert (await rig.ask(RENEW, begun["token"], device=LAPTOP)).status_code == 200
        assert rig.told == []
        # A signal, told to operators; only a new token is refused.
        assert (await rig.ask(KEEP, begun["token"], device=other)).status_code == 200
        for device in (other, None):
            refused = await rig.ask(RENEW, begun["token"], **({} if device is None else {"device": device}))
            assert (refused.status_code, refused.json()["reason"]) == (403, "device_changed")
    assert [line["event"] for line in logs] == ["session.device_changed"] * 3
    assert [record[0] for record in rig.told] == ["device_changed"] * 3
    assert rig.counts.devices_changed == 3
    # One that was begun without saying what it is belongs to none.
    bare = (await rig.begin()).json()
    assert (await rig.ask(RENEW, bare["token"], device=LAPTOP)).status_code == 200


async def test_who_has_left_does_not_come_back(rig: Rig) -> None:
    begun = (await rig.begin()).json()
    assert (await rig.ask(RELEASE, begun["token"])).json() == {"ok": True}
    assert await rig.book.of("ann") == []
    (standing,) = await rig.book.saw([Sign("ann", begun["session_id"], 1)])
    assert standing.leaving is not None
    assert (standing.life, standing.leaving.code) == ("evicted", "released")
    assert (await rig.ask(KEEP, begun["token"])).json()["reason"] == "evicted"


async def test_a_bare_sessions_token_is_kept_and_renewed_too(rig: Rig) -> None:
    text = token(session="", jti="bare", window=(NOW - 10, NOW + 7200))
    assert (await rig.ask(KEEP, text)).status_code == 404
    answer = await rig.ask(RENEW, text)
    assert (answer.json()["session_id"], answer.json()["expires_at"]) == ("bare", 1000 * (NOW + 7200))
