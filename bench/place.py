"""What a place costs beside a token: `python -m bench.place`.

* A token and a place, as the gate asks for them: the token verified, the address located, the showing's policy asked.
  Warm is a session that was here a moment ago; cold is a token never seen from an address never seen, random ones out
  of a city database: the one that `LOCKSTEP_PLACE__CITY_DATABASE` names, else a generated one of 200,000 networks.
  Beside it PyJWT with the same checks, maxminddb's C extension, and shapely's prepared polygons, in the same run.
* The worst policy that is taken: 200 rules, each a polygon of 2,000 vertices. Many shapes are tried, and for each the
  points that lie worst for it; the worst median counts.
* A million decisions on the record: what they take on disk is measured by `python -m bench.audit`.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import maxminddb
import shapely

from bench._stage import machine, report
from bench.tokens import KEYS, NOW, pyjwt
from fixtures.places import make_large_city
from kernel.decisions import Scope, Whence
from kernel.policies import PolicyRecord
from kernel.revocation import RevocationIndex
from kernel.tokens import Claims, Keyring
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import Locator, PlaceFiles
from relay.place.model import IpPlace, Point
from relay.place.policy import compile_policy
from relay.policies import PolicyIndex
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier
from relay.whereabouts import Whereabouts

NETWORKS = 200_000
SESSIONS = 2_000
ROUNDS = 7
WARM_PASSES = 20
WARM_FIGURE_US, COLD_FIGURE_US, WORST_FIGURE_US = 1.0, 8.0, 50.0
RULES, VERTICES = 200, 2_000
POINTS = 400
SEED = 7

FENCE = [[-10, 35], [30, 35], [30, 60], [-10, 60], [-10, 35]]
TERRITORY = {
    "policy_id": "territory",
    "watch": {
        "default": "deny",
        "rules": [
            {"name": "not here", "effect": "deny", "where": {"dma": {"codes": ["803"], "radius_miles": 75}}},
            {"name": "home", "effect": "allow", "where": {"any": [{"country": ["US", "CA"]}, {"country": ["GB"]}]}},
            {"name": "fence", "effect": "allow", "where": {"polygon": [FENCE]}},
        ],
    },
    "networks": {"vpn": "block", "tor": "block", "data_centre": "warn"},
}  # fmt: skip
"""An ordinary one: a market that is out, two countries and a region that are in."""


def sessions(count: int) -> list[str]:
    """Return the tokens of as many sessions."""
    ring, scopes, ends = Keyring(KEYS), frozenset({"watch", "wager"}), 4_000_000_000
    return [
        ring.issue(Claims(f"{n:022d}", f"account-{n}", "game", NOW - 30, ends, (NOW - 30, ends), f"{n:022x}", scopes))
        for n in range(count)
    ]


class Scene:
    """Tokens, addresses, and what judges them."""

    def __init__(self, folder: Path) -> None:
        configured = os.environ.get("LOCKSTEP_PLACE__CITY_DATABASE")
        self.database = Path(configured) if configured else folder / "city.mmdb"
        known = None if configured else make_large_city(self.database, networks=NETWORKS)
        self.reader = maxminddb.open_database(self.database, maxminddb.MODE_MMAP_EXT)
        self.tokens = [token.encode() for token in sessions(SESSIONS)]
        self.addresses = self._addresses(known)
        self.index = PolicyIndex()
        text = json.dumps(TERRITORY)
        record = PolicyRecord("territory", 1, text, float(NOW), "bench")
        self.index.heard(record)
        self.index.install(record, compile_policy(text))
        self.fence = shapely.Polygon(FENCE)
        shapely.prepare(self.fence)

    def _addresses(self, known: list[str] | None) -> list[bytes]:
        """Return addresses that the database knows, at random."""
        chance = random.Random(SEED)
        if known is not None:
            return [text.encode() for text in chance.sample(known, SESSIONS)]
        found: list[bytes] = []
        while len(found) < SESSIONS:
            text = str(IPv4Address(chance.randrange(1 << 24, 224 << 24)))
            if self.reader.get(text) is not None:
                found.append(text.encode())
        return found

    def gate(self) -> tuple[TokenCache, Whereabouts, Gate, Locator]:
        """Return everything anew: nothing has been seen."""
        locator = Locator(PlaceFiles({DatabaseKind.CITY: self.database}))
        locator.open()
        tokens = TokenCache(TokenVerifier(KEYS))
        whereabouts = Whereabouts(locator, self.index, lambda event_id: "territory", FixBook())
        return tokens, whereabouts, Gate(tokens, RevocationIndex(), whereabouts=whereabouts), locator

    def theirs(self, token: str, address: str) -> bool:
        """Do with others' libraries what ours do: verify, locate, and judge by the same rules."""
        if pyjwt(token) is None:
            return False
        record: Any = self.reader.get(address) or {}
        country = record.get("country", {}).get("iso_code")
        where = record.get("location", {})
        point = shapely.Point(where.get("longitude", 0.0), where.get("latitude", 0.0))
        los_angeles = math.dist(point.coords[0], (-118.2437, 34.0522)) < 1.2
        return not los_angeles and (country in ("US", "CA", "GB") or self.fence.contains(point))


