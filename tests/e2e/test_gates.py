"""No token, forged, expired, another event's: not a byte, on the real server."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest

from lockstep.keys import read_keys
from tests.e2e.stage import FIXTURES, Stage
from tests.support.tokens import KEYRING, claims


@pytest.mark.both_shapes
async def test_not_a_byte_without_a_grant(stage: Stage) -> None:
    server, url = await stage.serve(str(FIXTURES / "plain"))
    good = await stage.token()
    other = await stage.token(event="other")
    keys = await asyncio.to_thread(read_keys, stage.data_dir)
    expired = keys.keyring().issue(claims(not_before=1, expires=2, window=(1, 2)))
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get(f"/hls/{good}/game/main/0-0.ts")).status_code == 200
        forged = (KEYRING.issue(claims()), good[:-3] + "AAA")
        cases = [(None, 401), *((token, 401) for token in forged), (expired, 403), (other, 403)]
        for token, status in cases:
            prefix = f"/hls/{token}" if token else "/hls"
            for what in ("index.m3u8", "main/0-0.ts", "main/0-99.ts"):
                answer = await client.get(f"{prefix}/game/{what}")
                assert answer.status_code == status
                assert answer.headers["content-type"] == "application/problem+json"
                assert len(answer.content) < 300
        assert (await client.get(f"/hls/{good}/game/main/0-99.ts")).status_code == 404
    log = server.log
    assert good not in log
    assert good.split(".")[1] not in log
    assert "whsec_" not in log


@pytest.mark.parametrize(
    "path",
    [
        "/hls/{token}/game/main/..%2f..%2findex.m3u8",
        "/hls/{token}/game/../other/index.m3u8",
        "/hls/{token}/game/main/%2e%2e/%2e%2e/keys.toml",
    ],
)
async def test_a_path_is_matched_and_never_followed(stage: Stage, path: str) -> None:
    _, url = await stage.serve(str(FIXTURES / "plain"))
    token = await stage.token()
    host, port = url.removeprefix("http://").split(":")
    # A client library would tidy the path up: the bytes go out by hand.
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path.format(token=token)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_the_front_door(stage: Stage) -> None:
    _, url = await stage.serve(str(FIXTURES / "plain"))
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json()["status"] == "ready"
        for path, status in (("/", 404), ("/api/v1/feeds/none", 405), ("/api/v1/wagering/subscribe", 426)):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert (await client.post("/api/v1/feeds/none", content=b"{}")).status_code == 401


async def test_a_taken_port_is_said(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = await stage.start(
            "serve", "--data-dir", str(stage.data_dir), "--event", "game", "--origin", str(FIXTURES / "plain"),
            "--port", port,
        )  # fmt: skip
        assert await command.exit_code() == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in command.log
