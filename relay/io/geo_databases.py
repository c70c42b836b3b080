"""Place databases: what they say of an address, from memory; the owner of maxminddb.

* The C extension maps files into memory, and in pure Python a look-up takes fifty times as long: without the extension
  nothing starts. It cannot read from memory, so it is handed a copy that has no name and lives in memory alone
  (memfd). The file itself may then be deleted, truncated or overwritten at any moment, which would end a process that
  has it mapped (SIGBUS), and no look-up on the loop ever waits for the disk. It costs as much memory as the file is
  large, twice that while one follows another.
* Where a record lies is found by a search of our own (`relay.place.geo_tree`), and what was made of it is remembered:
  decoding a city's names takes five times as long. For IPv4 there is a table (`relay.place.geo_table`), made by a child
  that reads the same memory; until that is done, and where it fails, the tree is followed.
* A database is tried before it is used: its type must be of the kind wanted, and a thousand addresses all over the
  Internet must be answered by records, or by nothing. What is corrupt beyond that turns up as a fault of a look-up,
  which is counted and means: unknown.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import maxminddb
import structlog

from kernel.errors import DecodeError, SettingsError
from relay.io.kept_files import KeptFile
from relay.io.packed_child import child_of, packed
from relay.place.addresses import Address, read_address
from relay.place.geo_records import asn_of, city_facts, classes_of
from relay.place.geo_table import PACKED, RecordTable, table_of
from relay.place.geo_tree import SearchTree

try:
    from maxminddb.extension import Reader
except ImportError:
    Reader = None  # type: ignore[assignment, misc]

log = structlog.get_logger("place")

MAX_BYTES = 2 << 30
"""City databases have 60 to 150 MB, MaxMind's Enterprise 500."""

MAX_FACTS = 65_536
"""Records whose facts are remembered, some 400 bytes each."""

SMALL_NODES = 2_048
"""A database of so few has its table at once: making it takes two milliseconds."""

_CHILD = child_of("relay.io.geo_table_child")
_NEW = object()
_PROBES = 1_024
_PROBES_A_PIECE = 64
_PAUSE_S = 0.001
_COPY_BYTES = 8 << 20


class DatabaseKind(StrEnum):
    """What a database is asked for."""

    CITY = "city"
    ASN = "asn"
    ANONYMOUS = "anonymous"


_TYPES: Mapping[DatabaseKind, tuple[str, ...]] = {
    # DB-IP: DBIP-City-Lite, DBIP-Location (compat=City), DBIP-Location-ISP (compat=Enterprise)
    DatabaseKind.CITY: ("City", "Enterprise", "Country", "Location"),
    # DB-IP: DBIP-ASN-Lite (compat=GeoLite2-ASN), DBIP-ISP (compat=Enterprise)
    DatabaseKind.ASN: ("ASN", "ISP"),
    # Others that call themselves anonymous have other fields, and would silently say nothing.
    DatabaseKind.ANONYMOUS: ("Anonymous-IP", "Anonymous-Plus"),
}
"""A database's type contains one of these."""


