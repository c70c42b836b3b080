from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
from pathlib import Path

import maxminddb
import pytest

from fixtures.mmdb import BUILT_AT, write_database
from fixtures.places import SPOTS, make_anonymous, make_asn, make_city, make_dbip
from kernel.errors import DecodeError, SettingsError
from relay.io import geo_databases as module
from relay.io.geo_databases import DatabaseKind, GeoDatabase, GeoDatabases, open_database
from relay.place.addresses import read_address
from relay.place.geo_records import asn_of, city_facts, classes_of
from relay.place.geo_tree import SearchTree
from relay.place.model import NOWHERE, Locality, NetworkClass, Point

REAL = Path(__file__).parents[4] / "shared" / "data" / "mmdb"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="MaxMind's test databases are not here")
CITY = DatabaseKind.CITY


def n_open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return make_city(tmp_path)


def town(database: GeoDatabase, address: str) -> str | None:
    return city_facts(database.get(address), with_districts=database.with_districts).city


def test_a_database_says_what_it_is_and_what_it_holds(city: Path) -> None:
    database = open_database(city, CITY)
    assert str(database) == f"city:GeoIP2-City@{BUILT_AT}"
    assert (database.built_at, database.with_districts) == (BUILT_AT, False)
    assert town(database, "45.16.2.9") == "Pasadena"
    assert town(database, "2600:6c50:2::1") == "San Diego"
    assert database.get("9.9.9.9") is None
    database.close()


def test_other_kinds_and_other_makers(tmp_path: Path) -> None:
    for made, kind in ((make_dbip(tmp_path), CITY), (make_asn(tmp_path), DatabaseKind.ASN),
                       (make_anonymous(tmp_path), DatabaseKind.ANONYMOUS)):  # fmt: skip
        open_database(made, kind).close()
    dbip = open_database(tmp_path / "dbip-city.mmdb", CITY)
    facts = city_facts(dbip.get("45.16.2.9"), with_districts=dbip.with_districts)
    assert facts == Locality("US", "US-CA", "Pasadena", point=Point(-118.1445, 34.1478))
    dbip.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("GeoLite2-City", "city"), ("GeoIP2-City-North-America", "city"), ("GeoIP2-Enterprise", "city"),
        ("GeoLite2-Country", "city"), ("DBIP-City-Lite", "city"), ("DBIP-Location (compat=City)", "city"),
        ("DBIP-Location-ISP (compat=Enterprise)", "city"), ("GeoLite2-ASN", "asn"), ("GeoIP2-ISP", "asn"),
        ("DBIP-ASN-Lite (compat=GeoLite2-ASN)", "asn"), ("GeoIP2-Anonymous-IP", "anonymous"),
        ("GeoIP-Anonymous-Plus", "anonymous"),
    ],
)  # fmt: skip
def test_types_that_are_published(tmp_path: Path, name: str, kind: str) -> None:
    path = write_database(tmp_path / "some.mmdb", name, [("8.0.0.0/8", {})])
    open_database(path, DatabaseKind(kind)).close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("GeoLite2-ASN", "city"), ("GeoLite2-City", "asn"), ("GeoLite2-City", "anonymous"), ("\x1b[31m", "city"),
     ("DBIP-Anonymous-Proxy", "anonymous"), ("", "city")],
)  # fmt: skip
def test_a_database_of_another_type_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    path = write_database(tmp_path / "other.mmdb", name, [("8.0.0.0/8", {})])
    with pytest.raises(DecodeError, match=f"for {kind}_database one is wanted of") as raised:
        open_database(path, DatabaseKind(kind))
    assert "\x1b" not in str(raised.value)


