"""Looks at two origins, whether one can stand in the other's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from kernel.io.playlists import OriginReader
from relay.fitting import Make, make_of, misfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kernel.io.origin import Fetcher
    from kernel.showings import Showing

log = structlog.get_logger("blackouts")

MAX_AGE_S = 10.0
"""How old a copy of a playlist may be that somebody else has fetched, in seconds."""


class FitCheck:
    """Tell why a showing cannot stand in another one's place.

    Args:
        fetcher: the process's only one.
        showings: those that there are, by event id.
        now: seconds that never step back.
    """

    def __init__(self, fetcher: Fetcher, showings: Mapping[str, Showing], *, now: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._showings = showings
        self._now = now

    async def __call__(self, event_id: str, redirect: str) -> str | None:
        """Return why `redirect` cannot stand in the place of `event_id`; None if it can, or nothing is on air yet."""
        made = [await self._make(name) for name in (event_id, redirect)]
        showing, other = made
        if showing is None or other is None:
            # Blackouts are made ahead of the game.
            log.warning("blackout.not_compared", event_id=event_id, redirect=redirect)
            return None
        return misfit(showing, other)

    async def _make(self, event_id: str) -> Make | None:
        showing = self._showings.get(event_id)
        if showing is None:
            return None
        reader = OriginReader(self._fetcher, showing.origin, event_id=event_id, now=self._now)
        top = await reader.read_top(max_age_s=MAX_AGE_S)
        copy = await reader.read_lead(max_age_s=MAX_AGE_S)
        if top is None or copy is None:
            return None
        return make_of(top.playlist, top.resolve, copy.playlist)
