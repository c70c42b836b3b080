from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from kernel.errors import BookUnavailable
from lockstep.console.sessions_page import ACCOUNTS, SessionsPage
from relay.operators import OperatorScope
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Limit, Session, Wish
from relay.sessions.policies import SessionPolicies
from tests.lockstep.console.rig import HERE, Rig, log_in, token_of

EVIL = '"><img src=x onerror=alert(1)>'
PATH = "/console/sessions"


class Lost(MemoryBook):
    """A book that cannot be asked."""

    lost = False

    async def of(self, account: str) -> list[Session]:
        if self.lost:
            raise BookUnavailable("lost")
        return await super().of(account)

    async def accounts(self, after: str, count: int) -> list[str]:
        if self.lost:
            raise BookUnavailable("lost")
        return await super().accounts(after, count)

    async def dismiss(self, account: str, session: str, **more: Any) -> Session | None:
        if self.lost:
            raise BookUnavailable("lost")
        return await super().dismiss(account, session, **more)


class Watched:
    def __init__(self, *scopes: OperatorScope, name: str = "ops") -> None:
        self.rig = Rig(*scopes, name=name)
        self.book = Lost(wall=lambda: self.rig.now)
        self.page = SessionsPage(self.rig.door, self.book, self.book, SessionPolicies(), wall=lambda: self.rig.now)
        self.browser: TestClient = self.rig.browser(self.page.routes())
        log_in(self.browser)

    def sit(self, account: str, session: str, **about: str) -> None:
        until_ms = round(1_000 * self.rig.now) + 3_600_000
        wish = Wish(account, session, "game", (Limit("event:game", 3),), until_ms, 3_600_000, about)
        asyncio.run(self.book.admit(wish))

    def see(self, **query: str) -> str:
        answer = self.browser.get(PATH, params=query)
        assert answer.status_code == 200
        return answer.text

    def kick(self, headers: dict[str, str] | None = None, **form: str) -> Any:
        said = {"token": token_of(self.see()), **form}
        return self.browser.post(f"{PATH}/kick", data=said, headers={**HERE, **(headers or {})})

    def here(self, account: str) -> list[Session]:
        return asyncio.run(self.book.of(account))


def accounts(page: str) -> list[str]:
    return re.findall(r'data-account="([^"]+)"', page)


def test_accounts_and_their_sessions() -> None:
    one = Watched()
    one.sit("ann", "s1", device="phone", place="Pasadena, US-CA", network="192.0.2.0/24")
    one.rig.now += 65
    one.sit("ann", "s2")
    page = one.see()
    assert accounts(page) == ["ann"]
    assert re.findall(r'data-session="(\w+)"', page) == ["s1", "s2"]
    for words in ("phone", "Pasadena, US-CA · 192.0.2.0/24", "1 min 5 s", "2 sessions", "first", "as number 2"):
        assert words in page
    assert 'hx-trigger="every 2s"' in page


def test_nobody() -> None:
    assert "Nobody watches." in Watched().see()
    assert "Nobody watches whose account begins with “x”." in Watched().see(q="x")


def test_accounts_are_paged_and_searched() -> None:
    one = Watched()
    for number in range(2 * ACCOUNTS + 5):
        one.sit(f"user{number:03}", "s")
    one.sit("ann", "s")
    one.sit("anna", "s")
    first = one.see()
    assert len(accounts(first)) == ACCOUNTS
    link = re.search(r'href="([^"]+)" rel="next"', first)
    assert link is not None
    second = one.browser.get(link[1].replace("&amp;", "&")).text
    assert accounts(second)[0] > accounts(first)[-1]
    assert "First page" in second
    assert accounts(one.see(q="ann")) == ["ann", "anna"]
    assert accounts(one.see(q="user04")) == [f"user04{n}" for n in range(5)]
    assert 'rel="next"' not in one.see(q="user04")


def test_a_part_is_what_changes() -> None:
    one = Watched()
    one.sit("ann", "s1")
    part = one.browser.get(PATH, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert accounts(part) == ["ann"]


def test_a_kick_is_in_the_operator_s_name_with_a_grace() -> None:
    one = Watched(name="ann-ops")
    one.sit("ann", "s1")
    with capture_logs() as logs:
        part = one.kick({"HX-Request": "true"}, account="ann", session="s1", grace="30").text
    assert 'data-left-ms="30000"' in part
    assert "sent away by an operator, by ann-ops" in part
    assert "Cut now" in part
    (leaving,) = [session.leaving for session in one.here("ann")]
    assert leaving is not None
    assert (leaving.code, leaving.by) == ("kicked", "ann-ops")
    assert logs[-1]["event"] == "console.session_ended"
    assert one.kick(account="ann", session="s1", grace="0", q="a").headers["location"] == f"{PATH}?q=a&after="
    assert one.here("ann") == []


@pytest.mark.parametrize(
    "form",
    [
        {"account": "ann"},
        {"session": "s1"},
        {"account": "ann", "session": "s" * 256},
        {"account": "ann", "session": "s1", "grace": "-1"},
        {"account": "ann", "session": "s1", "grace": "3601"},
        {"account": "ann", "session": "s1", "grace": "99999"},
        {"account": "ann", "session": "s1", "grace": "\u0661"},
    ],
)
def test_what_is_no_kick_is_refused(form: dict[str, str]) -> None:
    one = Watched()
    one.sit("ann", "s1")
    assert one.kick(None, **form).status_code == 422
    assert one.here("ann")[0].leaving is None


def test_a_session_that_has_gone_is_said_to_have() -> None:
    assert "not there any more" in Watched().kick({"HX-Request": "true"}, account="ann", session="s").text


def test_without_the_scope_there_is_no_button_and_no_kick() -> None:
    one = Watched(OperatorScope.READ)
    one.sit("ann", "s1")
    assert "kick-s1" not in one.see()
    assert one.kick(account="ann", session="s1").status_code == 403
    assert one.here("ann")[0].leaving is None
    assert Watched(OperatorScope.SESSION).browser.get(PATH).status_code == 403


def test_who_was_refused_and_why() -> None:
    one = Watched()
    one.page.heard(["refused", "bob", "s9", "game", 0, "session_limit", "event:game", "", 0])
    one.rig.now += 3
    page = one.see()
    assert "<b>bob</b> · game: more sessions than are allowed at a time" in page
    assert "3 s ago · event:game · s9" in page


def test_a_book_that_cannot_be_asked_is_said_to_be_lost() -> None:
    one = Watched()
    one.sit("ann", "s1")
    token = token_of(one.see())
    one.book.lost = True
    assert "not known at the moment who watches" in one.see()
    said = one.browser.post(
        f"{PATH}/kick", data={"token": token, "account": "ann", "session": "s1"},
        headers={**HERE, "HX-Request": "true"},
    ).text  # fmt: skip
    assert "nobody was sent away" in said


def test_markup_in_names_and_abouts_stays_text() -> None:
    one = Watched()
    one.sit(EVIL, "s1", device=EVIL, place=EVIL, network=EVIL)
    one.page.heard(["leaving", EVIL, EVIL, EVIL, 0, EVIL, EVIL, EVIL, 0])
    page = one.see() + one.see(q=EVIL, after=EVIL) + one.see(q='"><')
    assert "<img" not in page.replace('<img src="/console/static/mark.svg"', "")
    assert "&lt;img src=x" in page
