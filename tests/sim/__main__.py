"""Run the simulator: `python -m tests.sim --seed 7`, or `--seeds 0-999`."""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
import time
from collections import Counter

from tests.sim.world import Result, simulate


def main() -> int:
    """Run the seeds that are asked for; the exit code says whether all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed; the last lines of its trace are printed")
    parser.add_argument("--seeds", default="0-199", help="a range of seeds, both ends included (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share the seeds")
    parser.add_argument("--digest", action="store_true", help="print each seed's trace hash")
    parser.add_argument("--brief", action="store_true", help="end at the first failure, and say of it only the least")
    options = parser.parse_args()
    if options.seed is not None:
        result = simulate(options.seed)
        report(result)
        print(f"{result.deliveries} deliveries, {result.lines} lines of trace, hash {result.digest}")
        print(totals(result.counts))
        return int(result.violation is not None)
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if options.jobs > 1:
        return in_parallel(seeds, options.jobs)
    return in_turn(seeds, digest=options.digest, brief=options.brief)


def in_turn(seeds: range, *, digest: bool, brief: bool) -> int:
    """Run seeds one after the other; `brief`: up to the first that does not hold."""
    deliveries, began, counts, failed = 0, time.process_time(), Counter[str](), list[int]()
    # What has been imported stays: whoever looks for garbage between two seeds need not look at it.
    gc.freeze()
    for seed in seeds:
        result = simulate(seed)
        deliveries += result.deliveries
        counts += result.counts
        if digest:
            print(f"{seed} {result.digest}")
        if result.violation is not None:
            report(result, brief=brief)
            if brief:
                return 1
            failed.append(seed)
    took_s = time.process_time() - began
    print(totals(counts))
    outcome = f"NOT all held, {failed} did not" if failed else "all held"
    print(f"seeds {seeds[0]}-{seeds[-1]}: {outcome}, {deliveries} deliveries, {took_s:.1f} s of CPU")
    return int(bool(failed))


def in_parallel(seeds: range, jobs: int) -> int:
    """Let several processes run a part each, and say what came of it all."""
    began = time.perf_counter()
    size = -(-len(seeds) // jobs)
    parts = [seeds[at : at + size] for at in range(0, len(seeds), size)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.sim", "--seeds", f"{part[0]}-{part[-1]}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in parts
    ]
    said = [process.communicate()[0] for process in running]
    failed = [text for text, process in zip(said, running, strict=True) if process.returncode]
    for text in failed:
        print(text)
    deliveries = sum(int(found) for text in said for found in re.findall(r"(\d+) deliveries", text))
    counts = Counter[str]()
    for text in said:
        counts.update({name: int(count) for name, count in re.findall(r"^  (\S.*?) +(\d+)$", text, re.MULTILINE)})
    print(totals(counts))
    took_s = time.perf_counter() - began
    outcome = "NOT all held" if failed else "all held"
    print(f"seeds {seeds[0]}-{seeds[-1]}: {outcome}, {deliveries} deliveries, {took_s:.1f} s, {len(parts)} processes")
    return int(bool(failed))


def totals(counts: Counter[str]) -> str:
    """Return what happened how often, a line each."""
    return "\n".join(f"  {name:40}{counts[name]:>10}" for name in sorted(counts))


def report(result: Result, *, brief: bool = False) -> None:
    """Say what went wrong, what led to it, and how to see it again; `brief`: what went wrong, in one line."""
    if not brief:
        print("\n".join(result.tail))
        print(f"again: .venv/bin/python -m tests.sim --seed {result.seed}")
    print(f"seed {result.seed}: {result.violation or 'held'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
