"""The console put together: its door and its pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import structlog
from starlette.routing import Route

from kernel.errors import SettingsError
from kernel.io.system_time import new_id, new_key, wall
from kernel.showings import Showing
from lockstep.console.door import ConsoleDoor
from lockstep.console.logins import Logins
from lockstep.console.map_page import MapPage
from lockstep.console.pages import PREFIX, Assets, Pages, read_assets, ui_folder
from relay.blackouts import BlackoutIndex
from relay.operators import Operators
from relay.quota import Quota
from relay.whereabouts import Locates

log = structlog.get_logger("console")


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
        blackouts: those that there are.
        locator: knows where addresses are.
        showings: those that there are, by event id.
        now: seconds that never step back.
    """

    def __init__(
        self, assets: Assets, operators: Operators, quota: Quota, *, blackouts: BlackoutIndex, locator: Locates,
        showings: Mapping[str, Showing], now: Callable[[], float],
    ) -> None:  # fmt: skip
        logins = Logins(operators, new_id=lambda: new_id(32), secret=new_key())
        self._tabs = [("map", "Blackouts")]
        pages = Pages(assets, self._tabs)
        self._door = ConsoleDoor(logins, pages, quota=quota, wall=wall, now=now)
        self._map = MapPage(self._door, blackouts, locator, showings, wall=wall)

    def routes(self) -> list[Route]:
        """Return what the composition root mounts."""
        return [*self._door.routes(f"{PREFIX}/{self._tabs[0][0]}"), *self._map.routes()]
