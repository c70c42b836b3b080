"""The console's door: who may come in, by which cookie, and whether a form is one of ours.

* One logs in by an operator's key in a form; it is never in a URL, a log or a page. A wrong one is answered 401, which
  the front door counts against the address (lockstep/reception.py).
* The cookie is HttpOnly, SameSite=Strict, for this host alone, and Secure where the client speaks TLS.
* A form counts if the browser says that it comes from here (Sec-Fetch-Site, Origin), and if it bears the token that
  belongs to the cookie.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kernel.io.http import peer_address, problem, read_body
from lockstep.console.logins import LIFE_S, Logins
from lockstep.console.pages import HEADERS, PREFIX, Pages
from relay.operators import Operator, OperatorScope
from relay.quota import Quota

log = structlog.get_logger("console")

MAX_FORM_BYTES = 8 << 10
MAX_FIELDS = 20
_COOKIE = "lockstep-console"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is logged in.

    Args:
        request: as it came.
        operator: who.
        token: for forms.
        form: what was sent, empty unless something was.
    """

    request: Request
    operator: Operator
    token: str
    form: Mapping[str, str]

    @property
    def is_part(self) -> bool:
        """Return whether a part of a page is asked for, to be put into one that is there."""
        return self.request.headers.get("hx-request") == "true"

    def may(self, scope: OperatorScope) -> bool:
        """Return whether the operator's key has a scope."""
        return scope in self.operator.scopes


Answer = Callable[[Visit], Awaitable[Response]]


