"""What processes use: processor time and memory, as Linux counts them for their whole families."""

from __future__ import annotations

import time
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it; proc(5), task/[tid]/children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_s(pids: list[int]) -> float:
    """Return the processor time these processes have used, user's and system's, all threads, in seconds.

    It is what /proc/PID/stat has as utime + stime, but to the nanosecond and not to the clock's tick of 10 ms:
    a process's clock is `~pid << 3 | CPUCLOCK_SCHED`, which is what clock_getcpuclockid(3) makes.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def rss_bytes(pid: int) -> int:
    """Return a process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the server has no resident memory: it is gone")
