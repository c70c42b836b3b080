"""The page of sessions: who watches, account by account; who has to go and why; and how to send somebody away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kernel.errors import BookUnavailable
from lockstep.console.door import ConsoleDoor, Visit
from lockstep.console.pages import HEADERS, PREFIX
from lockstep.console.watching import Lately, rows_of
from relay.io.session_desk import Dismisses
from relay.operators import OperatorScope
from relay.session_words import KICKED
from relay.sessions.book import SessionBook
from relay.sessions.policies import SessionPolicies

log = structlog.get_logger("console")

ACCOUNTS = 20
"""On a page; each is asked for its sessions each time that the page looks again, and has 64 of them at most."""

MAX_CHARS = 255
MAX_GRACE_S = 3_600


class SessionsPage:
    """Serve the page.

    Args:
        door: lets operators in.
        book: who watches.
        keeper: sends sessions away.
        policies: say who goes first.
        wall: the time of day in Unix seconds.
    """

    def __init__(
        self, door: ConsoleDoor, book: SessionBook, keeper: Dismisses, policies: SessionPolicies, *,
        wall: Callable[[], float],
    ) -> None:  # fmt: skip
        self._door = door
        self._book = book
        self._keeper = keeper
        self._policies = policies
        self._wall = wall
        self.lately = Lately()

    def heard(self, record: Sequence[Any]) -> None:
        """Take note of what the bus says of sessions."""
        self.lately.heard(record, now_ms=self._now_ms())

    def routes(self) -> list[Route]:
        """Return what the composition root mounts."""
        return [
            self._door.route("GET", f"{PREFIX}/sessions", self._list, OperatorScope.READ),
            self._door.route("POST", f"{PREFIX}/sessions/kick", self._kick, OperatorScope.SESSION),
        ]

    async def _list(self, visit: Visit) -> Response:
        query = visit.request.query_params
        return await self._page(visit, query.get("q", ""), query.get("after", ""))

    async def _kick(self, visit: Visit) -> Response:
        form = visit.form
        account, session, grace = form.get("account", ""), form.get("session", ""), form.get("grace", "0")
        if not (0 < len(account) <= MAX_CHARS and 0 < len(session) <= MAX_CHARS):
            return self._door.refusal(422, "An account and a session are expected.")
        if not (grace.isascii() and grace.isdecimal() and len(grace) <= 4 and int(grace) <= MAX_GRACE_S):
            return self._door.refusal(422, f"A grace of 0 to {MAX_GRACE_S} seconds is expected.")
        by = visit.operator.name
        try:
            gone = await self._keeper.dismiss(account, session, code=KICKED, by=by, grace_ms=1_000 * int(grace))
        except BookUnavailable:
            said = "It is not known at the moment who watches: nobody was sent away. Try again."
        else:
            said = "" if gone is not None else "That session is not there any more."
            if gone is not None:
                log.info("console.session_ended", session=session, account=account, by=by, grace_s=int(grace))
        q, after = form.get("q", ""), form.get("after", "")
        if visit.is_part:
            return await self._page(visit, q, after, said)
        where = f"{PREFIX}/sessions?{urlencode({'q': q, 'after': after})}"
        return RedirectResponse(where, 303, headers=dict(HEADERS))

    async def _page(self, visit: Visit, q: str, after: str, said: str = "") -> Response:
        q, after, more, found = q.strip()[:MAX_CHARS], after[:MAX_CHARS], False, []
        try:
            names, more = await self._accounts(q, after)
            found = list(zip(names, await asyncio.gather(*(self._book.of(name) for name in names)), strict=True))
        except BookUnavailable:
            said = said or "It is not known at the moment who watches."
        now_ms = self._now_ms()
        accounts = [
            (name, rows_of(sessions, self._policies, now_ms=now_ms)) for name, sessions in found if sessions
        ]  # fmt: skip
        return self._door.page(
            visit, "sessions_live.html" if visit.is_part else "sessions.html",
            here="sessions", q=q, after=after, accounts=accounts, said=said,
            next=found[-1][0] if more and found else None, lately=list(self.lately), now_ms=now_ms,
            may_kick=visit.may(OperatorScope.SESSION),
            link=lambda after: f"{PREFIX}/sessions?{urlencode({'q': q, 'after': after})}",
        )  # fmt: skip

    async def _accounts(self, q: str, after: str) -> tuple[list[str], bool]:
        """Return a page of accounts whose names begin with `q`, and whether there are more."""
        names = []
        if q and not after and await self._book.of(q):
            names.append(q)
        names += await self._book.accounts(max(after, q), ACCOUNTS + 1)
        names = [name for name in names if name.startswith(q)]
        return names[:ACCOUNTS], len(names) > ACCOUNTS

    def _now_ms(self) -> int:
        return round(1_000 * self._wall())