def taken_us(work: Callable[[str, str], object], scene: Scene) -> float:
    """Return the median of what one token and address take, in microseconds of CPU; strings are new each time."""
    times: list[int] = []
    for token, address in zip(scene.tokens, scene.addresses, strict=True):
        text, place = token.decode(), address.decode()
        begun = time.perf_counter_ns()
        work(text, place)
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times) / 1e3


def overhead_us(scene: Scene) -> float:
    """Return what looking at the clock takes."""
    return taken_us(lambda token, address: None, scene)


def measure(scene: Scene) -> dict[str, float]:
    """Return medians of rounds, in microseconds."""
    found: dict[str, list[float]] = {name: [] for name in ("cold", "warm", "gate", "theirs", "clock")}
    for _ in range(ROUNDS):
        tokens, whereabouts, gate, locator = scene.gate()

        def both(token: str, address: str, tokens: TokenCache = tokens, places: Whereabouts = whereabouts) -> None:
            claims = tokens.verify(token, now=NOW)
            assert claims is not None
            places.standing(claims, address, now=NOW)

        found["clock"].append(overhead_us(scene))
        found["cold"].append(taken_us(both, scene))
        found["warm"].append(statistics.median(taken_us(both, scene) for _ in range(WARM_PASSES)))

        def whole(token: str, address: str, gate: Gate = gate) -> None:
            gate(token, "game", Scope.WATCH, now=NOW, whence=Whence(address, ""))

        found["gate"].append(statistics.median(taken_us(whole, scene) for _ in range(WARM_PASSES)))
        found["theirs"].append(taken_us(scene.theirs, scene))
        locator.close()
    clock = statistics.median(found["clock"])
    return {name: statistics.median(times) - clock for name, times in found.items()}


# The worst policy.


def star(lon: float, lat: float, chance: random.Random) -> list[list[float]]:
    """Return a ring whose vertices lie near and far in turn: every parallel crosses most of its edges."""
    ring = []
    for n in range(VERTICES - 1):
        reach = 20.0 if n % 2 else chance.uniform(0.5, 1.0)
        angle = 2 * math.pi * n / (VERTICES - 1)
        ring.append([lon + reach * math.cos(angle), lat + reach * math.sin(angle)])
    return [*ring, ring[0]]


def comb(lon: float, lat: float, chance: random.Random) -> list[list[float]]:
    """Return a ring of upright teeth: a thousand edges cross one parallel."""
    teeth = (VERTICES - 2) // 2
    ring = [
        [lon - 20 + 40 * n / (2 * teeth), lat + (20 if n % 2 else -19 + chance.uniform(0, 0.5))]
        for n in range(2 * teeth)
    ]
    return [*ring, [lon, lat - 20], ring[0]]


