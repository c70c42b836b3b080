from __future__ import annotations

from pathlib import Path

from fixtures.mmdb import BUILT_AT
from fixtures.places import make_city, make_lists
from lockstep.measures.place import place_readings
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import Locator, PlaceFiles
from relay.place.model import NetworkClass


def test_what_is_read_is_measured(tmp_path: Path) -> None:
    lists = make_lists(tmp_path)
    locator = Locator(PlaceFiles(
        {DatabaseKind.CITY: make_city(tmp_path)},
        {NetworkClass.VPN: [lists / "vpn.txt", lists / "data_centre.txt"], NetworkClass.TOR: [lists / "tor.txt"]},
    ))  # fmt: skip
    locator.open()
    locator.locate("45.16.2.9")
    locator.locate("45.16.2.9")
    locator.databases.files[DatabaseKind.CITY].taken = 2
    locator.lists.files[0][1].refused = 1
    locator.lists.files[1][1].refused = 3
    said = {
        (reading.measure.name.removeprefix("lockstep_place_"), *labels): value
        for reading in place_readings(locator, BUILT_AT + 86_400.0)
        for labels, value in reading.rows
    }
    assert said == {
        ("database_built_seconds", "city"): BUILT_AT,
        ("database_age_seconds", "city"): 86_400.0,
        ("networks", "vpn"): 3,
        # Two addresses side by side.
        ("networks", "tor"): 1,
        ("reloads_total", "city", "taken"): 2,
        ("reloads_total", "city", "refused"): 0,
        ("reloads_total", "vpn", "taken"): 0,
        ("reloads_total", "vpn", "refused"): 4,
        ("reloads_total", "tor", "taken"): 0,
        ("reloads_total", "tor", "refused"): 0,
        ("faults_total",): 0,
        ("lookups_total",): 2,
    }
    locator.close()