class GeoDatabase:
    """One database, in memory. Make it with `open_database`.

    Args:
        kind: what it is asked for.
        reader: of the copy.
        copy: the copy's file descriptor; closed by us.

    Raises:
        ValueError: its search tree is none.
    """

    def __init__(self, kind: DatabaseKind, reader: maxminddb.Reader, copy: int) -> None:
        metadata = reader.metadata()
        self.kind = kind
        self.database_type = str(metadata.database_type)
        self.built_at = int(metadata.build_epoch)
        self.with_districts = self.database_type.startswith("DBIP")
        self.faults = 0
        self._reader = reader
        self._get = reader.get
        self._copy = copy
        self._holds_ipv6 = metadata.ip_version == 6
        self._mapped = mmap.mmap(copy, 0, access=mmap.ACCESS_READ)
        self._body = memoryview(self._mapped)
        self._tree = SearchTree(
            self._body, n_nodes=metadata.node_count, record_bits=metadata.record_size, holds_ipv6=self._holds_ipv6
        )
        self._layout = (metadata.node_count, metadata.record_size, int(self._holds_ipv6))
        self._table: RecordTable | None = None
        self._is_indexed = False
        # What was made of records, found by their numbers in the tree, and by their places in the table.
        self._facts: dict[int, Any] = {}
        self._by_place: list[Any] = []
        self._n_learnt = 0
        readers: Mapping[DatabaseKind, Callable[[object], Any]] = {
            DatabaseKind.CITY: partial(city_facts, with_districts=self.with_districts),
            DatabaseKind.ASN: asn_of,
            DatabaseKind.ANONYMOUS: classes_of,
        }
        self._read = readers[kind]
        self._nothing = self._read(None)

    def __str__(self) -> str:
        return f"{self.kind}:{self.database_type}@{self.built_at}"

    def get(self, address: str) -> object:
        """Return the record of a canonical address, None if it has none, or it is corrupt there."""
        try:
            return self._get(address)
        except maxminddb.InvalidDatabaseError as error:
            self._count(error)
        except ValueError as error:
            # An IPv6 address and a database of IPv4 alone; whatever else, it is no reason to fail.
            if self._holds_ipv6 or ":" not in address:
                self._count(error)
        return None

    def said(self, address: Address) -> Any:
        """Return what is said of an address: what `city_facts`, `asn_of` or `classes_of` makes of `get`.

        Guaranteed: it is made once of each record, and remembered within bounds.
        """
        if self._table is not None and address.is_ipv4:
            place = self._table.place(address.number)
            facts = self._by_place[place]
            return facts if facts is not _NEW else self._learnt(place, address)
        try:
            record = self._tree.record(address)
        except (struct.error, ValueError):
            # The tree is corrupt there, or all is closed: let `get` say so.
            return self._read(self.get(address.text))
        if record is None:
            return self._nothing
        facts = self._facts.get(record, _NEW)
        if facts is _NEW:
            facts = self._read(self.get(address.text))
            if len(self._facts) >= MAX_FACTS:
                self._facts.clear()
            self._facts[record] = facts
        return facts

    def _learnt(self, place: int, address: Address) -> Any:
        if self._n_learnt >= MAX_FACTS:
            self._forget()
        self._n_learnt += 1
        facts = self._by_place[place] = self._read(self.get(address.text))
        return facts

    def _forget(self) -> None:
        """Begin anew with what is remembered by the table's places; there is nothing at the first."""
        self._n_learnt = 0
        self._by_place = [_NEW] * (0 if self._table is None else self._table.n_records)
        self._by_place[:1] = [self._nothing]

    def agrees(self, address: Address) -> bool:
        """Return whether our search finds a record where the library's does."""
        try:
            return (self._tree.record(address) is None) == (self._reader.get(address.text) is None)
        except struct.error:
            return False

    async def index(self) -> None:
        """Have the table of IPv4 made, if that has not been tried; nothing is said otherwise for it."""
        if self._is_indexed or self._copy < 0:
            return
        self._is_indexed = True
        try:
            if self._tree.n_nodes <= SMALL_NODES:
                table = table_of(self._tree)
            else:
                command = (*_CHILD, str(self._copy), *map(str, self._layout))
                _, parts = await packed(command, PACKED, pass_fds=(self._copy,))
                table = RecordTable.unpack(parts)
        except (DecodeError, OSError, struct.error) as error:
            log.warning(
                "place.not_indexed", database=str(self), error=str(error), remedy="look-ups take a little longer"
            )
            return
        if self._copy >= 0:
            self._table = table
            self._forget()

    def close(self) -> None:
        """Let go of the memory: from now on every address is unknown."""
        self._table = None
        self._reader.close()
        self._facts.clear()
        self._by_place.clear()
        self._body.release()
        self._mapped.close()
        if self._copy >= 0:
            os.close(self._copy)
            self._copy = -1

    def _count(self, error: Exception) -> None:
        if not self.faults:
            # Once: there may be thousands a second.
            log.error("place.database_corrupt", database=str(self), error=str(error))
        self.faults += 1


def open_database(path: Path, kind: DatabaseKind, *, pause: Callable[[], None] = lambda: None) -> GeoDatabase:
    """Copy a database into memory, open it and try it.

    Args:
        path: of the file.
        kind: what it will be asked for.
        pause: is called after each half a millisecond or so of work, to let others have the interpreter.

    Raises:
        DecodeError: it is none, another, or corrupt.
        OSError: the file cannot be read, or the memory is not there.
    """
    copy = os.memfd_create(f"lockstep-{kind}", os.MFD_CLOEXEC)
    reader: maxminddb.Reader | None = None
    try:
        _copy_into(copy, path)
        # By its number: it has no other name.
        reader = maxminddb.open_database(f"/proc/self/fd/{copy}", maxminddb.MODE_MMAP_EXT)
        database = GeoDatabase(kind, reader, copy)
        _try_out(database, reader, path, pause)
    except (maxminddb.InvalidDatabaseError, struct.error, ValueError):
        _drop(reader, copy)
        raise DecodeError(f"{path} is no place database, or is cut short: put a whole .mmdb file there") from None
    except BaseException:
        _drop(reader, copy)
        raise
    return database


