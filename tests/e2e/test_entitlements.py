"""Entitlements on the real server: real players follow to a session of their own, and an issuer's keys come and go."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest

from kernel.io.system_time import wall
from tests.e2e.browser import browser, site
from tests.e2e.stage import FIXTURES, Server, Stage
from tests.e2e.test_tokens import hello
from tests.support.issuer import ISSUER, KIDS, jwk_of, jwks, payload, signed

CONFIG = f'[issuer]\njwks = "issuer.json"\nname = "{ISSUER.name}"\naudience = "{ISSUER.audience}"\n'


async def serve(stage: Stage, origin: str) -> tuple[Server, str]:
    """Serve a showing to whoever the other issuer entitles."""
    config = stage.folder / "lockstep.toml"
    await asyncio.to_thread(config.write_text, CONFIG, "utf-8")
    await asyncio.to_thread(write_keys, stage, jwks())
    return await stage.serve(origin, "--config", str(config))


def write_keys(stage: Stage, text: bytes) -> None:
    draft = stage.folder / "issuer.new"
    draft.write_bytes(text)
    draft.replace(stage.folder / "issuer.json")


def entitlement(alg: str = "ES256", **changes: Any) -> str:
    """Return what the issuer's shop would give out now."""
    now = int(wall())
    return signed(alg, payload(**{"nbf": now - 30, "exp": now + 600, "win": None, **changes}))


def statuses(server: Server) -> list[int]:
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line["status"] for line in lines if line["event"] == "http.answered" and line["path"].startswith("/hls/")]


async def curl(*arguments: str) -> tuple[int, str]:
    """Return the last status and the body that curl got."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *arguments, stdin=DEVNULL, stdout=PIPE
    )
    out, _ = await process.communicate()
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


def played(url: str, **options: str) -> int:
    """Play to the end and return how many pictures came."""
    with av.open(url, timeout=(10.0, 30.0), options=options) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("alg", KIDS)
async def test_curl_follows_and_reads_segments(stage: Stage, alg: str) -> None:
    _, url = await serve(stage, str(FIXTURES / "plain"))
    token = entitlement(alg)
    status, _ = await curl(f"{url}/hls/{token}/game/index.m3u8")
    assert status == 302
    for where in (
        [f"{url}/hls/{token}/game/index.m3u8"],
        [f"{url}/hls/game/index.m3u8", "-H", f"Authorization: Bearer {token}"],
        [f"{url}/hls/game/index.m3u8", "-H", f"Cookie: lockstep_token={token}"],
    ):
        status, body = await curl("-L", *where)
        assert (status, body.startswith("#EXTM3U")) == (200, True)
    status, body = await curl(f"{url}/hls/{token}/game/main/0-0.ts")
    assert (status, json.loads(body)["reason"]) == (403, "wrong_purpose")


@pytest.mark.both_shapes
async def test_ours_begins_a_session_that_its_revocation_ends(stage: Stage) -> None:
    _, url = await stage.serve(str(FIXTURES / "plain"))
    token = await stage.printed_token("--purpose", "entitlement")
    command = await stage.start("token", "check", token, "--json", "--data-dir", str(stage.data_dir))
    told = json.loads(await command.line())
    assert (told["valid"], told["purpose"]) == (True, "entitlement")
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        begun = await http.get(f"/hls/{token}/game/index.m3u8")
        location = begun.headers["location"]
        assert (begun.status_code, (await http.get(location)).status_code) == (302, 200)
        revoked = await stage.start(
            "revoke", "--token-id", told["claims"]["jti"], "--to", url, "--data-dir", str(stage.data_dir)
        )
        assert await revoked.exit_code() == 0, revoked.log
        async with asyncio.timeout(60):
            # Over Redis it takes its milliseconds.
            while (answer := await http.get(location)).status_code == 200:
                pass
        assert (answer.status_code, answer.json()["reason"]) == (403, "revoked")


async def test_pyav_plays_a_live_stream_to_its_end_in_one_session(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "bframes", "--speed", "4", "--window", "4")
    server, url = await serve(stage, origin)
    by_path = asyncio.to_thread(played, f"{url}/hls/{entitlement()}/game/index.m3u8")
    header = f"Authorization: Bearer {entitlement('EdDSA')}\r\n"
    by_header = asyncio.to_thread(played, f"{url}/hls/game/index.m3u8", headers=header)
    counts = await asyncio.gather(by_path, by_header)
    assert min(counts) > 100
    # Each asked once, and went on where it was sent: a player that came back each time would be a session each time.
    assert statuses(server).count(302) == 2
    assert set(statuses(server)) <= {200, 206, 302}


async def test_hls_js_follows_and_plays(stage: Stage, tmp_path: Path) -> None:
    origin = await stage.origin(FIXTURES / "wrap", "--loop")
    server, url = await serve(stage, origin)
    with site(tmp_path / "site") as page:
        async with browser(page) as player:
            await player.play(f"{url}/hls/{entitlement('RS256')}/game/index.m3u8")
            await player.has_played(6)
            assert statuses(server).count(302) == 1
            await player.play(f"{url}/hls/game/index.m3u8", bearer=entitlement())
            await player.has_played(4)
            assert statuses(server).count(302) == 2
            # A page that wants the socket as well asks for itself, and hands on where it was led.
            asked = f"{url}/hls/{entitlement()}/game/index.m3u8"
            led = await player.page.evaluate("async (url) => (await fetch(url)).url", asked)
            await player.play(led)
            await player.has_played(2)
    token = led.removeprefix(f"{url}/hls/").partition("/")[0]
    assert await hello(url, token) == "hello"
    assert await hello(url, entitlement()) == "bye"
    assert statuses(server).count(302) == 3


async def test_an_issuers_keys_come_and_go(stage: Stage) -> None:
    server, url = await serve(stage, str(FIXTURES / "plain"))

    async def status(alg: str) -> int:
        return (await http.get(f"/hls/{entitlement(alg)}/game/index.m3u8")).status_code

    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        await server.says_often("issuer_keys.accepted", 1)
        assert [await status(alg) for alg in KIDS] == [302, 302, 302]
        await asyncio.to_thread(write_keys, stage, b"{")
        await server.says("issuer_keys.refused")
        assert [await status(alg) for alg in KIDS] == [302, 302, 302]
        await asyncio.to_thread(write_keys, stage, jwks(jwk_of("ES256")))
        await server.says_often("issuer_keys.accepted", 2)
        assert [await status(alg) for alg in KIDS] == [401, 302, 401]