def fan(lon: float, lat: float, chance: random.Random) -> list[list[float]]:
    """Return a ring of slanting teeth that all overlap in longitude as well."""
    teeth = (VERTICES - 2) // 2
    ring = [[lon + (20 if n % 2 else -20) + n * 1e-3, lat - 20 + 40 * n / (2 * teeth)] for n in range(2 * teeth)]
    return [*ring, [lon + 24 + chance.uniform(0, 1), lat + 20.5], ring[0]]


def circle(lon: float, lat: float, chance: random.Random) -> list[list[float]]:
    """Return a ring of short edges."""
    reach = chance.uniform(18, 20)
    steps = [2 * math.pi * n / (VERTICES - 1) for n in range(VERTICES - 1)]
    ring = [[lon + reach * math.cos(angle), lat + reach * math.sin(angle)] for angle in steps]
    return [*ring, ring[0]]


SHAPES: dict[str, Callable[[float, float, random.Random], list[list[float]]]] = {
    "star": star, "comb": comb, "fan": fan, "circle": circle,
}  # fmt: skip


def worst() -> tuple[str, float, float, float]:
    """Return the worst shape, its median, its 99th percentile and how long it takes to compile, in us, us and s."""
    outcomes: list[tuple[float, float, str, float]] = []
    for name, shape in SHAPES.items():
        chance = random.Random(SEED)
        rules = [
            {"name": f"r{n}", "effect": "deny", "where": {"polygon": [ring]}}
            for n, ring in enumerate(shape(chance.uniform(-2, 2), chance.uniform(-2, 2), chance) for _ in range(RULES))
        ]
        # Of one centre each, a little apart; nothing applies where the points lie, so that all rules are asked.
        wanted = {"policy_id": "worst", "watch": {"default": "allow", "rules": rules}}
        try:
            begun = time.perf_counter()
            policy = compile_policy(wanted)
            compiled_s = time.perf_counter() - begun
        except Exception as error:
            print(f"{name}: not taken: {error}")
            continue
        times = []
        for _ in range(POINTS):
            point = Point(chance.uniform(-25, 25), chance.uniform(-25, 25))
            place = IpPlace("192.0.2.7", country="US", point=point, accuracy_m=1_000.0)
            begun_ns = time.perf_counter_ns()
            policy.decide(place, None, now=float(NOW))
            times.append((time.perf_counter_ns() - begun_ns) / 1e3)
        times.sort()
        outcomes.append((statistics.median(times), times[int(0.99 * len(times))], name, compiled_s))
    median, p99, name, compiled_s = max(outcomes)
    return name, median, p99, compiled_s


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/place.json`."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        us = measure(Scene(Path(folder)))
    shape, median, p99, compiled_s = worst()
    beside = {
        "yardstick": round(us["theirs"], 2),
        "yardstick_what": "PyJWT with the same checks, maxminddb and shapely, prepared",
    }
    where = machine()
    return [
        {
            "what": "a token and a place, both seen before (warm)",
            "unit": "us",
            "ours": round(us["warm"], 3),
            **beside,
            "ratio": round(us["warm"] / us["theirs"], 5),
            "figure": f"<= {WARM_FIGURE_US:g} us",
            "met": us["warm"] <= WARM_FIGURE_US,
            "whole_gate_us": round(us["gate"], 3),
            **where,
        },
        {
            "what": f"a token and a place, neither seen before (cold), random addresses of {NETWORKS:,} networks",
            "unit": "us",
            "ours": round(us["cold"], 2),
            **beside,
            "ratio": round(us["cold"] / us["theirs"], 4),
            "figure": f"<= {COLD_FIGURE_US:g} us",
            "met": us["cold"] <= COLD_FIGURE_US,
            **where,
        },
        {
            "what": (
                f"the worst policy: {RULES} rules of {VERTICES:,} vertices ({shape}; p99 {p99:.1f}, "
                f"compiled in {compiled_s:.1f} s)"
            ),
            "unit": "us",
            "ours": round(median, 1),
            "figure": f"<= {WORST_FIGURE_US:g} us",
            "met": median <= WORST_FIGURE_US,
            **where,
        },
    ]


def main() -> None:
    """Measure and report."""
    report("place", run())


if __name__ == "__main__":
    main()
