"""Where an address is: databases and lists together, out of memory.

* `locate` never asks anybody outside the process, never waits, and never raises, whatever the text. A text that was
  asked for lately costs a look-up in a dictionary.
* What is remembered is bounded, in two halves: when the younger is full, the older one goes, but for what was asked for
  meanwhile. Everything is thrown away when a database or a list changes.
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
from relay.place.addresses import MAX_CHARS, read_address
from relay.place.geo_records import UNKNOWN, CityFacts
from relay.place.model import IpPlace, NetworkClass
from relay.place.networks import Networks

log = structlog.get_logger("place")

RELOAD_S = 5.0
"""A file that changes is taken up after one to two of these."""

REMEMBERED = 65_536
"""Places, at some 600 bytes each: more viewers than one process can send video to."""

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
        remembered: how many places are remembered at most.

    Raises:
        SettingsError: there are databases, and maxminddb came without its C extension.
    """

    def __init__(
        self, files: PlaceFiles = PlaceFiles(), *, reload_s: float = RELOAD_S, remembered: int = REMEMBERED
    ) -> None:
        self.databases = GeoDatabases(files.databases)
        self.lists = PlaceLists(files.lists)
        self.version = ""
        self.cold = 0
        self._reload_s = reload_s
        self._half = max(1, remembered // 2)
        self._young: dict[str, IpPlace] = {}
        self._old: dict[str, IpPlace] = {}
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
        place = self._young.get(address)
        return place if place is not None else self._remember(address)

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
        self._young, self._old = {}, {}
        self._city, self._asn, self._anonymous = map(self.databases.in_use, DatabaseKind)
        self._networks = self.lists.networks()
        self._fresh.set()
        self.version = " ".join([
            *(str(file.value) for file in self.databases.files.values() if file.is_open),
            *(f"{member}:{file.value.digest}" for member, file in self.lists.files if file.is_open),
        ])  # fmt: skip

    def _remember(self, text: str) -> IpPlace:
        place = self._old.get(text)
        if place is None:
            place = self.look_up(text)
            if len(text) > MAX_CHARS:
                # No address, and as long as whoever wrote it likes.
                return place
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[text] = place
        return place

    def look_up(self, text: str) -> IpPlace:
        """Return the same as `locate`, whatever is remembered; nothing is."""
        self.cold += 1
        address = read_address(text)
        if address is None:
            return UNREADABLE
        if not address.is_public:
            return IpPlace(address.text, is_public=False)
        facts: CityFacts = UNKNOWN
        asn: int | None = None
        classes = _NO_CLASS
        if self._city is not None:
            facts = self._city.said(address)
        if self._asn is not None:
            asn = self._asn.said(address)
        if self._anonymous is not None:
            classes = self._anonymous.said(address)
        for member, networks in self._networks:
            if networks.holds(address):
                classes |= {member}
        country, region, city, postcode, point, accuracy_m, metro, said = facts
        return IpPlace(
            address.text, country, region, city, postcode, point, accuracy_m, metro,
            said if asn is None else asn, classes, shared=facts,
        )  # fmt: skip


_NO_CLASS: frozenset[NetworkClass] = frozenset()
