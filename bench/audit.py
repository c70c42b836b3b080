"""What the audit costs: `python -m bench.audit`.

* Bytes: a million decisions a day are 11.6 a second, six in each block that is forced to disk; an evening's rush fills
  blocks of a thousand. Both are written through the store, every session, account, address and place a new one, with a
  device's position in a third of them, and what lies on disk is divided by the records. The yardstick is the same
  records as JSON, a line each.
* Time: what the gate pays to find out that nothing has changed, in CPU, a session's hundredth decision.
"""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._stage import machine, report
from kernel.decisions import Decision, Scope, Verdict
from kernel.policies import PolicyRecord
from kernel.strict_json import encode_known
from kernel.tokens import Claims, Reason
from relay.audit import Auditor, Judged, Note
from relay.audit_records import decision_bytes, inputs_of
from relay.io.audit_store import AuditStore
from relay.place.model import Fix, NetworkClass, PlaceVerdict, Point, known_place

NOW = 1_800_000_000.0
RECORDS = 6_000
DAY = 1_000_000
FIGURE_MB = 300
ROUNDS, CALLS = 11, 20_000
POLICY = PolicyRecord("us-west", 3, '{"policy_id":"us-west"}', NOW, "bench")
LOCATOR = "GeoIP2-City 1764028800 tor:5f1c2a9b0d"
REGIONS = ["CA", "TX", "NY", "FL", "WA", "OR", "NV", "AZ", "CO", "IL", "MI", "OH", "PA", "GA", "NC"]
ANSWERS = (
    [(Verdict.ADMIT, None, PlaceVerdict(None, None, None, "West coast", "West coast"))] * 14
    + [(Verdict.WARN, None, PlaceVerdict(None, None, Reason.DATA_CENTRE, "West coast", "West coast"))] * 2
    + [(Verdict.REFUSE, Reason.GEO_BLOCKED, PlaceVerdict(Reason.GEO_BLOCKED, None, None, "Los Angeles", "West coast"))]
    * 3
    + [(Verdict.REFUSE, Reason.VPN, PlaceVerdict(Reason.VPN, Reason.VPN))]
)


def notes(draw: random.Random, count: int, *, per_s: float) -> Iterator[Note]:
    """Yield decisions on as many sessions."""
    for number in range(count):
        at = NOW + number / per_s + draw.random() * 1e-3
        lon, lat = draw.uniform(-124, -70), draw.uniform(25, 48)
        place = known_place(
            _address(draw), "US", f"US-{draw.choice(REGIONS)}", _name(draw), f"{draw.randint(10_000, 99_999)}",
            Point(round(lon, 4), round(lat, 4)), draw.choice([1_000.0, 5_000.0, 20_000.0]), f"{draw.randint(500, 880)}",
            draw.randint(1_000, 400_000),
            frozenset({draw.choice([*NetworkClass])} if draw.random() < 0.08 else ()),
        )  # fmt: skip
        fix, previous = None, None
        if draw.random() < 1 / 3:
            fix = _fix(draw, lon, lat, at - draw.uniform(0, 200))
            previous = _fix(draw, lon, lat, at - draw.uniform(200, 900)) if draw.random() < 0.5 else None
        verdict, reason, said = draw.choice(ANSWERS)
        session = base64.urlsafe_b64encode(draw.randbytes(16)).rstrip(b"=").decode()
        asked = Judged(POLICY, said, at, place, fix, previous, LOCATOR)
        scope = draw.choice([Scope.WATCH, Scope.WATCH, Scope.WAGER])
        yield Note(
            at, session, f"account-{draw.randrange(10**7)}", "game-20270115", scope, verdict, reason, "us-west", asked
        )


def _address(draw: random.Random) -> str:
    if draw.random() < 0.7:
        return ".".join(str(draw.randint(1, 254)) for _ in range(4))
    return "2601:" + ":".join(f"{draw.randrange(1 << 16):x}" for _ in range(3)) + f"::{draw.randrange(1 << 16):x}"


def _name(draw: random.Random) -> str:
    return "".join(draw.choice("aeiourstlnmdg") for _ in range(draw.randint(5, 12))).title()


def _fix(draw: random.Random, lon: float, lat: float, at: float) -> Fix:
    point = Point(round(lon + draw.uniform(-0.2, 0.2), 6), round(lat + draw.uniform(-0.2, 0.2), 6))
    return Fix(point, round(draw.uniform(3, 60), 1), round(at, 3))


async def bytes_each(batch: int) -> float:
    """Return how much lies on disk for a record, if so many are forced to disk together."""
    with tempfile.TemporaryDirectory() as folder:
        store = await AuditStore.open(Path(folder), "bench", retention_days=30, wall=lambda: NOW)
        for number, note in enumerate(notes(random.Random(1), RECORDS, per_s=11.6), 1):
            store.put(note)
            if number % batch == 0:
                await store.flush()
        await store.aclose()
        assert store.lost == 0
        return _size(Path(folder)) / store.records


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def plain_bytes() -> float:
    """Return how long a record is as a line of JSON, its inputs with it."""
    lines = [
        decision_bytes(0, note) + encode_known(inputs_of(note)) for note in notes(random.Random(1), 1_000, per_s=1)
    ]
    return statistics.mean(map(len, lines))


def unchanged_ns() -> float:
    """Return what a decision costs that is no other than the one before, in nanoseconds of CPU."""
    auditor = Auditor(lambda _: None)
    claims = Claims("j", "ann", "game", 0, 1, (0, 1), "session", frozenset())
    decision = Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=claims)
    (one,) = notes(random.Random(1), 1, per_s=1)
    note, judged, scope = auditor.note, one.judged, Scope.WATCH
    taken = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(CALLS):
            note(claims, scope, decision, now=NOW, judged=judged)
        taken.append((time.process_time() - begun) / CALLS)
    return 1e9 * statistics.median(taken)


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/audit.json`."""
    plain = plain_bytes()
    rows: list[dict[str, Any]] = []
    for what, batch in (("as they come, six in half a second", 6), ("in a rush, a thousand together", 1_000)):
        each = asyncio.run(bytes_each(batch))
        rows.append({
            "what": f"{DAY} audit records {what}", "unit": "MB", "ours": round(each * DAY / 1e6, 1),
            "yardstick": round(plain * DAY / 1e6, 1), "yardstick_what": "as lines of JSON",
            "ratio": round(each / plain, 3), "figure": f"<= {FIGURE_MB} MB", "met": each * DAY <= FIGURE_MB * 1e6,
            "records": RECORDS, **machine(),
        })  # fmt: skip
    rows.append({
        "what": "a decision that is no other than the one before", "unit": "ns", "ours": round(unchanged_ns()),
        "rounds": ROUNDS, **machine(),
    })  # fmt: skip
    return rows


def main() -> None:
    """Measure and report."""
    report("audit", run())


if __name__ == "__main__":
    main()
