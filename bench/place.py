"""What a place costs beside a token: `python -m bench.place`.

* A token and a place, as the gate asks for them: the token verified, the address located, the showing's policy asked.
  Warm is a session that was here a moment ago. Cold is a token never seen from an address never seen, in a process that
  has 50,000 other sessions, from anywhere in a city database: the one that `LOCKSTEP_PLACE__CITY_DATABASE` names, else
  a generated one of 200,000 networks.
  Beside it PyJWT with the same checks, maxminddb's C extension, and shapely's prepared polygons, in the same run.
* The worst policy that is taken: 200 rules, as many corners as a text may hold, of several shapes; the worst median
  counts. And 200 rules of 2,000 corners each, shaped as borders are, compiled from values: as a text it is refused.
* A million decisions on the record: what they take on disk is measured by `python -m bench.audit`.
"""

from __future__ import annotations

import asyncio
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
from typing import Any, NamedTuple

import maxminddb
import shapely

from bench._stage import machine, report
from bench.tokens import KEYS, NOW, pyjwt
from fixtures.places import make_large_city
from kernel.decisions import Scope, Whence
from kernel.policies import PolicyRecord
from kernel.revocation import RevocationIndex
from kernel.tokens import Claims, Keyring
from kernel.value import replace
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import Locator, PlaceFiles
from relay.place.model import Point, known_place
from relay.place.policy import compile_policy
from relay.policies import PolicyIndex
from relay.policy_words import POLICY_LIMITS
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier
from relay.whereabouts import Whereabouts

NETWORKS = 200_000
SESSIONS = 2_000
OTHERS = 50_000
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


OTHER = Claims("o", "o", "game", NOW - 30, NOW + 30, (NOW - 30, NOW + 30), "o", frozenset({"watch"}))


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
        self.known = None if configured else make_large_city(self.database, networks=NETWORKS)
        self.reader = maxminddb.open_database(self.database, maxminddb.MODE_MMAP_EXT)
        self.tokens = [token.encode() for token in sessions(SESSIONS)]
        self.addresses = self._addresses()
        self.fence = shapely.Polygon(FENCE)
        shapely.prepare(self.fence)

    def _addresses(self) -> list[bytes]:
        """Return addresses that the database knows, at random."""
        chance = random.Random(SEED)
        if self.known is not None:
            return [text.encode() for text in chance.sample(self.known, SESSIONS)]
        found: list[bytes] = []
        while len(found) < SESSIONS:
            text = str(IPv4Address(chance.randrange(1 << 24, 224 << 24)))
            if self.reader.get(text) is not None:
                found.append(text.encode())
        return found

    def gate(self) -> tuple[TokenCache, Whereabouts, Gate, Locator]:
        """Return everything anew: none of the addresses has been seen, but as many others as a busy hour brings."""
        locator = Locator(PlaceFiles({DatabaseKind.CITY: self.database}))
        locator.open()
        asyncio.run(locator.databases.index())
        index, text = PolicyIndex(), json.dumps(TERRITORY)
        record = PolicyRecord("territory", 1, text, float(NOW), "bench")
        index.heard(record)
        index.install(record, compile_policy(text))
        whereabouts = Whereabouts(locator, index, lambda event_id: "territory", FixBook())
        mine = set(self.addresses)
        for number, text in enumerate(self._others()):
            if text.encode() not in mine:
                whereabouts.standing(replace(OTHER, session=str(number)), text, now=NOW)
        tokens = TokenCache(TokenVerifier(KEYS))
        return tokens, whereabouts, Gate(tokens, RevocationIndex(), whereabouts=whereabouts), locator

    def _others(self) -> list[str]:
        chance = random.Random(SEED + 1)
        if self.known is not None:
            return chance.sample(self.known, OTHERS)
        return [str(IPv4Address(chance.randrange(1 << 24, 224 << 24))) for _ in range(OTHERS)]

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

Ring = list[list[float]]


def star(corners: int, chance: random.Random) -> Ring:
    """Return a ring whose corners lie near and far in turn: every parallel crosses most of its edges."""
    lon, lat = chance.uniform(-2, 2), chance.uniform(-2, 2)
    ring = []
    for n in range(corners - 1):
        reach = 20.0 if n % 2 else chance.uniform(0.5, 1.0)
        angle = 2 * math.pi * n / (corners - 1)
        ring.append([round(lon + reach * math.cos(angle), 3), round(lat + reach * math.sin(angle), 3)])
    return [*ring, ring[0]]


