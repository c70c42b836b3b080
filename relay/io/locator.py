"""Where an address is: databases and lists together, out of memory.

* `locate` never asks anybody outside the process, never waits, and never raises, whatever the text.
* No place is remembered here: whoever asks for a session's keeps it with the session (`relay/whereabouts.py`), and
  looking it up costs hardly more than finding it among a hundred thousand others would.
* A database says what an address belongs to in general; a list adds to that, and takes nothing away.
* `version` names every database by its type and build time, and every list by its digest: whoever has the same ones
  gets the same answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from relay.io.geo_databases import DatabaseKind, GeoDatabases
from relay.io.place_lists import PlaceLists
from relay.place.addresses import read_address
from relay.place.model import NOWHERE, IpPlace, NetworkClass
from relay.place.networks import Networks

log = structlog.get_logger("place")

RELOAD_S = 5.0
"""A file that changes is taken up after one to two of these."""

UNREADABLE = IpPlace("", is_public=False)
"""The place of what is no address."""


@dataclass(frozen=True, slots=True)
class PlaceFiles:
    """What a locator reads; all of it may be left out.

    Args:
        databases: by kind.
        lists: by the class whose members they name.
    """

    databases: Mapping[DatabaseKind, Path] = field(default_factory=dict)
    lists: Mapping[NetworkClass, Sequence[Path]] = field(default_factory=dict)


class Locator:
    """Say where addresses are. Call `open` before anything else.

    Args:
        files: what is read.
        reload_s: seconds between two looks at the files.

    Raises:
        SettingsError: there are databases, and maxminddb came without its C extension.
    """

    def __init__(self, files: PlaceFiles = PlaceFiles(), *, reload_s: float = RELOAD_S) -> None:
        self.databases = GeoDatabases(files.databases)
        self.lists = PlaceLists(files.lists)
        self.version = ""
        self.lookups = 0
        self._reload_s = reload_s
        self._asked = asyncio.Event()
        self._fresh = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._networks: list[tuple[NetworkClass, Networks]] = []
        self._begin()

    def open(self) -> None:
        """Read everything for the first time, waiting for the disk.

        Raises:
            SettingsError: a file cannot be read, or is not what it should be.
        """
        self.databases.open()
        self.lists.open()
        self._begin()

    def close(self) -> None:
        """Let go of the memory of the databases; nothing is located afterwards."""
        self.databases.close()

    def locate(self, address: str) -> IpPlace:
        """Return what is known of an address; of a text that is none, that it is not public.

        Args:
            address: as the front door knows it.
        """
        self.lookups += 1
        known = read_address(address)
        if known is None:
            return UNREADABLE
        if not known.is_public:
            return IpPlace(known.text, is_public=False)
        where = NOWHERE if self._city is None else self._city.said(known)
        asn = where.asn
        if self._asn is not None:
            said = self._asn.said(known)
            asn = asn if said is None else said
        classes = _NO_CLASS if self._anonymous is None else self._anonymous.said(known)
        for member, networks in self._networks:
            if networks.holds(known):
                classes |= {member}
        return IpPlace(known.text, where, asn, classes)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever places may have changed. It must not raise."""
        self._listeners.append(listener)

    def look(self) -> None:
        """Look at the files now."""
        self._asked.set()

    async def run(self) -> None:
        """Look after the files for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._index())

    async def _index(self) -> None:
        while True:
            self._fresh.clear()
            await self.databases.index()
            await self._fresh.wait()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._reload_s):
                    await self._asked.wait()
            self._asked.clear()
            await self.refresh()

    async def refresh(self) -> bool:
        """Take up files that have changed and are at rest; return whether there were any."""
        replaced = await self.databases.look()
        changed = await self.lists.look()
        if not replaced and not changed:
            return False
        self._begin()
        for listener in self._listeners:
            listener()
        for database in replaced:
            # Nobody has it any more; giving back a hundred megabytes takes a while.
            await asyncio.to_thread(database.close)
        return True

    def _begin(self) -> None:
        """Begin anew with what the files say now."""
        self._city, self._asn, self._anonymous = map(self.databases.in_use, DatabaseKind)
        self._networks = self.lists.networks()
        self._fresh.set()
        self.version = " ".join([
            *(str(file.value) for file in self.databases.files.values() if file.is_open),
            *(f"{member}:{file.value.digest}" for member, file in self.lists.files if file.is_open),
        ])  # fmt: skip


_NO_CLASS: frozenset[NetworkClass] = frozenset()
