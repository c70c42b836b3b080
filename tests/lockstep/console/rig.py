"""The console without a server around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from kernel.io.http import exception_handlers
from kernel.io.system_time import new_id
from lockstep.console.door import ConsoleDoor
from lockstep.console.logins import Logins
from lockstep.console.pages import Pages, read_assets, ui_folder
from relay.operators import Operator, Operators, OperatorScope, digest_of, operator_key
from relay.quota import Quota, QuotaLimits

KEY = operator_key(bytes(32))
NOW = 1_790_000_000.0
ASSETS = read_assets(ui_folder())
TABS = [("sessions", "Sessions"), ("map", "Blackouts")]
HERE = {"sec-fetch-site": "same-origin"}
_TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


class Rig:
    """A door, an operator, a browser."""

    def __init__(
        self, *scopes: OperatorScope, burst: int = 1_000, name: str = "ops", url: str = "http://testserver"
    ) -> None:  # fmt: skip
        self.now = NOW
        self.operators = Operators([Operator(name, digest_of(KEY), frozenset(scopes or OperatorScope))])
        self.logins = Logins(self.operators, new_id=lambda: new_id(32), secret=bytes(32))
        self.pages = Pages(ASSETS, TABS)
        self.door = ConsoleDoor(
            self.logins, self.pages, quota=Quota(QuotaLimits(1.0, burst)), wall=lambda: self.now, now=lambda: self.now
        )
        self.url = url

    def browser(self, routes: Sequence[Route] = ()) -> TestClient:
        """Return a browser that follows nothing by itself."""
        app = Starlette(routes=[*self.door.routes("/console/map"), *routes], exception_handlers=exception_handlers)
        return TestClient(app, base_url=self.url, follow_redirects=False)


def token_of(page: str) -> str:
    """Return the token of a page's forms."""
    found = _TOKEN.search(page)
    assert found is not None, page
    return found[1]


def log_in(browser: TestClient, key: str = KEY, **headers: str) -> Any:
    """Log in as a browser does."""
    token = token_of(browser.get("/console/login").text)
    return browser.post("/console/login", data={"key": key, "token": token}, headers={**HERE, **headers})
