"""Hold our readers against others: `python -m bench.readers`.

Two segments of 2 s and 6 Mbit/s with the same pictures, one a transport stream, one fMP4 with negative composition
offsets, and the small fixtures, are read by ours and by mux.js's inspectors and npm's mp4box, which node runs; the
packages are fetched on demand. Said is by how many ticks they differ, and how long each takes. Node's time is that of
a warm process; ours is `SegmentReader`'s, with its thread or its child process, as the ingest calls it.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from bench._packages import PEERS, Absent, node_modules
from bench._skips import skip
from bench.timing import OUT, encode, segment
from feeds.boxes import Walk
from feeds.io.demux import Demuxer
from feeds.io.segments import read_init, timed
from fixtures.fragmented import NEGATIVE_OFFSETS, make_fmp4, make_fmp4_edit_list
from fixtures.transport import make_bframes, make_plain, make_wrap
from kernel.io.system_time import monotonic, wall

if TYPE_CHECKING:
    from feeds.io.segments import Init
    from feeds.media import SegmentMedia

RUNS = 200
FIGURE_MS = 2.0
"""Of an fMP4 segment; that of a transport stream is 4 ms and stands in `bench.timing`."""


def large() -> list[dict[str, Any]]:
    """Make the two large segments, unless they are there."""
    transport = segment()
    init, fragment = OUT / "readers-init.mp4", OUT / "readers-2s-6mbit.m4s"
    if not fragment.exists():
        file = io.BytesIO()
        with av.open(file, "w", format="mp4", options={"movflags": NEGATIVE_OFFSETS}) as container:
            encode(container)
        body = file.getvalue()
        starts = [box.start - 8 for box in Walk(body).top() if box.kind in (b"moof", b"mfra")]
        init.write_bytes(body[: starts[0]])
        fragment.write_bytes(body[starts[0] : starts[-1]])
    return [job_of("large", transport), job_of("large", fragment, init)]


def small() -> list[dict[str, Any]]:
    """Make the small segments."""
    jobs = []
    for make in (make_plain, make_bframes, make_wrap, make_fmp4, make_fmp4_edit_list):
        out = OUT / "readers" / make.__name__.removeprefix("make_")
        make(out)
        for path in sorted([*out.glob("*.ts"), *out.glob("*.m4s")])[:3]:
            init = out / "init.mp4"
            jobs.append(job_of(out.name, path, init if init.exists() else None))
    return jobs


def job_of(name: str, path: Path, init: Path | None = None) -> dict[str, Any]:
    """Return what the readers in node are given of a segment."""
    kind = "mpegts" if init is None else "fmp4"
    return {"name": name, "kind": kind, "segment": str(path), "init": None if init is None else str(init)}


def _bytes(job: dict[str, Any]) -> tuple[bytes, Init | None]:
    init = None if job["init"] is None else read_init(Path(job["init"]).read_bytes())
    return Path(job["segment"]).read_bytes(), init


async def _ours(jobs: list[dict[str, Any]]) -> list[tuple[SegmentMedia, float]]:
    demuxer, found = Demuxer(), []
    try:
        for job in jobs:
            body, init = _bytes(job)
            media, times = await timed(body, demuxer, init), []
            for _ in range(RUNS if job["name"] == "large" else 1):
                begun = monotonic()
                await timed(body, demuxer, init)
                times.append(1000 * (monotonic() - begun))
            found.append((media, statistics.median(times)))
    finally:
        await demuxer.aclose()
    return found


def theirs(jobs: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return what the others say of some segments: for each, what each reader of its kind says.

    Raises:
        Absent: there is no node here, or its packages cannot be had.
    """
    packages = node_modules(PEERS).parent
    script = Path(__file__).with_name("readers.js")
    done = subprocess.run(["node", script, packages], input=json.dumps(jobs).encode(), capture_output=True, check=True)
    answer: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return answer


def difference_ticks(job: dict[str, Any], media: SegmentMedia, theirs: list[int]) -> int:
    """Return by how many ticks the worst picture differs."""
    lead = media.lead
    if job["kind"] == "mpegts":
        return abs(lead.start - theirs[0])
    if len(theirs) != len(lead.pts):
        raise RuntimeError(f"{job['segment']}: {len(theirs)} pictures where we find {len(lead.pts)}")
    return max(abs(ours - other) for ours, other in zip(lead.pts, theirs, strict=True))


def run() -> dict[str, Any]:
    """Measure, write `out/readers.json`, and return what stands in it."""
    jobs = [*large(), *small()]
    ours = asyncio.run(_ours(jobs))
    try:
        others = theirs(jobs)
    except Absent as error:
        skip("readers, mux.js and mp4box", str(error))
        others = [[] for _ in jobs]
    rows: list[dict[str, Any]] = []
    for index, (job, (media, ms)) in enumerate(zip(jobs, ours, strict=True)):
        row: dict[str, Any] = {"segment": f"{job['name']}/{Path(job['segment']).name}", "kind": job["kind"]}
        row["ours_ms"] = round(ms, 3) if job["name"] == "large" else None
        for other in others[index]:
            name = f"{other['reader']} {other['version']}"
            row[name] = {"ticks": difference_ticks(job, media, other["pts"]), "ms": round(other["ms"], 3)}
        rows.append(row)
    fmp4_ms = rows[1]["ours_ms"]
    worst = max((value["ticks"] for row in rows for value in row.values() if isinstance(value, dict)), default=None)
    result = {
        "what": "timing a 2 s, 6 Mbit/s fMP4 segment",
        "unit": "ms",
        "ours": fmp4_ms,
        "figure": FIGURE_MS,
        "worst_difference_ticks": worst,
        "met": fmp4_ms <= FIGURE_MS and worst in (0, None),
        "rows": rows,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.fromtimestamp(wall(), UTC).isoformat(timespec="seconds"),
    }
    (OUT / "readers.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def main() -> None:
    """Run it and print the result."""
    result = run()
    for row in result["rows"]:
        others = [f"{name} {value['ticks']} ticks, {value['ms']} ms" for name, value in row.items() if " " in name]
        ours = "" if row["ours_ms"] is None else f" ours {row['ours_ms']} ms;"
        print(f"{row['segment']}:{ours} {'; '.join(others)}")
    if result["worst_difference_ticks"] is None:
        print("no yardstick")
    else:
        print(f"worst difference of a picture: {result['worst_difference_ticks']} ticks (figure: 0)")
    print(f"{result['what']}: {result['ours']} ms; at most {FIGURE_MS}: {'met' if result['met'] else 'MISSED'}")
    print(f"{result['machine']}; {result['date']}")


if __name__ == "__main__":
    main()