def comb(corners: int, chance: random.Random) -> Ring:
    """Return a ring of upright teeth: as many edges as it has corners cross one parallel."""
    teeth, left = (corners - 2) // 2, chance.uniform(-22, -18)
    ring = [
        [round(left + 40 * n / (2 * teeth), 3), 20 if n % 2 else round(chance.uniform(-19, -18.5), 2)]
        for n in range(2 * teeth)
    ]
    return [*ring, [round(left + 20, 3), -20], ring[0]]


def scribble(corners: int, chance: random.Random) -> Ring:
    """Return a ring that goes anywhere: its edges cross each other all over."""
    ring: Ring = [[chance.randrange(-20, 20), chance.randrange(-20, 20)] for _ in range(corners - 1)]
    return [*ring, ring[0]]


def border(corners: int, chance: random.Random) -> Ring:
    """Return a ring of short edges, as a border has."""
    lon, lat, reach = chance.uniform(-2, 2), chance.uniform(-2, 2), chance.uniform(18, 20)
    steps = [2 * math.pi * n / (corners - 1) for n in range(corners - 1)]
    ring = [[round(lon + reach * math.cos(step), 4), round(lat + reach * math.sin(step), 4)] for step in steps]
    return [*ring, ring[0]]


class Policed(NamedTuple):
    """What a policy of many polygons costs."""

    shape: str
    corners: int
    median_us: float
    p99_us: float
    compiled_s: float
    is_taken: bool = True


def policed(shape: Callable[[int, random.Random], Ring], rules: int, corners: int) -> Policed:
    """Compile a policy, and ask it about places all over."""
    chance = random.Random(SEED)
    wanted = {
        "policy_id": "worst",
        "watch": {
            "default": "allow",
            "rules": [
                {"name": str(n), "effect": "deny", "where": {"polygon": [shape(corners, chance)]}} for n in range(rules)
            ],
        },
    }
    text = json.dumps(wanted, separators=(",", ":"))
    is_taken = len(text) <= POLICY_LIMITS.max_bytes
    begun = time.process_time()
    policy = compile_policy(text if is_taken else wanted)
    compiled_s = time.process_time() - begun
    times = []
    for _ in range(POINTS):
        point = Point(chance.uniform(-22, 22), chance.uniform(-22, 22))
        place = known_place("192.0.2.7", country="US", point=point, accuracy_m=1_000.0)
        begun_ns = time.perf_counter_ns()
        policy.decide(place, None, now=float(NOW))
        times.append((time.perf_counter_ns() - begun_ns) / 1e3)
    return Policed(
        shape.__name__, rules * corners, statistics.median(times), sorted(times)[int(0.99 * len(times))], compiled_s,
        is_taken,
    )  # fmt: skip


def worst() -> Policed:
    """Return the worst of the policies that are taken: as many corners as 256 KiB hold, of several shapes."""
    tried = [policed(shape, RULES, corners) for shape, corners in ((star, 75), (comb, 90), (border, 60))]
    tried += [policed(scribble, RULES, 150), policed(star, 7, VERTICES), policed(scribble, 15, VERTICES)]
    # A text that is too long would be measured as values, and is nobody's policy.
    assert all(one.is_taken for one in tried), tried
    return max(tried, key=lambda one: one.median_us)


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/place.json`."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        us = measure(Scene(Path(folder)))
    taken, large = worst(), policed(border, RULES, VERTICES)
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
            "what": f"a token and a place, neither seen before (cold), beside {OTHERS:,} others; {NETWORKS:,} networks",
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
                f"the worst policy found that is taken: {taken.corners:,} corners in 256 KiB ({taken.shape}; "
                f"p99 {taken.p99_us:.0f}, compiled in {taken.compiled_s:.1f} s)"
            ),
            "unit": "us",
            "ours": round(taken.median_us, 1),
            "figure": f"<= {WORST_FIGURE_US:g} us",
            "met": taken.median_us <= WORST_FIGURE_US,
            **where,
        },
        {
            "what": (
                f"{RULES} borders of {VERTICES:,} corners each, more than a text may hold (p99 {large.p99_us:.0f}, "
                f"compiled in {large.compiled_s:.1f} s)"
            ),
            "unit": "us",
            "ours": round(large.median_us, 1),
            "figure": f"<= {WORST_FIGURE_US:g} us",
            "met": large.median_us <= WORST_FIGURE_US,
            **where,
        },
    ]


def main() -> None:
    """Measure and report."""
    report("place", run())


if __name__ == "__main__":
    main()
