from __future__ import annotations

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from lockstep.console.door import MAX_FORM_BYTES, Visit, comes_from_here
from relay.operators import Operator, OperatorScope, digest_of, operator_key
from tests.lockstep.console.rig import HERE, KEY, Rig, log_in, token_of

OTHER = operator_key(bytes(31) + b"\1")
PAGE, LOGIN = "/console/x", "/console/login"


def stand(*scopes: OperatorScope, burst: int = 1_000, url: str = "http://testserver") -> tuple[Rig, TestClient]:
    rig = Rig(*scopes, burst=burst, url=url)

    async def page(visit: Visit) -> Response:
        return Response(f"{visit.operator.name} {visit.token} {visit.form.get('a', '')} {visit.is_part}")

    routes = [rig.door.route("GET", PAGE, page), rig.door.route("POST", PAGE, page, OperatorScope.SESSION)]
    return rig, rig.browser(routes)


def test_who_is_not_logged_in_is_led_to_the_log_in() -> None:
    _, browser = stand()
    assert browser.get("/console").headers["location"] == "/console/map"
    assert browser.get(PAGE).headers["location"] == LOGIN
    part = browser.get(PAGE, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"], part.text) == (200, LOGIN, "")
    assert browser.post(PAGE, data={}, headers=HERE).headers["location"] == LOGIN


def test_one_logs_in_sees_pages_and_logs_out() -> None:
    rig, browser = stand()
    with capture_logs() as logs:
        answer = log_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/map")
    assert KEY not in str(logs) + answer.text + str(answer.headers)
    operator, token, *rest = browser.get(PAGE).text.split(" ")
    assert (operator, rest) == ("ops", ["", "False"])
    assert browser.get(LOGIN).status_code == 303
    assert browser.post("/console/logout", data={"token": token}, headers=HERE).headers["location"] == LOGIN
    assert len(rig.logins) == 0
    assert browser.get(PAGE).status_code == 303


def test_a_wrong_key_is_a_401_for_the_front_door_to_count() -> None:
    rig, browser = stand()
    for key in (OTHER, "", "lko_", "x" * 64):
        answer = log_in(browser, key)
        assert answer.status_code == 401
        assert "No operator has this key" in answer.text
    assert len(rig.logins) == 0


def test_a_log_in_renews_the_identifier_and_ends_the_former() -> None:
    rig, browser = stand()
    browser.get(LOGIN)
    before = browser.cookies["lockstep-console"]
    log_in(browser)
    first = browser.cookies["lockstep-console"]
    assert first != before
    stolen = rig.browser()
    stolen.cookies.set("lockstep-console", before)
    assert stolen.get("/console/login").status_code == 200


def test_two_log_in_pages_of_one_browser_both_work() -> None:
    _, browser = stand()
    first = token_of(browser.get(LOGIN).text)
    browser.get(LOGIN)
    assert browser.post(LOGIN, data={"key": KEY, "token": first}, headers=HERE).status_code == 303


def test_the_cookie_in_the_clear_and_over_tls() -> None:
    _, plain = stand()
    said = log_in(plain).headers["set-cookie"]
    assert said.startswith("lockstep-console=")
    assert {"HttpOnly", "Max-Age=43200", "Path=/console", "SameSite=strict"} <= set(said.split("; "))
    _, safe = stand(url="https://testserver")
    said = log_in(safe).headers["set-cookie"]
    assert said.startswith("__Host-lockstep-console=")
    assert {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=strict", "Secure"} <= set(said.split("; "))
    assert "Domain" not in said


def test_a_key_that_is_rotated_out_ends_what_it_began() -> None:
    rig, browser = stand()
    log_in(browser)
    rig.operators.replace([Operator("ops", digest_of(OTHER), frozenset(OperatorScope))])
    assert browser.get(PAGE).headers["location"] == LOGIN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "http://testserver.evil.test"},
        {"origin": "http://testserver", "sec-fetch-site": "cross-site"},
        {"origin": "http://evil.test", "sec-fetch-site": "same-origin"},
    ],
)
def test_forms_of_other_pages_do_nothing(headers: dict[str, str]) -> None:
    _, browser = stand()
    log_in(browser)
    token = browser.get(PAGE).text.split(" ")[1]
    answer = browser.post(PAGE, data={"a": "1", "token": token}, headers=headers)
    assert answer.status_code == 403
    assert "does not come from the console" in answer.text


@pytest.mark.parametrize("headers", [HERE, {"origin": "http://testserver"}, {**HERE, "origin": "http://testserver"}])
def test_our_own_forms_are_taken(headers: dict[str, str]) -> None:
    _, browser = stand()
    log_in(browser)
    token = browser.get(PAGE).text.split(" ")[1]
    assert browser.post(PAGE, data={"a": "1", "token": token}, headers=headers).text == f"ops {token} 1 False"
    assert browser.post(PAGE, data={"a": "1", "token": "0" * 64}, headers=headers).status_code == 403
    assert browser.post(PAGE, data={"a": "1"}, headers=headers).status_code == 403


def test_without_a_host_nothing_comes_from_here() -> None:
    assert not comes_from_here({"origin": "http://"})


def test_what_is_no_form_is_refused() -> None:
    _, browser = stand()
    log_in(browser)
    form = {**HERE, "content-type": "application/x-www-form-urlencoded"}
    assert browser.post(PAGE, content=b"{}", headers={**HERE, "content-type": "application/json"}).status_code == 415
    assert browser.post(PAGE, content=b"a" * (MAX_FORM_BYTES + 1), headers=form).status_code == 413
    assert browser.post(PAGE, content=b"\xff=\xff", headers=form).status_code == 400
    assert browser.post(PAGE, content=b"&".join([b"a=b"] * 100), headers=form).status_code == 400


def test_a_key_without_the_scope_is_told_so() -> None:
    _, browser = stand(OperatorScope.READ)
    log_in(browser)
    token = browser.get(PAGE).text.split(" ")[1]
    answer = browser.post(PAGE, data={"token": token}, headers=HERE)
    assert answer.status_code == 403
    assert "lacks the scope “session”" in answer.text


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    _, browser = stand(burst=2)
    log_in(browser)
    assert [browser.get(PAGE).status_code for _ in range(3)] == [200, 200, 429]
    assert browser.get(PAGE).headers["retry-after"] == "1"


def test_every_answer_keeps_browsers_from_harm() -> None:
    _, browser = stand()
    answers = [
        browser.get("/console"), browser.get(LOGIN), log_in(browser, OTHER), browser.post(LOGIN),
        browser.get("/console/static/console.js"),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
    assert answers[1].headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["nothing.js", "..%2fdoor.py", "login.html"])
def test_files_are_looked_up_and_nothing_else(name: str) -> None:
    _, browser = stand()
    assert browser.get(f"/console/static/{name}").status_code == 404
