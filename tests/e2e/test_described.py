"""The running server is what its OpenAPI document says: held against it by schemathesis, and by what goes well."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from kernel.io.system_time import wall
from lockstep.keys import read_keys
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage
from tests.e2e.vendor import Vendor, play

EXAMPLES = 20
"""Of each operation, beside those that try the bounds of each field: a thousand requests or so in all."""

SEED = 1
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "allow_header_conformance", "ignored_auth",
)  # fmt: skip
"""All but `positive_data_acceptance`: that an end lies ahead, or an origin where it may, no schema says."""

CONFIG = """
[showings_api]
origin_dir = "{folder}"

[per_operator]
requests_per_s = 100000
request_burst = 1000000

[per_address]
refused_tokens_per_s = 100000
refused_token_burst = 1000000
"""


@asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[tuple[str, str]]:
    config = stage.folder / "lockstep.toml"
    await asyncio.to_thread(config.write_text, CONFIG.format(folder=FIXTURES), "utf-8")
    server, url = await stage.serve(str(FIXTURES / "plain"), "--config", str(config), "--source", "desk=lockstep")
    yield url, (await asyncio.to_thread(read_keys, stage.data_dir)).operator_key()
    assert await server.end() == 0
    for fault in ("request.failed", "part.failed", "Traceback", "showing.failed"):
        assert fault not in server.log


async def test_schemathesis_finds_nothing_that_is_not_described(stage: Stage) -> None:
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command is not None, "run `make setup`: it installs schemathesis"
    async with serving(stage) as (url, key):
        process = await asyncio.create_subprocess_exec(
            command, "run", f"{url}/api/openapi.json", "--header", f"Authorization: Bearer {key}",
            "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
            "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color",
            cwd=stage.folder, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            said, _ = await process.communicate()
        text = said.decode("utf-8", "replace")
        assert process.returncode == 0, text
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
            paths = (await http.get("/api/openapi.json")).json()["paths"]
        # It leaves out where the document itself is.
        there = sum(len(methods) for methods in paths.values()) - 1
        assert f"{there} selected / {there} total" in text, text


class Described:
    """Ask, and hold each answer to the document."""

    def __init__(self, http: httpx2.AsyncClient, document: dict[str, Any]) -> None:
        self._http = http
        self._document = document
        self.seen: set[tuple[str, str, int]] = set()

    async def ask(
        self, method: str, template: str, *, of: dict[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        path = template.format(**(of or {}))
        answer = await self._http.request(method, path, **more)
        self.judge(method, template, answer)
        return answer

    def judge(self, method: str, template: str, answer: httpx2.Response) -> None:
        operation = self._document["paths"][template][method.lower()]
        told = operation["responses"].get(str(answer.status_code))
        assert told is not None, f"{method} {template} answers {answer.status_code}: {answer.text}"
        for name in told.get("headers", {}):
            assert name in answer.headers
        content = told.get("content")
        if content is None:
            assert not answer.content
        else:
            schema = content[answer.headers["content-type"].partition(";")[0]]["schema"]
            Draft202012Validator({**schema, "components": self._document["components"]}).validate(answer.json())
        self.seen.add((method, template, answer.status_code))


async def begun(api: Described, stage: Stage) -> None:
    """Go through a session's life, and refuse another one."""
    begin, sessions = "/api/v1/playback/sessions", "/api/v1/ppv/sessions/{id}"
    keep = "/api/playback/heartbeat"
    bought = await stage.printed_token("--purpose", "entitlement", "--plan", "one")
    policy = {"plan": "one", "session_policy": {"max_concurrent": 1, "eviction": "viewer_choice"}}
    await api.ask("POST", "/api/v1/ppv/session-policy", json=policy)
    first = (await api.ask("POST", begin, json={"token": bought}, headers={"Authorization": ""})).json()
    refused = await api.ask("POST", begin, json={"token": bought}, headers={"Authorization": ""})
    own = {"headers": {"Authorization": f"Bearer {first['token']}"}}
    await api.ask("POST", keep, **own)
    await api.ask("POST", "/api/playback/refresh", **own)
    await api.ask("GET", "/api/events/{event_id}/status", of={"event_id": "game"}, **own)
    await api.ask("GET", sessions, of={"id": "ann"}, **own)
    await api.ask("GET", sessions, of={"id": "bob"}, **own)
    await api.ask("POST", f"{begin}/stop", json={"code": refused.json()["conflicts"][0]["stop_code"]})
    await api.ask("POST", keep, **own)
    second = (await api.ask("POST", begin, json={"token": bought}, headers={"Authorization": ""})).json()
    await api.ask("DELETE", sessions, of={"id": second["session_id"]})
    await api.ask("DELETE", sessions, of={"id": second["session_id"]})
    third = (await api.ask("POST", begin, json={"token": bought}, headers={"Authorization": ""})).json()
    await api.ask("POST", "/api/playback/release", json={"token": third["token"]}, headers={"Authorization": ""})
    await api.ask("OPTIONS", begin)


