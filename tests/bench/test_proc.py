"""Processor time and memory of others, as the kernel counts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench._proc import cpu_s, family, rss_bytes

BURN = """
import subprocess, sys, threading, time
def burn():
    while time.process_time() < 0.1:
        pass
one = threading.Thread(target=burn)
one.start()
one.join()
if sys.argv[1] == "parent":
    command = [sys.executable, "-c", sys.argv[2], "child", ""]
    with subprocess.Popen(command, stdin=sys.stdin, stdout=subprocess.PIPE) as child:
        print(child.pid if child.stdout.readline() else "", flush=True)
else:
    print("burnt", flush=True)
    sys.stdin.read()
"""
"""It uses 0.1 s in a thread that ends, has a child do the same, then both stand still until stdin ends."""


@pytest.fixture
def parent_and_child() -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-c", BURN, "parent", BURN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


def test_a_family_is_a_process_and_all_that_descend_from_it(parent_and_child: tuple[int, int]) -> None:
    parent, child = parent_and_child
    assert family(parent) == [parent, child]
    assert family(child) == [child]


def test_processor_time_is_that_of_all_threads_and_agrees_with_proc(parent_and_child: tuple[int, int]) -> None:
    used = 0.0
    for pid in parent_and_child:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        in_ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        assert in_ticks >= 0.08
        # Each of the two is cut off at a tick.
        assert cpu_s([pid]) == pytest.approx(in_ticks, abs=0.03)
        used += cpu_s([pid])
    assert cpu_s(list(parent_and_child)) == pytest.approx(used, abs=0.001)


def test_our_own_processor_time_is_what_python_says() -> None:
    before = time.process_time()
    told = cpu_s([os.getpid()])
    assert before <= told <= time.process_time()


def test_resident_memory_grows_by_what_is_written_to() -> None:
    before = rss_bytes(os.getpid())
    held = bytearray(b"x" * 64_000_000)
    # Linux counts per processor and adds up in batches: it is told a little late.
    assert rss_bytes(os.getpid()) - before > len(held) / 2


def test_who_is_gone_is_said_to_be_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(RuntimeError, match="gone"):
        rss_bytes(process.pid)
    process.wait()
