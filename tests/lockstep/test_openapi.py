from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from lockstep.openapi import CATALOGUE, PATH, document, openapi_route, text
from relay.revocation_words import REVOKE

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "openapi.json"


def test_the_committed_document_is_what_the_routes_say() -> None:
    assert COMMITTED.read_text("utf-8") == text(), "python -m lockstep.openapi > docs/openapi.json"


def test_it_is_openapi() -> None:
    validate(json.loads(text()))


def test_every_operation_is_named_once_and_says_what_its_scope_is() -> None:
    assert len({one.name for one in CATALOGUE}) == len(CATALOGUE)
    assert len({(one.method, one.path) for one in CATALOGUE}) == len(CATALOGUE)
    told = document(CATALOGUE)
    for one in CATALOGUE:
        operation: dict[str, Any] = told["paths"][one.path][one.method.lower()]
        if one.scope is not None:
            others: list[dict[str, list[str]]] = [] if one.security is None else [{one.security: []}]
            assert operation["security"] == [{"operator": []}, *others]
            assert f"`{one.scope}`" in operation["description"]
            assert operation["responses"].keys() >= {"401", "403", "429", "503"}
        assert set(one.parameters) == {part[1:-1] for part in one.path.split("/") if part.startswith("{")}


def test_a_server_describes_what_it_has() -> None:
    async def nothing(_: object) -> None: ...

    routes = [Route("/api/v1/feeds", nothing, methods=["GET"]), Route("/livez", nothing)]
    app = Starlette(routes=[openapi_route(routes)])
    with TestClient(app) as client:
        told = client.get(PATH).json()
    assert set(told["paths"]) == {"/api/v1/feeds", PATH}
    validate(told)


def test_a_body_is_described_by_its_model() -> None:
    told = document([REVOKE])
    body = told["paths"]["/api/v1/revocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = told["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert (schema["additionalProperties"], schema["required"]) == (False, ["kind", "value"])
