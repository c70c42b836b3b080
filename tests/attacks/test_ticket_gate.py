"""The faults of a ticket gate that others have: what each let through, ours refuses."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kernel.io.system_time import wall
from kernel.tokens import Purpose
from tests.attacks.server import PROXY, Answer, Server
from tests.support.tokens import claims

BEGIN = "/api/v1/playback/sessions"


def bought(server: Server, **changes: Any) -> str:
    now = int(wall())
    told = {"not_before": now - 60, "expires": now + 3600, "window": (now - 60, now + 3600), "jti": "b", **changes}
    return server.keys.keyring().issue(claims(**told), Purpose.ENTITLEMENT)


def post(server: Server, path: str, body: dict[str, Any], source: str, **headers: str) -> Answer:
    fields = {"Content-Type": "application/json", **headers}
    return server.get(path, fields, source=source, method="POST", body=json.dumps(body).encode())


def begun(server: Server, source: str, **changes: Any) -> dict[str, Any]:
    answer = post(server, BEGIN, {"token": bought(server, **changes)}, source)
    assert answer.status == 201, answer.raw
    told: dict[str, Any] = json.loads(answer.body)
    return told


def operate(server: Server, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
    fields = {"Authorization": f"Bearer {server.keys.operator_key()}"}
    content = None if body is None else json.dumps(body).encode()
    return server.get(path, fields, method=method, body=content)


def test_a_token_of_one_event_reads_no_other_ones_segments(server: Server) -> None:
    token = begun(server, server.address(), account="reader")["token"]
    for path in (
        f"/hls/{token}/game/..%2fguarded/main/0-0.ts", f"/hls/{token}/game/main/..%2f..%2fguarded%2fmain%2f0-0.ts",
        f"/hls/{token}/game%2f..%2fguarded/index.m3u8", f"/hls/{token}/game/../guarded/index.m3u8",
        f"/hls/{token}/guarded/index.m3u8", f"/hls/{token}/guarded/main/0-0.ts", f"/hls/{token}/%67uarded/index.m3u8",
    ):  # fmt: skip
        answer = server.get(path)
        assert answer.status in (403, 404), path
        assert b"#EXTM3U" not in answer.raw
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_released_token_streams_no_more(server: Server) -> None:
    source = server.address()
    session = begun(server, source, account="leaver")
    playlist = server.get(session["playlist_url"], source=source)
    assert playlist.status == 200
    name = next(line for line in playlist.body.decode().splitlines() if line and not line.startswith("#"))
    segment = session["playlist_url"].removesuffix("index.m3u8") + name
    assert server.get(segment, source=source).status == 200
    assert post(server, "/api/playback/release", {"token": session["token"]}, source).status == 200
    for path in (segment, session["playlist_url"], segment):
        answer = server.get(path, source=source)
        assert (answer.status, answer.problem["reason"]) == (403, "evicted")
    # Nor does a renewed one.
    answer = post(server, "/api/playback/refresh", {"token": session["token"]}, source)
    assert (answer.status, answer.problem["reason"]) == (403, "evicted")


def test_of_simultaneous_redemptions_one_wins(server: Server) -> None:
    policy = {"plan": "single", "session_policy": {"max_concurrent": 1, "eviction": "reject"}}
    assert operate(server, "POST", "/api/v1/ppv/session-policy", policy).status in (200, 201)
    sources = [server.address() for _ in range(8)]
    for number in range(3):
        token = bought(server, account=f"shared-{number}", plan="single")
        with ThreadPoolExecutor(len(sources)) as pool:
            answers = list(pool.map(lambda source, text=token: post(server, BEGIN, {"token": text}, source), sources))
        assert sorted(one.status for one in answers) == [201] + [409] * 7
        assert all(one.problem["inUse"] for one in answers if one.status == 409)


def test_what_is_revoked_and_reinstated_reaches_the_relay(server: Server) -> None:
    source = server.address()
    session = begun(server, source, account="wronged")
    made = operate(server, "POST", "/api/v1/revocations", {"kind": "session", "value": session["session_id"]})
    assert made.status == 201
    for answer in (
        server.get(session["playlist_url"], source=source),
        post(server, "/api/playback/heartbeat", {"token": session["token"]}, source),
        post(server, "/api/playback/refresh", {"token": session["token"]}, source),
    ):
        assert (answer.status, answer.problem["reason"]) == (403, "revoked")
    undone = operate(server, "DELETE", f"/api/v1/revocations/{json.loads(made.body)['id']}")
    assert undone.status == 204
    assert server.get(session["playlist_url"], source=source).status == 200


def test_the_first_forwarded_address_is_not_believed(server: Server) -> None:
    source = server.address()
    session = begun(server, source, account="forwarded")
    forged = {"X-Forwarded-For": f"{source}, 198.51.100.9"}
    # From nobody that we trust, and from a proxy of ours that hands on what it was sent.
    for sender, headers in (
        ("127.200.0.1", forged), (PROXY, forged), ("127.200.0.1", {"X-Forwarded-For": source}),
        ("127.200.0.1", {"X-Real-IP": source, "Forwarded": f"for={source}"}),
    ):  # fmt: skip
        answer = server.get(session["playlist_url"], headers, source=sender)
        assert (answer.status, answer.problem["reason"]) == (403, "network_changed"), (headers, sender)


def test_nobody_ends_anothers_session(server: Server) -> None:
    source = server.address()
    victim, attacker = begun(server, source, account="victim"), begun(server, source, account="attacker")
    for fields in ({}, {"Authorization": "Bearer a.b.c"}, {"Authorization": f"Bearer {attacker['token']}"}):
        for path in (f"/api/v1/ppv/sessions/{victim['session_id']}", "/api/v1/ppv/sessions/victim"):
            for method in ("GET", "DELETE"):
                answer = server.get(path, fields, source=source, method=method)
                assert answer.status in (401, 403, 404)
    for code in ("", "x", "a.b", victim["token"], attacker["token"], victim["session_id"]):
        assert post(server, f"{BEGIN}/stop", {"code": code}, server.address()).status in (401, 422)
    assert server.get(victim["playlist_url"], source=source).status == 200
