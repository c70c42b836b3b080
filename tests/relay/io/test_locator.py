from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.mmdb import BUILT_AT, write_database
from fixtures.places import ANONYMOUS, SPOTS, make_anonymous, make_asn, make_city, make_lists
from kernel.errors import SettingsError
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import UNREADABLE, Locator, PlaceFiles
from relay.place.model import IpPlace, NetworkClass, Point, known_place

PATIENCE_S = 60.0
"""A limit for what hangs, never a measurement."""

LISTS = {
    NetworkClass.VPN: "vpn.txt",
    NetworkClass.TOR: "tor.txt",
    NetworkClass.DATA_CENTRE: "data_centre.txt",
    NetworkClass.PRIVATE_RELAY: "private_relay.csv",
}


def files(folder: Path) -> PlaceFiles:
    lists = make_lists(folder)
    return PlaceFiles(
        {
            DatabaseKind.CITY: make_city(folder),
            DatabaseKind.ASN: make_asn(folder),
            DatabaseKind.ANONYMOUS: make_anonymous(folder),
        },
        {member: [lists / name] for member, name in LISTS.items()},
    )


@pytest.fixture(scope="module")
def locator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locator]:
    locator = Locator(files(tmp_path_factory.mktemp("place")))
    locator.open()
    yield locator
    locator.close()


@pytest.mark.parametrize("text", ["45.16.2.9", "::ffff:45.16.2.9", "64:ff9b::45.16.2.9", "2002:2d10:209::1"])
def test_all_that_is_known_of_an_address(locator: Locator, text: str) -> None:
    assert locator.locate(text) == known_place(
        "45.16.2.9", "US", "US-CA", "Pasadena", "91101", Point(-118.1445, 34.1478), 10_000.0, "803", 7018
    )


def test_every_spot_is_where_it_should_be(locator: Locator) -> None:
    for spot in SPOTS:
        place = locator.locate(spot.network.split("/")[0])
        assert (place.country, place.city) == (spot.country, spot.city)
        assert place.region == (f"{spot.country}-{spot.region}" if spot.region else None)
        assert place.metro == (str(spot.metro) if spot.metro else None)
        assert place.is_public


@pytest.mark.parametrize("text", ["45.16.29.1", "45.16.30.1", "9.9.9.9", "2a00:1450::1"])
def test_what_is_known_of_nowhere_is_public_all_the_same(locator: Locator, text: str) -> None:
    place = locator.locate(text)
    assert (place.country, place.region, place.city, place.point, place.is_public) == (None, None, None, None, True)


@pytest.mark.parametrize("text", ["10.0.0.1", "127.0.0.1", "::1", "fe80::1%eth0", "2002:a00:1::1", "203.0.113.5"])
def test_what_is_not_public_has_no_place(locator: Locator, text: str) -> None:
    place = locator.locate(text)
    assert place == IpPlace(place.address, is_public=False)
    assert place.address


@pytest.mark.parametrize("text", ["", "unknown", "1.2.3", "a" * 1_000_000, "\ud800", "1.2.3.4/8", "\0"])
def test_what_is_no_address_has_no_place(locator: Locator, text: str) -> None:
    assert locator.locate(text) == UNREADABLE == locator.locate(text)


@given(text=st.text(max_size=80) | st.text("0123456789abcdef:.%", max_size=45))
def test_nothing_is_a_fault_of_ours(locator: Locator, text: str) -> None:
    assert locator.locate(text) == locator.locate(text)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("45.16.1.1", set()),
        # By the database
        ("45.16.1.11", {NetworkClass.VPN}),
        ("45.16.1.12", {NetworkClass.PROXY}),
        ("45.16.1.13", {NetworkClass.TOR}),
        ("45.16.1.14", {NetworkClass.DATA_CENTRE}),
        ("45.16.1.15", {NetworkClass.RESIDENTIAL_PROXY}),
        ("45.16.1.16", {NetworkClass.PROXY}),
        ("45.16.1.18", {NetworkClass.VPN, NetworkClass.DATA_CENTRE}),
        ("2600:6c50:1:a::5", {NetworkClass.VPN}),
        # By the lists
        ("45.16.1.47", {NetworkClass.VPN}),
        ("45.16.1.49", {NetworkClass.TOR}),
        ("45.16.2.200", {NetworkClass.DATA_CENTRE}),
        ("45.16.1.17", {NetworkClass.PRIVATE_RELAY}),
        ("2600:6c50:1:c::5", {NetworkClass.PRIVATE_RELAY}),
        ("::ffff:45.16.1.47", {NetworkClass.VPN}),
    ],
)
def test_classes(locator: Locator, text: str, classes: set[NetworkClass]) -> None:
    assert locator.locate(text).classes == classes