def test_what_is_no_database_is_refused_and_leaves_nothing_behind(city: Path, tmp_path: Path) -> None:
    body = city.read_bytes()
    before = n_open_files()
    path = tmp_path / "wrong.mmdb"
    for wrong in (b"", b"<html>not found</html>", bytes(4096), body[:-200], body[: len(body) // 2], body[:-1]):
        path.write_bytes(wrong)
        with pytest.raises(DecodeError, match=r"wrong\.mmdb is"):
            open_database(path, CITY)
    with pytest.raises(OSError, match="No such file"):
        open_database(tmp_path / "none.mmdb", CITY)
    with pytest.raises(OSError, match="directory"):
        open_database(tmp_path, CITY)
    assert n_open_files() == before


def test_a_database_whose_records_are_no_maps_is_refused(tmp_path: Path) -> None:
    path = write_database(tmp_path / "odd.mmdb", "GeoIP2-City", [("0.0.0.0/1", "Pasadena")])
    with pytest.raises(DecodeError, match="is no map"):
        open_database(path, CITY)


def test_damaged_bytes_are_refused_or_answer_nothing_worse_than_unknown(city: Path, tmp_path: Path) -> None:
    """Whatever byte is wrong: no crash, no exception from a look-up."""
    body = city.read_bytes()
    path = tmp_path / "damaged.mmdb"
    refused = 0
    for at in range(0, len(body), 97):
        path.write_bytes(body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :])
        try:
            database = open_database(path, CITY)
        except DecodeError:
            refused += 1
            continue
        for address in ("45.16.1.1", "45.16.2.1", "45.16.19.1", "2600:6c50:1::1", "9.9.9.9"):
            city_facts(database.get(address))
        database.close()
    assert 0 < refused < len(body) // 97


def test_faults_are_counted_and_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_database(tmp_path / "c.mmdb", "GeoIP2-City", [("45.16.1.7/32", {"country": {"iso_code": "US"}})])
    body = bytearray(path.read_bytes())
    # The record's head: a map whose pointer leads nowhere. No probe comes by that one address.
    at = body.index(bytes(16)) + 16
    body[at : at + 4] = b"\x3f\xff\xff\xff"
    path.write_bytes(body)
    database = open_database(path, CITY)
    assert [database.get("45.16.1.7") for _ in range(3)] == [None] * 3
    assert database.faults == 3
    assert capsys.readouterr().out.count("place.database_corrupt") == 1
    database.close()


@pytest.mark.parametrize("harm", ["delete", "truncate", "overwrite"])
def test_what_is_in_use_survives_whatever_becomes_of_its_file(city: Path, harm: str) -> None:
    """A mapped file would end the process here (SIGBUS)."""
    database = open_database(city, CITY)
    if harm == "delete":
        city.unlink()
    elif harm == "truncate":
        os.truncate(city, 0)
    else:
        city.write_bytes(bytes(city.stat().st_size))
    assert town(database, "45.16.2.9") == "Pasadena"
    assert town(database, "2600:6c50:1::1") == "Los Angeles"
    database.close()


def test_what_is_made_of_a_record_is_remembered(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FACTS", 4)
    database = open_database(city, CITY)
    for _ in range(2):
        for spot in SPOTS:
            address = read_address(spot.network.split("/")[0])
            assert address is not None
            assert database.said(address) == city_facts(database.get(address.text))
            # All that share a record share what was made of it.
            assert database.said(address) is database.said(address)
            assert len(database._facts) <= 4
    elsewhere = read_address("9.9.9.9")
    assert elsewhere is not None
    assert database.said(elsewhere) == NOWHERE
    database.close()
    pasadena = read_address("45.16.2.9")
    assert pasadena is not None
    assert database.said(pasadena) == NOWHERE
    database.close()


def test_every_kind_is_remembered_for_what_it_says(tmp_path: Path) -> None:
    asn, anonymous = (
        open_database(made, kind)
        for made, kind in (
            (make_asn(tmp_path), DatabaseKind.ASN),
            (make_anonymous(tmp_path), DatabaseKind.ANONYMOUS),
        )
    )
    for text in ("45.16.2.9", "45.16.1.11", "45.16.1.18", "2600:6c50:1:a::5", "9.9.9.9") * 2:
        address = read_address(text)
        assert address is not None
        assert asn.said(address) == asn_of(asn.get(text))
        assert anonymous.said(address) == classes_of(anonymous.get(text))
    assert asn._facts
    assert anonymous._facts
    for database in (asn, anonymous):
        database.close()


def said_of_all(database: GeoDatabase) -> list[object]:
    texts = [*(spot.network.split("/")[0] for spot in SPOTS), "9.9.9.9", "255.255.255.255", "2600:6c50:2::1"]
    addresses = [address for text in texts if (address := read_address(text)) is not None]
    assert len(addresses) == len(texts)
    return [database.said(address) for address in addresses]


@pytest.mark.parametrize("by_child", [True, False])
async def test_the_table_says_what_the_tree_says(
    tmp_path: Path, by_child: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_child:
        monkeypatch.setattr(module, "SMALL_NODES", 0)
    databases = GeoDatabases({CITY: make_city(tmp_path), DatabaseKind.ASN: make_asn(tmp_path)})
    await asyncio.to_thread(databases.open)
    opened = [databases.in_use(kind) for kind in databases.files]
    before = [said_of_all(database) for database in opened if database is not None]
    await databases.index()
    assert [said_of_all(database) for database in opened if database is not None] == before
    assert all(database is not None and database._table is not None for database in opened)
    databases.close()
    assert all(said == NOWHERE for said in said_of_all(opened[0])) if opened[0] else False


async def test_without_a_table_it_serves_on(
    city: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = await asyncio.to_thread(open_database, city, CITY)
    before = said_of_all(database)
    monkeypatch.setattr(module, "SMALL_NODES", 0)
    monkeypatch.setattr(module, "_CHILD", (sys.executable, "-c", "pass"))
    for _ in range(2):
        await database.index()
    # It is tried once.
    assert capsys.readouterr().out.count("place.not_indexed") == 1
    assert said_of_all(database) == before
    database.close()


async def test_one_that_is_closed_has_no_table(city: Path) -> None:
    database = await asyncio.to_thread(open_database, city, CITY)
    database.close()
    await database.index()
    assert database._table is None


def test_two_searches_must_agree(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SearchTree, "record", lambda *_: 7)
    before = n_open_files()
    with pytest.raises(DecodeError, match="is found in it by one search, and not by another"):
        open_database(city, CITY)
    assert n_open_files() == before


def test_a_database_of_ipv4_alone_knows_no_ipv6(city: Path) -> None:
    database = open_database(city, CITY)
    database._holds_ipv6 = False
    assert database.get("no address") is None
    assert database.faults == 1
    database.close()


def test_without_the_extension_nothing_starts(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Reader", None)
    with pytest.raises(SettingsError, match="without its C extension"):
        GeoDatabases({CITY: city})
    GeoDatabases({})


def test_the_extension_is_what_reads(city: Path) -> None:
    """Its name is how we know it; what we rely on is that MODE_MMAP_EXT takes it, and takes it by a path alone."""
    database = open_database(city, CITY)
    assert type(database._reader).__module__ == "maxminddb.extension"
    with pytest.raises(ValueError, match="MODE"):
        maxminddb.extension.Reader(city, maxminddb.MODE_MEMORY)
    database.close()


async def test_a_new_database_takes_the_old_one_s_place(city: Path, tmp_path: Path) -> None:
    databases = GeoDatabases({CITY: city})
    assert databases.in_use(CITY) is None
    await asyncio.to_thread(databases.open)
    first = databases.in_use(CITY)
    assert first is not None
    assert databases.in_use(DatabaseKind.ASN) is None
    first.faults = 2
    rows = [("45.16.2.0/24", {"city": {"names": {"en": "Glendale"}}})]
    fresh = await asyncio.to_thread(write_database, tmp_path / "fresh.mmdb", "GeoIP2-City", rows, built_at=BUILT_AT + 1)
    await asyncio.to_thread(fresh.replace, city)
    assert await databases.look() == []
    # Until it is taken up, the old one answers.
    assert town(first, "45.16.2.9") == "Pasadena"
    assert await databases.look() == [first]
    second = databases.in_use(CITY)
    assert second is not None
    assert (town(second, "45.16.2.9"), second.built_at) == ("Glendale", BUILT_AT + 1)
    assert databases.faults == 2
    await asyncio.to_thread(first.close)
    await asyncio.to_thread(databases.close)


async def test_a_bad_database_leaves_the_old_one_in_use(city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    databases = GeoDatabases({CITY: city})
    await asyncio.to_thread(databases.open)
    body = await asyncio.to_thread(city.read_bytes)
    await asyncio.to_thread(city.write_bytes, body[:-300])
    for _ in range(3):
        assert await databases.look() == []
    database = databases.in_use(CITY)
    assert database is not None
    assert town(database, "45.16.2.9") == "Pasadena"
    assert capsys.readouterr().out.count("place.refused") == 1
    assert (databases.files[CITY].taken, databases.files[CITY].refused) == (0, 1)
    await asyncio.to_thread(databases.close)


@needs_real
@pytest.mark.parametrize("name", ["GeoIP2-City-Test.mmdb", "GeoLite2-City-Test.mmdb"])
def test_maxmind_s_own_city_databases(name: str) -> None:
    database = open_database(REAL / name, CITY)
    milton = city_facts(database.get("216.160.83.56"))
    assert (milton.country, milton.region, milton.city, milton.metro) == ("US", "US-WA", "Milton", "819")
    assert milton.accuracy_m is not None
    database.close()


@needs_real
def test_maxmind_s_san_diego() -> None:
    database = open_database(REAL / "GeoIP2-City-Test.mmdb", CITY)
    facts = city_facts(database.get("214.78.120.5"))
    assert facts == Locality("US", "US-CA", "San Diego", "92105", Point(-117.0935, 32.7405), 100_000.0, "825")
    database.close()


@needs_real
@pytest.mark.parametrize("name", ["GeoIP2-Anonymous-IP-Test.mmdb", "GeoIP-Anonymous-Plus-Test.mmdb"])
def test_maxmind_s_own_anonymous_databases(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(REAL / name, path)
    database = open_database(path, DatabaseKind.ANONYMOUS)
    assert classes_of(database.get("1.2.0.5")) == {NetworkClass.VPN}
    assert classes_of(database.get("9.9.9.9")) == frozenset()
    if "Plus" not in name:
        assert NetworkClass.TOR in classes_of(database.get("65.0.0.5"))
    database.close()
