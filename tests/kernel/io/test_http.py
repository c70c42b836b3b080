"""What the front door's routes share: errors, tokens, bodies, the log."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from kernel.io.http import (
    AccessLog,
    bearer_token,
    exception_handlers,
    peer_address,
    problem,
    read_body,
    redact_path,
)


def token_with(payload: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256'})}.{part(payload)}.c2ln"


def body_of(response: Response) -> Any:
    return json.loads(bytes(response.body))


def test_problem_has_one_shape() -> None:
    """RFC 9457, 3.1."""
    plain = problem(404, "Not Found")
    assert plain.status_code == 404
    assert plain.headers["content-type"] == "application/problem+json"
    assert plain.headers["cache-control"] == "no-store"
    assert body_of(plain) == {"type": "about:blank", "title": "Not Found", "status": 404}
    full = problem(503, "Soon", detail="d", reason="r", headers={"Retry-After": "1"}, cache="private")
    assert body_of(full) == {"type": "about:blank", "title": "Soon", "status": 503, "detail": "d", "reason": "r"}
    assert (full.headers["retry-after"], full.headers["cache-control"]) == ("1", "private")


@pytest.fixture
def client() -> TestClient:
    async def fault(_: Request) -> Response:
        raise RuntimeError("secret")

    async def teapot(_: Request) -> Response:
        raise HTTPException(418, "no coffee", {"X-Pot": "1"})

    async def gone(_: Request) -> Response:
        raise ClientDisconnect

    async def echo(request: Request) -> Response:
        body = await read_body(request, 4)
        return problem(413, "Content Too Large") if body is None else Response(body)

    routes = [
        Route("/fault", fault),
        Route("/teapot", teapot),
        Route("/gone", gone),
        Route("/echo", echo, methods=["POST"]),
    ]
    return TestClient(Starlette(routes=routes, exception_handlers=exception_handlers), raise_server_exceptions=False)


def test_the_frameworks_errors_have_it_too(client: TestClient) -> None:
    for method, path, status, detail in (
        ("GET", "/none", 404, None),
        ("GET", "/echo", 405, None),
        ("GET", "/fault", 500, None),
        ("GET", "/teapot", 418, "no coffee"),
        ("GET", "/gone", 400, "the connection ended within the body"),
    ):
        answer = client.request(method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["status"], answer.json().get("detail")) == (status, status, detail)
        assert "secret" not in answer.text
    assert client.get("/echo").headers["allow"] == "POST"
    assert client.get("/teapot").headers["x-pot"] == "1"


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer a.b.c", "a.b.c"),
        ("bearer  a.b-c_d~+/==", "a.b-c_d~+/=="),
        ("Basic a", None),
        ("Bearer", None),
        ("Bearer a b", None),
        ("Bearer a, Bearer b", None),
        ("", None),
    ],
)
def test_bearer_token(value: str, token: str | None) -> None:
    """RFC 6750, 2.1; RFC 9110, 11.1: the scheme is case-insensitive."""
    assert bearer_token({"authorization": value}) == token
    assert bearer_token({}) is None


def test_peer_address_believes_no_header() -> None:
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"8.8.8.8")]}
    assert peer_address(scope) == "10.0.0.1"
    assert peer_address({"client": None}) == ""


def test_read_body_within_its_limit(client: TestClient) -> None:
    assert client.post("/echo", content=b"1234").content == b"1234"
    assert client.post("/echo", content=b"12345").status_code == 413
    assert client.post("/echo", content=iter([b"123", b"45"])).status_code == 413
    assert client.post("/echo", content=b"1", headers={"content-length": "9" * 5000}).status_code == 413


async def test_read_body_in_time() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    request = Request({"type": "http", "method": "POST", "headers": []}, never)
    with pytest.raises(HTTPException) as raised:
        await read_body(request, 4, timeout_s=0.01)
    assert raised.value.status_code == 408


JTI = "AbC-1_2"
TOKEN = token_with({"jti": JTI})


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/hls/game/index.m3u8", "/hls/game/index.m3u8"),
        ("/hls/game/video/0-12.ts", "/hls/game/video/0-12.ts"),
        ("/livez", "/livez"),
        (f"/hls/{TOKEN}/game/index.m3u8", f"/hls/{JTI}/game/index.m3u8"),
        (f"/hls//{TOKEN}/game", f"/hls//{JTI}/game"),
        (f"/x/hls/{TOKEN}", f"/x/hls/{JTI}"),
        (f"/hls/{TOKEN.replace('.', '%2E')}/game", f"/hls/{JTI}/game"),
        (f"/elsewhere/{TOKEN}", f"/elsewhere/{JTI}"),
        (f"/hls/game/{TOKEN}", f"/hls/game/{JTI}"),
        (f"/elsewhere/{TOKEN.rpartition('.')[0]}", "/elsewhere/~"),
        ("/hls/a.b.c/game", "/hls/~/game"),
        ("/hls/../game", "/hls/~/game"),
        (f"/hls/{token_with({})}/game", "/hls/~/game"),
        (f"/hls/{token_with([1])}/game", "/hls/~/game"),
        (f"/hls/{token_with({'jti': 7})}/game", "/hls/~/game"),
        (f"/hls/{token_with({'jti': 'a b'})}/game", "/hls/~/game"),
        (f"/hls/{token_with({'jti': 'a' * 65})}/game", "/hls/~/game"),
        (f"/hls/{token_with({'jti': JTI, 'x': 'y' * 4096})}/game", "/hls/~/game"),
        ("/hls/eyJ.\u00e9.x/game", "/hls/~/game"),
    ],
)
def test_redact_path(path: str, shown: str) -> None:
    assert redact_path(path) == shown


def test_access_log_holds_no_secret() -> None:
    async def hello(_: Request) -> Response:
        return PlainTextResponse("hello")

    times = iter([1.0, 1.0125])
    app = Starlette(routes=[Route("/hls/{rest:path}", hello)])
    client = TestClient(AccessLog(app, now=lambda: next(times)), client=("10.0.0.1", 5))
    with capture_logs() as logs:
        client.get(f"/hls/{TOKEN}/game?token=secret")
    (line,) = logs
    assert line == {
        "event": "http.answered",
        "log_level": "info",
        "method": "GET",
        "path": f"/hls/{JTI}/game",
        "peer": "10.0.0.1",
        "ms": 12.5,
        "status": 200,
        "sent_bytes": 5,
    }


async def test_access_log_leaves_other_scopes_alone() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    with capture_logs() as logs:
        await AccessLog(app, now=lambda: 0.0)({"type": "lifespan"}, lambda: None, lambda _: None)  # type: ignore[arg-type,return-value]
    assert seen == ["lifespan"]
    assert logs == []
