"""Which vendors we read: a source's `vendor` in the settings is a key here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feeds.vendors import lockstep, nba

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feeds.vendors.contract import Adapter

ADAPTERS: Mapping[str, Adapter] = {
    "lockstep": lockstep.adapt,
    "nba": nba.adapt,
}
