"""What benches of place share: databases to look up in, addresses to look up, and the locator's own figures.

A city database of full size is taken if `LOCKSTEP_PLACE__CITY_DATABASE` names one; else one is generated: 200,000
networks whose 20,000 records have names in eight languages, as MaxMind's do.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from bench._stage import machine
from fixtures.places import make_anonymous, make_asn, make_large_city, make_lists
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import Locator, PlaceFiles
from relay.place.model import NetworkClass

NETWORKS = 200_000
ADDRESSES = 20_000
ROUNDS = 7


class Places(NamedTuple):
    """What to look up in, and what to look up.

    Args:
        files: for a locator.
        addresses: drawn at random from those that the city database knows.
        what: which city database it is.
    """

    files: PlaceFiles
    addresses: list[str]
    what: str


def places(folder: Path) -> Places:
    """Return databases and lists below `folder`, made where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(7)
    given = os.environ.get("LOCKSTEP_PLACE__CITY_DATABASE")
    if given:
        city, addresses = Path(given), _known(Path(given), chance)
        what = f"{city.name}, {city.stat().st_size >> 20} MiB"
    else:
        city = folder / "large-city.mmdb"
        all_known = make_large_city(city, networks=NETWORKS)
        addresses = [chance.choice(all_known) for _ in range(ADDRESSES)]
        what = f"generated, {NETWORKS} networks"
    lists = make_lists(folder)
    databases = {
        DatabaseKind.CITY: city,
        DatabaseKind.ASN: make_asn(folder),
        DatabaseKind.ANONYMOUS: make_anonymous(folder),
    }
    listed = {NetworkClass.VPN: [lists / "vpn.txt"], NetworkClass.TOR: [lists / "tor.txt"]}
    return Places(PlaceFiles(databases, listed), addresses, what)


def rows(found: Places) -> list[dict[str, Any]]:
    """Measure the locator beside maxminddb alone, in one run."""
    readers = [maxminddb.open_database(path) for path in found.files.databases.values()]
    city = readers[0]
    locator = Locator(found.files)
    locator.open()

    def plain(address: str) -> None:
        for reader in readers:
            reader.get(address)

    def warm(address: str) -> None:
        locator.locate(address)

    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        # In turns, so that a machine that slows down slows all of them down.
        for name, call in {"plain": plain, "city": city.get}.items():
            taken.setdefault(name, []).append(each_us(call, found.addresses))
        taken.setdefault("first", []).append(first_us(found))
        taken.setdefault("cold", []).append(each_us(locator.look_up, found.addresses))
        few = found.addresses[:1_000]
        each_us(warm, few)
        taken.setdefault("warm", []).append(each_us(locator.locate, few))
    us = {name: statistics.median(times) for name, times in taken.items()}
    locator.close()
    shared = {
        "unit": "us", "yardstick": round(us["plain"], 2), "rounds": ROUNDS, "addresses": len(found.addresses),
        "yardstick_what": "maxminddb's C extension alone: city, ASN and anonymous", "database": found.what,
        "maxminddb_city_alone": round(us["city"], 2), **machine(),
    }  # fmt: skip
    return [
        {
            "what": "an address located before (warm)",
            "ours": round(us["warm"], 3),
            "ratio": round(us["warm"] / us["plain"], 4),
            **shared,
        },
        {
            "what": "an address never located (cold)",
            "ours": round(us["cold"], 2),
            "ratio": round(us["cold"] / us["plain"], 3),
            "of_a_locator_just_opened": round(us["first"], 2),
            **shared,
        },
    ]


def first_us(found: Places) -> float:
    """Return what an address takes of a locator that knows nothing yet, not even the records that networks share."""
    locator = Locator(found.files)
    locator.open()
    taken = each_us(locator.look_up, found.addresses)
    locator.close()
    return taken


def each_us(call: Callable[[str], object], addresses: Sequence[str]) -> float:
    """Return what one call takes, in microseconds of CPU, over new strings with these addresses."""
    fresh = [address.encode().decode() for address in addresses]
    begun = time.process_time()
    for address in fresh:
        call(address)
    return 1e6 * (time.process_time() - begun) / len(fresh)


def _known(path: Path, chance: random.Random) -> list[str]:
    """Return random IPv4 addresses that a database knows."""
    found: list[str] = []
    with maxminddb.open_database(path) as reader:
        while len(found) < ADDRESSES:
            address = str(IPv4Address(chance.randrange(1 << 24, 224 << 24)))
            if reader.get(address):
                found.append(address)
    return found
