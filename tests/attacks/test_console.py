"""Attacks on the operators' console: forms of other pages, planted cookies, frames, markup, guesses."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.attacks.server import PROXY, Answer, Server

HOST = "relay.test"
HERE = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
EVIL = "<img src=x onerror=alert(1)>"


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def token_of(answer: Answer) -> str:
    found = re.search(rb'name="token" value="([0-9a-f]{64})"', answer.body)
    assert found is not None
    return found[1].decode()


def post(
    server: Server, path: str, cookie: str, headers: dict[str, str], source: str | None = None, **form: str
) -> Answer:
    body = urlencode(form).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    return server.get(path, {**kind, **headers}, method="POST", body=body, source=source)


def log_in(server: Server, key: str | None = None, source: str | None = None, **headers: str) -> Answer:
    page = server.get("/console/login", headers, source=source)
    return post(
        server, "/console/login", cookie_of(page), {**HERE, **headers}, source,
        key=key or server.keys.operator_key(), token=token_of(page),
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"http://{HOST}"},
        {},
    ],
)
def test_forms_of_other_pages_do_nothing(server: Server, headers: dict[str, str]) -> None:
    cookie = cookie_of(log_in(server))
    token = token_of(server.get("/console/map", {"Cookie": cookie}))
    assert post(server, "/console/logout", cookie, headers, token=token).status == 403
    kick = {"account": "ann", "session": "s", "token": token}
    assert post(server, "/console/sessions/kick", cookie, headers, **kick).status == 403
    assert post(server, "/console/logout", cookie, HERE, token="0" * 64).status == 403
    assert server.get("/console/map", {"Cookie": cookie}).status == 200
    # The cookie goes along with no request that another site makes.
    assert "samesite=strict" in log_in(server).headers["set-cookie"].lower()
    assert post(server, "/console/logout", cookie, HERE, token=token).status == 303
    assert server.get("/console/map", {"Cookie": cookie}).status == 303


def test_an_identifier_that_was_planted_is_nobodys(server: Server) -> None:
    planted = cookie_of(server.get("/console/login"))
    page = server.get("/console/login", {"Cookie": planted})
    answer = post(
        server, "/console/login", planted, HERE, key=server.keys.operator_key(), token=token_of(page)
    )  # fmt: skip
    assert answer.status == 303
    assert cookie_of(answer) != planted
    assert server.get("/console/map", {"Cookie": planted}).status == 303
    assert server.get("/console/map", {"Cookie": cookie_of(answer)}).status == 200
    for made_up in ("lockstep-console=" + "A" * 43, "lockstep-console=", "lockstep-console=" + "A" * 5_000):
        assert server.get("/console/map", {"Cookie": made_up}).status == 303


def test_the_cookie_is_for_tls_alone_where_a_trusted_proxy_speaks_it(server: Server) -> None:
    forwarded = {"X-Forwarded-For": server.address(), "X-Forwarded-Proto": "https"}
    said = server.get("/console/login", forwarded, source=PROXY).headers["set-cookie"]
    assert said.startswith("__Host-")
    assert "Secure" in said
    # A stranger's word is none.
    assert "Secure" not in server.get("/console/login", forwarded).headers["set-cookie"]


def test_no_page_can_be_framed_or_run_a_script_that_stands_in_it(server: Server) -> None:
    cookie = cookie_of(log_in(server))
    pages = ("login", "map", "map?at=x", "sessions", "static/console.js")
    for path in ("/console", *(f"/console/{page}" for page in pages)):
        answer = server.get(path, {"Cookie": cookie})
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
        assert answer.headers["referrer-policy"] == "same-origin"


def test_markup_in_what_is_shown_stays_text(server: Server) -> None:
    key = server.keys.operator_key()
    zone: dict[str, Any] = {"type": "country", "code": "AQ", "name": EVIL, "action": "block"}
    made = server.get(
        "/api/v1/ppv/blackout", {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}, method="POST",
        body=json.dumps({"event_id": "guarded", "blackout_zones": [zone]}).encode(),
    )  # fmt: skip
    assert made.status == 201
    cookie = cookie_of(log_in(server))
    for query in (
        "event=guarded",
        f"event={quote(EVIL)}",
        f"event=guarded&lat={quote(EVIL)}&lon=1&region={quote(EVIL)}",
    ):
        body = server.get(f"/console/map?{query}", {"Cookie": cookie}).body
        assert b"<img src=x" not in body
        assert b"&lt;img src=x" in body
    name = json.loads(made.body)["blackout_id"]
    ended = server.get(
        f"/api/v1/ppv/blackout/{name}?forget=true", {"Authorization": f"Bearer {key}"}, method="DELETE"
    )  # fmt: skip
    assert ended.status == 204


def test_markup_in_an_account_s_name_stays_text(server: Server) -> None:
    token = server.token(account=EVIL, jti="j" * 22, session="s" * 22)
    assert server.get(f"/hls/{token}/game/index.m3u8", {"User-Agent": EVIL}).status == 200
    cookie = cookie_of(log_in(server))
    for query in ("", f"?q={quote(EVIL)}", f"?after={quote(EVIL)}&q={quote('<img')}"):
        body = server.get(f"/console/sessions{query}", {"Cookie": cookie}).body
        assert b"<img src=x" not in body
    assert b"&lt;img src=x" in server.get(f"/console/sessions?q={quote('<img')}", {"Cookie": cookie}).body


def test_guessing_keys_is_bounded(server: Server) -> None:
    source = server.address()
    statuses = [log_in(server, "lko_" + f"{number:043}", source).status for number in range(11)]
    assert statuses == [401] * 10 + [429]
    # Who has a key is let in nevertheless, and nobody else notices.
    assert log_in(server, None, source).status == 303
    assert log_in(server).status == 303


def test_neither_keys_nor_identifiers_reach_the_log(server: Server) -> None:
    seen = len(server.log)
    answer = log_in(server)
    log_in(server, "lko_" + "s" * 43)
    server.get(f"/console/map?event={server.keys.operator_key()}", {"Cookie": cookie_of(answer)})
    said = "".join(server.log[seen:])
    assert server.keys.operator_key() not in said
    assert "s" * 43 not in said
    assert cookie_of(answer).partition("=")[2] not in said