def test_without_files_every_address_is_nowhere() -> None:
    locator = Locator()
    locator.open()
    assert locator.version == ""
    assert locator.locate("45.16.2.9") == IpPlace("45.16.2.9")
    assert not locator.locate("10.0.0.1").is_public


def test_the_number_in_an_enterprise_record_counts_where_no_other_does(tmp_path: Path) -> None:
    record = {"country": {"iso_code": "US"}, "traits": {"autonomous_system_number": 64_500}}
    rows = [("45.16.2.0/24", record), ("9.0.0.0/8", record)]
    city = write_database(tmp_path / "e.mmdb", "GeoIP2-Enterprise", rows)
    locator = Locator(PlaceFiles({DatabaseKind.CITY: city, DatabaseKind.ASN: make_asn(tmp_path)}))
    locator.open()
    assert (locator.locate("45.16.2.9").asn, locator.locate("9.9.9.9").asn) == (7018, 64_500)
    locator.close()


def test_the_version_names_all_that_is_read(locator: Locator, tmp_path: Path) -> None:
    parts = locator.version.split(" ")
    assert parts[:3] == [
        f"city:GeoIP2-City@{BUILT_AT}", f"asn:GeoLite2-ASN@{BUILT_AT}", f"anonymous:GeoIP2-Anonymous-IP@{BUILT_AT}"
    ]  # fmt: skip
    assert [part.partition(":")[0] for part in parts[3:]] == [str(member) for member in LISTS]
    # The same content elsewhere is the same version.
    same = Locator(files(tmp_path))
    same.open()
    assert same.version == locator.version
    same.close()


def test_who_shares_a_record_shares_what_is_made_of_it(locator: Locator) -> None:
    asked = locator.lookups
    one, other = locator.locate("45.16.2.9"), locator.locate("45.16.2.10")
    assert one.locality is other.locality
    assert one != other
    assert locator.locate("45.16.2.9") == one
    assert locator.lookups == asked + 3


