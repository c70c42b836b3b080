"""Attacks on the front door and the relay, on the real server. docs/security.md says which attack is which test."""

from __future__ import annotations

import base64
import json
import socket
import struct

import pytest

from tests.attacks.server import OTHER_PROXY, PROXY, Server, read_all

UPGRADE = (
    "GET /api/v1/wagering/subscribe?event_id={event} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


# Connections and heads


def test_half_open_connections_of_one_address_are_bounded(server: Server) -> None:
    source = server.address()
    held = [server.connect(source) for _ in range(8)]
    with server.connect(source) as ninth:
        answer = read_all(ninth)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: " in answer
    for one in held:
        one.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 200"
    # They have asked now; further ones may come.
    assert server.get("/livez", source=source).status == 200
    for one in held:
        one.close()


def test_connections_of_one_address_are_bounded(server: Server) -> None:
    source = server.address()
    held = []
    for _ in range(24):
        one = server.connect(source)
        one.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 200"
        held.append(one)
    with server.connect(source) as further:
        assert read_all(further).startswith(b"HTTP/1.1 429 ")
    for one in held:
        one.close()


def test_requests_of_one_address_are_bounded(server: Server) -> None:
    source = server.address()
    answers = [server.get("/livez", source=source) for _ in range(60)]
    refused = [answer for answer in answers if answer.status == 429]
    assert 1 <= len(refused) <= 20
    assert refused[0].problem["title"] == "Too Many Requests"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert server.get("/livez").status == 200


def test_sockets_count_too(server: Server) -> None:
    source = server.address()
    request = (UPGRADE.format(event="game") + f"Authorization: Bearer {server.token()}\r\n\r\n").encode()
    held = []
    for _ in range(24):
        one = server.connect(source)
        one.sendall(request)
        assert one.recv(12) == b"HTTP/1.1 101"
        held.append(one)
    assert server.send(request, source).status == 429
    for one in held:
        one.close()
    # Whoever leaves makes room: the server notices when it reads.
    while server.send(b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", source).raw.startswith(
        b"HTTP/1.1 429"
    ):
        pass


def test_guessing_tokens_is_bounded_and_hurts_nobody_beside(server: Server) -> None:
    source = server.address()
    good = server.token()
    statuses = [server.get(f"/hls/{good[:-6]}{n:06d}/game/index.m3u8", source=source).status for n in range(15)]
    assert statuses == [401] * 10 + [429] * 5
    # Who shares the address, and has a genuine token, is served.
    assert server.get(f"/hls/{good}/game/index.m3u8", source=source).status == 200
    assert server.get("/api/v1/feeds/desk", source=source, method="POST").status == 429
    # No further socket either, until the allowance is back.
    assert server.send((UPGRADE.format(event="game") + "\r\n").encode(), source).status == 429


def test_guessing_operators_keys_is_bounded(server: Server) -> None:
    source = server.address()
    keys = [{"Authorization": f"Bearer lko_{number:043d}"} for number in range(15)]
    statuses = [server.get("/api/v1/revocations", key, source=source).status for key in keys]
    assert statuses == [401] * 10 + [429] * 5


def test_refused_tokens_of_sockets_count_as_well(server: Server) -> None:
    source = server.address()
    request = (UPGRADE.format(event="game") + "Authorization: Bearer a.b.c\r\n\r\n").encode()
    for _ in range(10):
        with server.connect(source) as one:
            one.sendall(request)
            assert one.recv(12) == b"HTTP/1.1 101"
            one.shutdown(socket.SHUT_WR)
            assert struct.pack("!H", 4501) in read_all(one)
    assert server.send(request, source).status == 429


def test_header_bombs(server: Server) -> None:
    for bomb in (b"X: y\r\n" * 2_000, b"X: " + b"y" * 60_000 + b"\r\n", b"Y" * 60_000 + b": y\r\n"):
        answer = server.send(b"GET /livez HTTP/1.1\r\nHost: h\r\n" + bomb + b"\r\n")
        # What is unread when the server closes may make the kernel throw the answer away.
        assert answer.status in (431, 0)


def test_url_bombs(server: Server) -> None:
    for target in ("/" + "a" * 40_000, "/hls/" + "../" * 12_000, "/livez?" + "a=b&" * 10_000):
        assert server.get(target).status in (431, 0)
    for target in ("/" + "a/" * 10_000, "/hls/" + "%2e" * 8_000, "/hls/" + "." * 20_000 + "/game/index.m3u8"):
        assert server.get(target).status in (401, 404)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nabcde",
        b"POST /livez HTTP/1.1\r\nHost: h\r\nX: y\r\n Content-Length: 5\r\n\r\nabcde",
        b"GET /livez HTTP/1.1\nHost: h\n\n",
    ],
)
def test_request_smuggling(server: Server, request_: bytes) -> None:
    """RFC 9112, 11.2: one request has one length, and nothing behind a doubtful one is served."""
    answer = server.send(request_ + b"GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.status in (0, 400)
    assert answer.raw.count(b"\r\n\r\n") <= 1
    assert b"showings" not in answer.raw


def test_host_poisoning(server: Server) -> None:
    evil = {"Host": "evil.test", "X-Forwarded-Host": "evil.test"}
    for target in ("/livez/", "/livez//", "/hls", "/nothing", "/api/v1/wagering/subscribe/", "/metrics/"):
        answer = server.get(target, evil)
        assert answer.status in (404, 405, 426)
        assert b"evil.test" not in answer.raw
        assert "location" not in answer.headers
    assert b"evil.test" not in server.get(f"/hls/{server.token()}/game/index.m3u8", evil).raw
    for host in ("a/b", "a b", "a\tb", "h, g"):
        assert server.get("/livez", {"Host": host}).status == 400


def test_dns_rebinding_does_not_reach_what_operators_see(server: Server) -> None:
    for target in ("/metrics", "/api/v1/feeds"):
        assert server.get(target, {"Host": f"127.0.0.1:{server.port}"}).status == 200
        assert server.get(target, {"Host": "evil.test"}).status == 403
        for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
            assert server.get(target, {"Host": "localhost", name: "127.0.0.1"}).status == 403


def test_absolute_targets_name_no_other_place(server: Server) -> None:
    """RFC 9112, 3.2.2: such a target must be taken; its host is as good as Host's."""
    token = server.token()
    assert server.get(f"http://evil.test/hls/{token}/game/index.m3u8").status == 200
    for target in ("http://127.0.0.1:1/keys.toml", "http://evil.test", "evil.test:80", "*", "//evil.test/hls", "x"):
        answer = server.get(target)
        assert answer.status in (400, 404)
        assert b"evil.test" not in answer.raw


def test_response_splitting(server: Server) -> None:
    token = server.token()
    for piece in ("%0d%0aX-Evil:%20yes", "%0aX-Evil:%20yes", "\x85X-Evil: yes"):
        for target in (f"/hls/{token}/game/{piece}", f"/hls/{token}/{piece}/index.m3u8", f"/{piece}"):
            answer = server.get(target)
            assert answer.status in (400, 403, 404)
            assert "x-evil" not in answer.headers
    evil = server.get(f"/hls/{token}/game/main/0-0.ts", {"Origin": "https://a\x85X-Evil: yes"})
    assert "x-evil" not in evil.headers


# Proxies


def test_forwarding_headers_of_strangers_are_not_believed(server: Server) -> None:
    source = server.address()
    server.get("/nothing-a", {"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"}, source=source)
    assert server.says("http.answered", path="/nothing-a")["peer"] == source


def test_forwarding_headers_count_from_the_right_and_so_many_hops(server: Server) -> None:
    for number, (value, peer) in enumerate(
        [
            ("198.51.100.2", "198.51.100.2"),
            ("203.0.113.9, 198.51.100.2", "198.51.100.2"),
            (f"198.51.100.2, {OTHER_PROXY}", "198.51.100.2"),
            (f"203.0.113.9, {OTHER_PROXY}, {OTHER_PROXY}", OTHER_PROXY),
            ("<198.51.100.2>", PROXY),
            ("127.0.0.1\t", "127.0.0.1"),
        ]
    ):
        server.get(f"/nothing-b{number}", {"X-Forwarded-For": value, "Forwarded": "for=192.0.2.9"}, source=PROXY)
        assert server.says("http.answered", path=f"/nothing-b{number}")["peer"] == peer


def test_limits_hold_for_who_is_behind_a_proxy_and_not_for_the_proxy(server: Server) -> None:
    flood = [server.get("/livez", {"X-Forwarded-For": "198.51.100.3"}, source=PROXY).status for _ in range(60)]
    assert flood.count(429) >= 1
    for number in range(60):
        assert server.get("/livez", {"X-Forwarded-For": f"198.51.101.{number}"}, source=PROXY).status == 200
    # IPv6 clients choose among 2**64 addresses: all of those are one.
    flood = [
        server.get("/livez", {"X-Forwarded-For": f"2001:db8::{number:x}"}, source=PROXY).status for number in range(60)
    ]
    assert flood.count(429) >= 1


# Paths, bodies, ranges


@pytest.mark.parametrize(
    "name",
    [
        "../keys.toml", "..%2fkeys.toml", "%2e%2e/keys.toml", "%2e%2e%2fkeys.toml", "..%252fkeys.toml",
        "..\\keys.toml", "..%5ckeys.toml", "%c0%ae%c0%ae/keys.toml", "..;/keys.toml", "....//keys.toml",
        ".%00./keys.toml", "main/0-0.ts%00", "main/../main/0-0.ts", "./index.m3u8", "main//0-0.ts", "/etc/passwd",
        "main/0-0.ts/", "main/00-0.ts", "main/0--1.ts", "main/0-0.ts;x", "%6dain/0-0.ts", "file:///etc/passwd",
        "main/0-0.TS", "main/\xd9\xa1-0.ts",
    ],
)  # fmt: skip
def test_path_traversal(server: Server, name: str) -> None:
    """What is no name of ours, spelled as we spell it, is not there."""
    answer = server.get(f"/hls/{server.token()}/game/{name}")
    assert answer.status in (400, 404)
    assert b"root:" not in answer.raw
    assert b"signing" not in answer.raw


def test_another_events_token_reads_nothing(server: Server) -> None:
    token = server.token(event_id="guarded")
    assert server.get(f"/hls/{token}/guarded/index.m3u8").status == 200
    for name in ("index.m3u8", "main/index.m3u8", "main/0-0.ts", "main/0-99.ts", "data/data-0123456789abcdef.bin"):
        for event in ("game", "nothing"):
            for target, headers in (
                (f"/hls/{token}/{event}/{name}", {}),
                (f"/hls/{event}/{name}", {"Authorization": f"Bearer {token}"}),
                (f"/hls/{event}/{name}", {"Cookie": f"lockstep_token={token}"}),
            ):
                answer = server.get(target, headers)
                assert answer.status == 403
                assert answer.problem["reason"] == "wrong_event"


def test_range_bombs(server: Server) -> None:
    """RFC 9110, 14.2: a server may ignore Range; several ranges cost what the whole costs, once."""
    target = f"/hls/{server.token()}/game/main/0-0.ts"
    whole = server.get(target)
    assert whole.status == 200
    for value in (
        "bytes=" + ",".join(["0-"] * 1_300), "bytes=0-1,0-1", "bytes=" + ",".join(f"{n}-{n}" for n in range(1_000)),
        "bytes=-1,-2", "bytes=5-2", "bytes=" + "9" * 30 + "-", "bytes=--1", "lines=0-1", "bytes=0-,",
    ):  # fmt: skip
        answer = server.get(target, {"Range": value})
        assert answer.status == 200
        assert answer.body == whole.body
    assert server.get(target, {"Range": "bytes=999999999999999999-"}).status == 416


def test_bodies_nobody_asked_for(server: Server) -> None:
    """Neither held nor waited for."""
    long = b"x" * 100_000
    for path in (f"/hls/{server.token()}/game/index.m3u8", "/livez", "/nothing"):
        answer = server.send(
            f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 9999999999\r\n\r\n".encode() + long
        )
        assert answer.status in (200, 404)
    answer = server.send(
        b"POST /api/v1/feeds/desk HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 9999999999\r\n\r\n"
    )
    assert answer.status == 413
    assert server.get(f"/hls/{server.token()}/game/index.m3u8", method="PUT").status == 405


def test_nothing_of_one_viewer_is_kept_for_another(server: Server) -> None:
    token = server.token()
    for target, status in ((f"/hls/{token}/game/index.m3u8", 200), (f"/hls/{token}/game/main/0-0.ts", 200)):
        answer = server.get(target, {"X-Forwarded-Proto": "http", "X-Original-URL": "/hls/other", "Cookie": "a=b"})
        assert answer.status == status
        assert answer.headers["cache-control"].startswith("private")
    for target in ("/hls/game/index.m3u8", f"/hls/{token}/other/index.m3u8", f"/hls/{token}/game/main/0-99.ts", "/x"):
        assert server.get(target).headers["cache-control"] == "no-store"
    mine = server.get(f"/hls/{token}/game/index.m3u8?cb=1")
    assert token not in mine.raw.decode()


def test_only_named_origins_read(server: Server) -> None:
    target = f"/hls/{server.token(event_id='guarded')}/guarded/index.m3u8"
    for origin in ("https://evil.test", "null", "https://player.test.evil.test", "http://player.test"):
        answer = server.get(target, {"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"
    assert server.get(target, {"Origin": "https://player.test"}).headers["access-control-allow-origin"] == (
        "https://player.test"
    )


# Tokens


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens(server: Server) -> None:
    good = server.token()
    head, payload, signature = good.split(".")
    kid = next(iter(server.keys.signing))
    forged = [
        f"{_part({'alg': 'none', 'kid': kid})}.{payload}.",
        f"{_part({'alg': 'none', 'kid': kid})}.{payload}.{signature}",
        f"{_part({'alg': 'HS512', 'kid': kid})}.{payload}.{signature}",
        f"{_part({'alg': 'RS256', 'kid': kid})}.{payload}.{signature}",
        f"{_part({'alg': 'HS256', 'kid': '../../dev/null'})}.{payload}.{signature}",
        f"{_part({'alg': 'HS256', 'kid': kid, 'crit': ['x']})}.{payload}.{signature}",
        f"{good}=", f"{good}.{signature}", f"{head}..{signature}", f"{head}.{payload}.{signature[:-1]}",
        f"{head}.{payload}.{signature}{'A' * 5_000}",
    ]  # fmt: skip
    for token in forged:
        bearer = server.get("/hls/game/index.m3u8", {"Authorization": f"Bearer {token}"})
        assert bearer.status == 401, token
        assert "reason" not in bearer.problem
        assert server.get(f"/hls/{token}/game/index.m3u8").status in (401, 404)


def test_tokens_in_queries_are_not_taken(server: Server) -> None:
    token = server.token()
    for name in ("token", "access_token", "authorization"):
        assert server.get(f"/hls/game/index.m3u8?{name}={token}").status == 401
        request = UPGRADE.format(event=f"game&{name}={token}") + "\r\n"
        answer = server.send(request.encode())
        assert answer.status == 400
    assert not [line for line in server.log if token.split(".")[1] in line]


# Sockets


def test_cross_site_sockets(server: Server) -> None:
    token = server.token(event_id="guarded")
    for origin, code in (("https://evil.test", 4505), ("null", 4505)):
        request = UPGRADE.format(event="guarded") + f"Origin: {origin}\r\nAuthorization: Bearer {token}\r\n\r\n"
        with server.connect() as one:
            one.sendall(request.encode())
            one.shutdown(socket.SHUT_WR)
            answer = read_all(one)
        # A browser sees the code only of a socket that was accepted.
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert struct.pack("!H", code) in answer
        assert b'"hello"' not in answer


def test_compression_is_not_agreed_to(server: Server) -> None:
    request = UPGRADE.format(event="game") + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    with server.connect() as one:
        one.sendall(request.encode())
        answer = one.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"permessage-deflate" not in answer.lower()


# The log


def test_log_injection(server: Server) -> None:
    source = server.address()
    for piece in ("%0a%7b%22event%22:%22fake%22%7d", "%1b%5b2J", "%e2%80%a8x", "%7f%c2%9b31m", "a" * 20_000):
        server.get(f"/log/{piece}", source=source)
    server.get("/log/end", source=source)
    server.says("http.answered", path="/log/end")
    lines = [line for line in server.log if source in line]
    assert len(lines) == 6
    for line in lines:
        assert len(line) < 2_000
        told = json.loads(line)
        assert told["event"] == "http.answered"
        assert told["path"].isprintable()


def test_secrets_do_not_reach_the_log(server: Server) -> None:
    token = server.token(jti="scrubbed-1")
    server.get(f"/hls/{token}/game/index.m3u8?sid=secret-query")
    server.get(f"/hls/{token}/game/main/0-0.ts?sid=secret-query", {"Cookie": "c=secret-cookie"})
    server.get(f"/hls/{token.replace('.', '%2E')}/game/index.m3u8")
    server.get(f"/elsewhere/{token}", {"Authorization": "Bearer secret-bearer", "Referer": f"http://x/{token}"})
    server.says("http.answered", path="/elsewhere/scrubbed-1")
    assert server.says("http.answered", path="/hls/scrubbed-1/game/main/0-0.ts")["status"] == 200
    log = "".join(server.log)
    for secret in (
        token.split(".")[2],
        token.split(".")[1],
        "secret-query",
        "secret-cookie",
        "secret-bearer",
        "whsec_",
    ):
        assert secret not in log