def _drop(reader: maxminddb.Reader | None, copy: int) -> None:
    if reader is not None:
        reader.close()
    os.close(copy)


def _copy_into(copy: int, path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise DecodeError(f"{path} has {size} bytes: {MAX_BYTES} are read")
        # The kernel copies, and the interpreter goes on meanwhile.
        while os.sendfile(copy, file.fileno(), None, _COPY_BYTES):
            if os.fstat(copy).st_size > MAX_BYTES:
                raise DecodeError(f"{path} grows beyond {MAX_BYTES} bytes while it is read")


def _try_out(database: GeoDatabase, reader: maxminddb.Reader, path: Path, pause: Callable[[], None]) -> None:
    wanted = _TYPES[database.kind]
    if not any(part in database.database_type for part in wanted):
        raise DecodeError(
            f"{path} is a database of type {database.database_type[:60]!a}:"
            f" for {database.kind}_database one is wanted of {', '.join(wanted)}"
        )
    for number, probe in enumerate(_probes(with_ipv6=reader.metadata().ip_version == 6)):
        if number % _PROBES_A_PIECE == 0:
            pause()
        try:
            record = reader.get(probe)
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            raise DecodeError(f"{path} is corrupt: {probe}: {str(error)[:200]}") from None
        if record is not None and not isinstance(record, dict):
            raise DecodeError(f"{path} is corrupt: what it says of {probe} is no map")
        address = read_address(probe)
        if address is not None and address.text == probe and not database.agrees(address):
            raise DecodeError(f"{path} is corrupt: {probe} is found in it by one search, and not by another")


def _probes(*, with_ipv6: bool) -> list[str]:
    """Return addresses all over the Internet, the same each time. The stride is odd, so they end differently, too."""
    step = (1 << 32) // _PROBES + 0x10107
    found = [number * step & 0xFFFF_FFFF for number in range(_PROBES)]
    texts = [f"{at >> 24}.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}" for at in found]
    # 2000::/3, where all of IPv6 is.
    return texts + [f"{0x2000 | at >> 19:x}:{at >> 3 & 0xFFFF:x}::1" for at in found] if with_ipv6 else texts


class GeoDatabases:
    """The databases of a process: open them at the start, look after them while it runs.

    Args:
        paths: of those that are set, by kind.

    Raises:
        SettingsError: there are some, and maxminddb came without its C extension.
    """

    def __init__(self, paths: Mapping[DatabaseKind, Path]) -> None:
        if paths and Reader is None:
            raise SettingsError(
                "place: maxminddb came without its C extension, and would take 100 us for each look-up:"
                " install its wheel for this platform, or a C compiler"
            )
        self.files = {kind: _kept(kind, path) for kind, path in paths.items()}
        self._past_faults = 0

    def open(self) -> None:
        """Open all of them, waiting for the disk.

        Raises:
            SettingsError: one cannot be read, or is not what it should be.
        """
        for file in self.files.values():
            file.open()

    async def look(self) -> list[GeoDatabase]:
        """Take up those whose files have changed; return those that are no longer in use, to be closed."""
        looked = [await file.look() for file in self.files.values()]
        replaced = [database for database in looked if database is not None]
        self._past_faults += sum(database.faults for database in replaced)
        return replaced

    async def index(self) -> None:
        """Have tables made of those that have none yet, one after the other."""
        for file in self.files.values():
            if file.is_open:
                await file.value.index()

    @property
    def faults(self) -> int:
        """Return how many look-ups found a database corrupt."""
        return self._past_faults + sum(file.value.faults for file in self.files.values() if file.is_open)

    def in_use(self, kind: DatabaseKind) -> GeoDatabase | None:
        """Return the database in use, None where none is set, or none is open yet."""
        file = self.files.get(kind)
        return file.value if file is not None and file.is_open else None

    def close(self) -> None:
        """Let go of all of them."""
        for file in self.files.values():
            if file.is_open:
                file.value.close()


def _kept(kind: DatabaseKind, path: Path) -> KeptFile[GeoDatabase]:
    def read(path: Path) -> GeoDatabase:
        return open_database(path, kind)

    async def reread(path: Path) -> GeoDatabase:
        # In a thread: the kernel copies, and between its tries it gives way to the loop.
        return await asyncio.to_thread(open_database, path, kind, pause=partial(time.sleep, _PAUSE_S))

    return KeptFile(str(kind), path, read, reread)
