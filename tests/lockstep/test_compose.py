from __future__ import annotations

import asyncio
import re
from itertools import repeat
from pathlib import Path

import httpx2
import pytest

from fixtures.places import make_city
from kernel.decisions import Decision, Scope, Verdict
from kernel.errors import JournalError, SettingsError
from kernel.io import system_time
from kernel.showings import Showing, Source
from kernel.tokens import Claims, Reason
from lockstep.compose import Deployment
from lockstep.keys import Keys, ensure_keys, read_keys
from lockstep.openapi import operations_of
from lockstep.operator_keys import create_operator, revoke_operator, rotate_operator
from lockstep.settings import PlaceSettings, Settings
from relay.operators import OperatorScope, operator_key
from relay.place.model import NetworkClass, known_place
from tests.support.auditing import judged, verified
from tests.support.tokens import claims

FIXTURES = Path(__file__).parents[2] / "fixtures" / "out"


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Settings, dict[str, Showing], Keys]:
    origin = (FIXTURES / "plain" / "index.m3u8").as_uri()
    settings = Settings(data_dir=tmp_path / "data")
    keys = ensure_keys(settings.data_dir, ["desk"])
    return settings, {"game": Showing("game", origin, (Source("desk", "lockstep"),))}, keys


async def test_all_routes_stand_on_one_application(parts: tuple[Settings, dict[str, Showing], Keys]) -> None:
    settings, showings, keys = parts
    deployment = await Deployment.start(settings, showings, keys)
    try:
        now = int(system_time.wall())
        claims = Claims("j", "ann", "game", now - 1, now + 60, (now - 1, now + 60), "s", frozenset({"watch"}))
        token = keys.keyring().issue(claims)
        transport = httpx2.ASGITransport(app=deployment.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:
            assert (await client.get("/livez")).status_code == 200
            ready = await client.get("/readyz")
            # Nothing has been timed in this turn of the loop.
            assert (ready.status_code, ready.json()["status"]) == (503, "starting")
            assert (await client.get(f"/hls/{token}/game/index.m3u8")).status_code == 503
            assert (await client.post("/api/v1/feeds/desk", content=b"{}")).status_code == 401
            assert (await client.get("/api/v1/revocations")).status_code == 401
            revoke = {"kind": "key", "value": next(iter(keys.signing))}
            headers = {"Authorization": f"Bearer {keys.operator_key()}"}
            made = await client.post("/api/v1/revocations", json=revoke, headers=headers)
            assert (made.status_code, made.json()["id"][:4]) == (201, "rev_")
            assert (await client.get(f"/hls/{token}/game/index.m3u8")).json()["reason"] == "revoked"
            assert (await client.get("/nothing")).json()["title"] == "Not Found"
        assert deployment.protocol_class() is not None
    finally:
        await deployment.drain()
        await deployment.stop()


async def test_a_journal_that_is_held_by_another_process_stops_the_start(
    parts: tuple[Settings, dict[str, Showing], Keys],
) -> None:
    settings, showings, keys = parts
    deployment = await Deployment.start(settings, showings, keys)
    try:
        with pytest.raises(JournalError):
            await Deployment.start(settings, showings, keys)
    finally:
        await deployment.stop()


async def test_places_are_known_and_taken_up_anew(
    parts: tuple[Settings, dict[str, Showing], Keys], tmp_path: Path
) -> None:
    settings, showings, keys = parts
    city = await asyncio.to_thread(make_city, tmp_path)
    tor = tmp_path / "tor.txt"
    await asyncio.to_thread(tor.write_text, "45.16.2.1\n", "utf-8")
    place = PlaceSettings(city_database=city, lists={NetworkClass.TOR: [tor]}, reload_s=0.05)
    settings = settings.model_copy(update={"place": place})
    deployment = await Deployment.start(settings, showings, keys)
    try:
        locator = deployment.locator
        assert (locator.locate("45.16.2.9").city, locator.locate("45.16.2.9").classes) == ("Pasadena", frozenset())
        changed = asyncio.Event()
        locator.on_change(changed.set)
        await asyncio.to_thread(tor.write_text, "45.16.2.9\n", "utf-8")
        async with asyncio.timeout(60):
            await changed.wait()
        assert locator.locate("45.16.2.9").classes == {NetworkClass.TOR}
    finally:
        await deployment.stop()


async def test_what_says_no_place_stops_the_start(
    parts: tuple[Settings, dict[str, Showing], Keys], tmp_path: Path
) -> None:
    settings, showings, keys = parts
    wrong = PlaceSettings(city_database=tmp_path / "none.mmdb")
    settings = settings.model_copy(update={"place": wrong})
    with pytest.raises(SettingsError, match=r"place: city .*none\.mmdb: No such file"):
        await Deployment.start(settings, showings, keys)
    # Nothing is held: another try finds the log free.
    deployment = await Deployment.start(settings.model_copy(update={"place": PlaceSettings()}), showings, keys)
    await deployment.stop()


RULE = {"name": "abroad", "effect": "deny", "where": {"country": ["DE"]}}
POLICY = {"policy_id": "west", "watch": {"default": "allow", "rules": [RULE]}}


async def test_a_policy_is_in_force_when_it_is_acknowledged_and_after_a_restart(
    parts: tuple[Settings, dict[str, Showing], Keys],
) -> None:
    settings, showings, keys = parts
    headers = {"Authorization": f"Bearer {keys.operator_key()}"}
    deployment = await Deployment.start(settings, showings, keys)
    try:
        transport = httpx2.ASGITransport(app=deployment.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x.test", headers=headers) as client:
            assert (await client.put("/api/v1/policies/west", json=POLICY)).status_code == 201
            found = deployment.policies.find("west")
            assert found is not None
            assert found.version == 1
            assert found.policy.decide(known_place("192.0.2.1", "DE"), None, now=1.0).watch is Reason.GEO_BLOCKED
            assert (await client.put("/api/v1/policies/west", json={**POLICY, "moon": 1})).status_code == 422
            await client.put("/api/v1/policies/east", json={**POLICY, "policy_id": "east"})
            assert (await client.delete("/api/v1/policies/east")).status_code == 204
            assert deployment.policies.find("east") is None
    finally:
        await deployment.stop()
    deployment = await Deployment.start(settings, showings, keys)
    try:
        # Before the first request: nobody is admitted by a policy that is not known yet.
        found = deployment.policies.find("west")
        assert found is not None
        assert found.version == 1
        assert deployment.policies.find("east") is None
    finally:
        await deployment.stop()


async def test_what_the_gate_says_is_on_record(parts: tuple[Settings, dict[str, Showing], Keys]) -> None:
    settings, showings, keys = parts
    deployment = await Deployment.start(settings, showings, keys)
    try:
        decision = Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=None)
        now = system_time.wall()
        for _ in range(3):
            deployment.audit.note(claims(), Scope.WATCH, decision, now=now, judged=judged(now=now))
    finally:
        await deployment.stop()
    (told,) = await asyncio.to_thread(verified, settings.data_dir / "audit")
    assert (told.node, told.replayed, told.faults) == ("serve-1", 1, [])


async def test_every_route_asks_for_its_scope_and_is_described(
    parts: tuple[Settings, dict[str, Showing], Keys],
) -> None:
    settings, showings, _ = parts
    # One operator for each scope, who has no other; one who has none; and one whose key has ended.
    held: dict[str, tuple[str, frozenset[OperatorScope]]] = {}
    for number, (name, scopes, expires) in enumerate(
        [*((scope.value, frozenset({scope}), None) for scope in OperatorScope), ("nobody", frozenset(), None),
         ("ended", frozenset(OperatorScope), 1.0)]
    ):  # fmt: skip
        key = operator_key(bytes([number]) * 32)
        await asyncio.to_thread(create_operator, settings.data_dir, name, key, scopes, expires=expires, now=0.0)
        held[name] = key, scopes
    held["stranger"] = operator_key(b"s" * 32), frozenset()
    deployment = await Deployment.start(settings, showings, await asyncio.to_thread(read_keys, settings.data_dir))
    try:
        routes = deployment.routes()
        operations = list(operations_of(routes))
        described = {(one.method, one.path) for one in operations}
        for route in routes:
            if route.path.startswith("/api/"):
                methods = (route.methods or set()) - {"HEAD"}
                assert {(method, route.path) for method in methods} <= described, f"{route.path} is not described"
        guarded = [one for one in operations if one.scope is not None]
        assert {one.scope for one in guarded} >= {OperatorScope.READ, OperatorScope.REVOKE, OperatorScope.SHOWING}
        transport = httpx2.ASGITransport(app=deployment.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:
            for one in guarded:
                path = re.sub(r"{[^}]+}", "x", one.path)
                for name, (key, scopes) in held.items():
                    answer = await client.request(one.method, path, headers={"Authorization": f"Bearer {key}"})
                    if name in ("stranger", "ended"):
                        assert answer.status_code == 401, (one.name, name)
                    elif one.scope not in scopes:
                        assert (answer.status_code, answer.json()["reason"]) == (403, "scope_missing"), (one.name, name)
                    else:
                        assert answer.status_code in (200, 404, 422), (one.name, name, answer.text)
                assert (await client.request(one.method, path)).status_code == 401
    finally:
        await deployment.drain()
        await deployment.stop()


async def test_operators_come_and_go_while_it_runs(parts: tuple[Settings, dict[str, Showing], Keys]) -> None:
    settings, showings, keys = parts
    deployment = await Deployment.start(settings, showings, keys)
    first, second = operator_key(b"1" * 32), operator_key(b"2" * 32)
    transport = httpx2.ASGITransport(app=deployment.app)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:

            async def until(key: str, status: int) -> None:
                async with asyncio.timeout(60):
                    for pause in repeat(0.02):
                        headers = {"Authorization": f"Bearer {key}"}
                        if (await client.get("/api/v1/revocations", headers=headers)).status_code == status:
                            return
                        await asyncio.sleep(pause)  # the file is looked at twice a second

            folder, read = settings.data_dir, {OperatorScope.READ}
            await asyncio.to_thread(create_operator, folder, "ann", first, read, expires=None, now=0.0)
            await until(first, 200)
            now = system_time.wall()
            await asyncio.to_thread(rotate_operator, folder, "ann", second, overlap_s=3_600, now=now)
            await until(second, 200)
            await until(first, 200)
            await asyncio.to_thread(revoke_operator, folder, "ann")
            await until(second, 401)
            await until(first, 401)
    finally:
        await deployment.drain()
        await deployment.stop()
