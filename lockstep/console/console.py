"""The console put together: its door and its pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import structlog
from starlette.routing import Route

from kernel.bus import Bus, sessions_signal
from kernel.errors import SettingsError
from kernel.io.system_time import new_id, new_key, wall
from kernel.showings import Showing
from lockstep.console.door import ConsoleDoor
from lockstep.console.logins import Logins
from lockstep.console.map_page import MapPage
from lockstep.console.pages import PREFIX, Assets, Pages, read_assets, ui_folder
from lockstep.console.sessions_page import SessionsPage
from relay.blackouts import BlackoutIndex
from relay.io.session_keeper import SessionKeeper
from relay.operators import Operators
from relay.quota import Quota
from relay.sessions.policies import SessionPolicies
from relay.whereabouts import Locates

log = structlog.get_logger("console")

TABS = [("sessions", "Sessions"), ("map", "Blackouts")]
"""Names and titles of the pages; one comes to the first."""


@cache
def read_console() -> Assets | None:
    """Read, once, what the console is made up of; None where that is not there, as in a bare working copy."""
    try:
        return read_assets(ui_folder())
    except SettingsError as error:
        log.warning("console.absent", error=str(error))
        return None


class Console:
    """Serve operators who have a browser.

    Args:
        assets: what pages are made up of.
        operators: whose keys are taken.
        quota: how often each may ask.
        bus: tells who was refused or has to go.
        keeper: knows who watches.
        policies: say who goes first.
        blackouts: those that there are.
        locator: knows where addresses are.
        showings: those that there are, by event id.
        now: seconds that never step back.
    """

    def __init__(
        self, assets: Assets, operators: Operators, quota: Quota, *, bus: Bus, keeper: SessionKeeper,
        policies: SessionPolicies, blackouts: BlackoutIndex, locator: Locates, showings: Mapping[str, Showing],
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        logins = Logins(operators, new_id=lambda: new_id(32), secret=new_key())
        door = ConsoleDoor(logins, Pages(assets, TABS), quota=quota, wall=wall, now=now)
        sessions = SessionsPage(door, keeper.book, keeper, policies, wall=wall)
        # For as long as the bus is there.
        bus.listen(sessions_signal(), sessions.heard)
        places = MapPage(door, blackouts, locator, showings, wall=wall)
        self._routes = [*door.routes(f"{PREFIX}/{TABS[0][0]}"), *sessions.routes(), *places.routes()]

    def routes(self) -> list[Route]:
        """Return what the composition root mounts."""
        return [*self._routes]