def test_no_lookup_leaves_the_process(locator: Locator, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a socket is asked for")

    monkeypatch.setattr(socket, "socket", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    for number in range(256):
        locator.locate(f"45.16.{number}.77")


def test_ten_thousand_addresses_with_every_file_gone(tmp_path: Path) -> None:
    wanted = files(tmp_path)
    locator = Locator(wanted)
    locator.open()
    for path in [*wanted.databases.values(), *(path for paths in wanted.lists.values() for path in paths)]:
        path.unlink()
    for number in range(10_000):
        locator.locate(f"45.16.{number >> 8 & 31}.{number & 255}")
    assert locator.locate("45.16.2.9").city == "Pasadena"
    assert locator.databases.faults == 0
    locator.close()


@pytest.mark.parametrize("harm", [b"", b"no database"])
def test_at_the_start_a_file_that_is_none_is_an_error(tmp_path: Path, harm: bytes) -> None:
    wanted = files(tmp_path)
    wanted.databases[DatabaseKind.CITY].write_bytes(harm)
    with pytest.raises(SettingsError, match=r"place: city .*city\.mmdb is no place database"):
        Locator(wanted).open()


@asynccontextmanager
async def running(locator: Locator) -> AsyncIterator[asyncio.Queue[str]]:
    """Run it, and yield what it is changed to."""
    versions: asyncio.Queue[str] = asyncio.Queue()
    locator.on_change(lambda: versions.put_nowait(locator.version))
    await asyncio.to_thread(locator.open)
    task = asyncio.create_task(locator.run())
    async with asyncio.timeout(PATIENCE_S):
        yield versions
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(locator.close)


async def test_changed_files_are_taken_up_while_it_runs(tmp_path: Path) -> None:
    wanted = await asyncio.to_thread(files, tmp_path)
    locator = Locator(wanted, reload_s=0.01)
    async with running(locator) as versions:
        before = locator.version
        assert locator.locate("45.16.4.4").classes == frozenset()
        vpn = wanted.lists[NetworkClass.VPN][0]
        await asyncio.to_thread(vpn.write_text, "45.16.4.0/24\n", "utf-8")
        assert await versions.get() == locator.version != before
        # What was remembered is asked anew.
        assert locator.locate("45.16.4.4").classes == {NetworkClass.VPN}
        city = wanted.databases[DatabaseKind.CITY]
        rows = [("45.16.4.0/24", {"city": {"names": {"en": "Elsewhere"}}})]
        fresh = await asyncio.to_thread(
            write_database, tmp_path / "fresh.mmdb", "GeoLite2-City", rows, built_at=BUILT_AT + 7
        )
        await asyncio.to_thread(fresh.replace, city)
        assert f"city:GeoLite2-City@{BUILT_AT + 7} " in await versions.get()
        assert locator.locate("45.16.4.4").city == "Elsewhere"


async def test_a_database_that_is_new_has_its_table_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = await asyncio.to_thread(files, tmp_path)
    locator = Locator(wanted, reload_s=0.01)
    index, rounds = locator.databases.index, asyncio.Queue[None]()

    async def told() -> None:
        await index()
        rounds.put_nowait(None)

    def have_tables() -> bool:
        found = [locator.databases.in_use(kind) for kind in DatabaseKind]
        return all(database is not None and database._table is not None for database in found)

    monkeypatch.setattr(locator.databases, "index", told)
    async with running(locator) as versions:
        await rounds.get()
        assert have_tables()
        rows = [("45.16.4.0/24", {"city": {"names": {"en": "Elsewhere"}}})]
        fresh = await asyncio.to_thread(
            write_database, tmp_path / "fresh.mmdb", "GeoLite2-City", rows, built_at=BUILT_AT + 7
        )
        await asyncio.to_thread(fresh.replace, wanted.databases[DatabaseKind.CITY])
        await versions.get()
        await rounds.get()
        assert have_tables()
        assert locator.locate("45.16.4.4").city == "Elsewhere"
        assert locator.locate("45.16.5.4").city is None


async def test_it_looks_when_asked(tmp_path: Path) -> None:
    wanted = await asyncio.to_thread(files, tmp_path)
    locator = Locator(wanted, reload_s=3_600.0)
    async with running(locator) as versions:
        await asyncio.to_thread(wanted.lists[NetworkClass.TOR][0].write_text, "45.16.5.5\n", "utf-8")
        # At rest from one look to the next.
        await locator.refresh()
        locator.look()
        await versions.get()
        assert locator.locate("45.16.5.5").classes == {NetworkClass.TOR}


async def test_what_becomes_bad_changes_nothing(tmp_path: Path) -> None:
    wanted = await asyncio.to_thread(files, tmp_path)
    locator = Locator(wanted)
    await asyncio.to_thread(locator.open)
    before, where = locator.version, locator.locate("45.16.1.11").locality
    for path in [*wanted.databases.values(), *(path for paths in wanted.lists.values() for path in paths)]:
        await asyncio.to_thread(path.write_bytes, b"\xffbad")
    for _ in range(3):
        assert not await locator.refresh()
    assert locator.version == before
    # Not even what was remembered is lost.
    assert locator.locate("45.16.1.11").locality is where
    await asyncio.to_thread(locator.close)


def test_the_fixtures_hold_each_class() -> None:
    assert {flag for _, flags in ANONYMOUS for flag in flags} == {
        "is_anonymous", "is_anonymous_vpn", "is_public_proxy", "is_tor_exit_node", "is_hosting_provider",
        "is_residential_proxy",
    }  # fmt: skip