class ConsoleDoor:
    """Let operators in to the console.

    Args:
        logins: who is logged in.
        pages: makes pages.
        quota: how often each operator may ask; the one of the operators' door.
        wall: the time of day in Unix seconds.
        now: seconds that never step back.
    """

    def __init__(
        self, logins: Logins, pages: Pages, *, quota: Quota, wall: Callable[[], float], now: Callable[[], float]
    ) -> None:  # fmt: skip
        self._logins = logins
        self.pages = pages
        self._quota = quota
        self._wall = wall
        self._now = now

    def routes(self, first: str) -> list[Route]:
        """Return the door's own routes; `first` is the page that one comes to."""

        async def home(_: Request) -> Response:
            return _go(first)

        async def ask(request: Request) -> Response:
            return _go(first) if self._operator(request) is not None else self._log_in_page(request)

        async def log_in(request: Request) -> Response:
            return await self._log_in(request, first)

        async def log_out(visit: Visit) -> Response:
            self._logins.end(_cookie(visit.request))
            log.info("console.logged_out", operator=visit.operator.name)
            return self._with_cookie(visit.request, _go(f"{PREFIX}/login"), "", 0)

        async def static(request: Request) -> Response:
            return self.pages.static(request.path_params["name"]) or problem(404, "Not Found")

        return [
            Route(PREFIX, home, methods=["GET"]),
            Route(f"{PREFIX}/", home, methods=["GET"]),
            Route(f"{PREFIX}/login", ask, methods=["GET"]),
            Route(f"{PREFIX}/login", log_in, methods=["POST"]),
            self.route("POST", f"{PREFIX}/logout", log_out),
            Route(f"{PREFIX}/static/{{name}}", static, methods=["GET"]),
        ]

    def route(self, method: str, path: str, answer: Answer, scope: OperatorScope | None = None) -> Route:
        """Return a route that only who is logged in comes to, and whose key has the scope."""

        async def endpoint(request: Request) -> Response:
            operator = self._operator(request)
            if operator is None:
                return self._turned_away(request)
            name = _cookie(request)
            assert name is not None  # by it the operator was found
            form: Mapping[str, str] = {}
            if method == "POST":
                sent = await self._form(request)
                if isinstance(sent, Response):
                    return sent
                form = sent
            if scope is not None and scope not in operator.scopes:
                return self.refusal(403, f"Your key lacks the scope “{scope}”.")
            wait_s = self._quota.wait_s(operator.name, now=self._now())
            if wait_s:
                return self.refusal(429, "You ask more often than the settings allow.", {"Retry-After": str(wait_s)})
            return await answer(Visit(request, operator, self._logins.token(name), form))

        return Route(path, endpoint, methods=[method])

    def page(self, visit: Visit, template: str, **values: Any) -> Response:
        """Return a page, or a part of one, for somebody."""
        return self.pages.page(template, {"operator": visit.operator.name, "token": visit.token, **values})

    def refusal(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return a page that says why not."""
        return self.pages.page("refused.html", {"status": status, "why": why}, status=status, headers=headers)

    def _operator(self, request: Request) -> Operator | None:
        return self._logins.find(_cookie(request), wall=self._wall(), now=self._now())

    async def _log_in(self, request: Request, first: str) -> Response:
        form = await self._form(request)
        if isinstance(form, Response):
            return form
        name = self._logins.begin(form.get("key", "").strip(), wall=self._wall(), now=self._now())
        if name is None:
            log.warning("console.login_refused", peer=peer_address(request.scope))
            return self._log_in_page(request, 401, "No operator has this key.")
        # Whoever knew the identifier from before the log-in knows nothing now.
        self._logins.end(_cookie(request))
        operator = self._logins.find(name, wall=self._wall(), now=self._now())
        log.info("console.logged_in", operator=operator.name if operator else "", peer=peer_address(request.scope))
        return self._with_cookie(request, _go(first), name, int(LIFE_S))

    def _log_in_page(self, request: Request, status: int = 200, wrong: str = "") -> Response:
        # Two pages may be open: the form of the one must not spoil the other's.
        name = self._logins.visit(_cookie(request))
        headers = {"WWW-Authenticate": "LockstepConsole"} if status == 401 else {}
        values = {"token": self._logins.token(name), "wrong": wrong}
        page = self.pages.page("login.html", values, status=status, headers=headers)
        return self._with_cookie(request, page, name, 3_600)

    async def _form(self, request: Request) -> Mapping[str, str] | Response:
        """Return what a form says, or the answer to one that is none of ours."""
        if not comes_from_here(request.headers):
            return self.refusal(403, "This form does not come from the console.")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return self.refusal(415, "A form is expected.")
        body = await read_body(request, MAX_FORM_BYTES)
        if body is None:
            return self.refusal(413, "That is too much for a form.")
        try:
            form = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            return self.refusal(400, "The form cannot be read.")
        if not self._logins.is_token(_cookie(request), form.pop("token", "")):
            return self.refusal(403, "This page is too old: open it again.")
        return form

    def _turned_away(self, request: Request) -> Response:
        if request.headers.get("hx-request") == "true":
            return Response(headers={**HEADERS, "HX-Redirect": f"{PREFIX}/login"})
        return _go(f"{PREFIX}/login")

    def _with_cookie(self, request: Request, answer: Response, value: str, age_s: int) -> Response:
        answer.set_cookie(
            _cookie_name(request), value, max_age=age_s, path=_cookie_path(request), secure=_is_secure(request),
            httponly=True, samesite="strict",
        )  # fmt: skip
        return answer


def comes_from_here(headers: Mapping[str, str]) -> bool:
    """Return whether a browser says that a request comes from a page of this host.

    One of Origin and Sec-Fetch-Site is sent with every form by every browser of these years; whoever sends neither is
    none, or hides something.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    return site is not None


def _go(where: str) -> Response:
    return RedirectResponse(where, 303, headers=dict(HEADERS))


def _is_secure(request: Request) -> bool:
    return str(request.scope.get("scheme")) == "https"


def _cookie_name(request: Request) -> str:
    # RFC 6265bis, 4.1.3.2: no other host, and nobody on the way without TLS, can have set it.
    return f"__Host-{_COOKIE}" if _is_secure(request) else _COOKIE


def _cookie_path(request: Request) -> str:
    return "/" if _is_secure(request) else PREFIX


def _cookie(request: Request) -> str | None:
    return request.cookies.get(_cookie_name(request))