async def test_what_goes_well_is_as_described(stage: Stage) -> None:
    showings, one_showing = "/api/v1/showings", "/api/v1/showings/{event_id}"
    revocations, one_revocation = "/api/v1/revocations", "/api/v1/revocations/{id}"
    cup = {"event_id": "cup"}
    async with (
        serving(stage) as (url, key),
        httpx2.AsyncClient(base_url=url, trust_env=False, headers={"Authorization": f"Bearer {key}"}) as http,
    ):
        document = (await http.get("/api/openapi.json")).json()
        validate(document)
        api = Described(http, document)
        body = {**cup, "origin": "bframes", "sources": {"cupdesk": {"vendor": "lockstep", "interval_s": 60}}}
        repeat = {"Idempotency-Key": "k1"}
        made = await api.ask("POST", showings, json=body, headers=repeat)
        again = await api.ask("POST", showings, json=body, headers=repeat)
        assert (made.status_code, again.content) == (201, made.content)
        other = await api.ask("POST", showings, json={**body, "hold_s": 1}, headers=repeat)
        assert other.json()["reason"] == "idempotency_key_reused"
        await api.ask("POST", showings, json=body)
        await api.ask("GET", one_showing, of=cup)
        await api.ask("GET", showings, params={"limit": 1})
        await api.ask("PUT", one_showing, of=cup, json={"hold_s": "auto", "sources": {}}, headers={"If-Match": '"1"'})
        await api.ask("PUT", one_showing, of=cup, json={}, headers={"If-Match": '"1"'})
        await api.ask("PUT", one_showing, of={"event_id": "final"}, json={"origin": "ladder"})
        await api.ask("PUT", one_showing, of={"event_id": "game"}, json={})
        await api.ask("DELETE", one_showing, of=cup)
        await api.ask("DELETE", one_showing, of=cup)
        revoked = await api.ask("POST", revocations, json={"kind": "account", "value": "ann", "event_id": "game"})
        await api.ask("POST", revocations, json={"kind": "account", "value": "ann", "event_id": "game"})
        await api.ask("GET", revocations)
        await api.ask("DELETE", one_revocation, of={"id": revoked.json()["id"]})
        await api.ask("DELETE", one_revocation, of={"id": "none"})
        blackouts, one_blackout = "/api/v1/ppv/blackout", "/api/v1/ppv/blackout/{blackout_id}"
        zone = {"type": "cidr", "code": "192.0.2.0/24", "action": "block"}
        dark = await api.ask("POST", blackouts, json={"event_id": "game", "blackout_zones": [zone]})
        await api.ask("POST", blackouts, json={"event_id": "nothing", "blackout_zones": [zone]})
        await api.ask("GET", blackouts, params={"event_id": "game"})
        for method in ("GET", "DELETE", "DELETE"):
            await api.ask(method, one_blackout, of={"blackout_id": dark.json()["blackout_id"]})
        policies, one_policy = "/api/v1/ppv/session-policy", "/api/v1/ppv/session-policy/{kind}/{name}"
        for _ in range(2):
            await api.ask("POST", policies, json={"plan": "season", "session_policy": {"max_concurrent": 5}})
        await api.ask("GET", policies)
        for method in ("GET", "DELETE", "DELETE"):
            await api.ask(method, one_policy, of={"kind": "plan", "name": "season"})
        await begun(api, stage)
        await api.ask("GET", "/api/v1/feeds")
        await api.ask("GET", "/api/v1/wagering/subscribe")
        await api.ask("GET", "/api/openapi.json")
        desk = await asyncio.to_thread(Vendor, url, stage.data_dir)
        for _ in range(2):
            api.judge("POST", "/api/v1/feeds/{source}", await desk.post("m1", play("p1", wall())))
        api.judge("POST", "/api/v1/feeds/{source}", await desk.post("m2", play("p1", wall()), webhook_signature="v1,x"))
        api.judge("POST", "/api/v1/feeds/{source}", await desk.post("m3", {"type": "nothing"}))
        await desk.aclose()
        good = {(method, path, status) for method, path, status in api.seen if status < 300}
        assert len(good) == 32, sorted(good)
