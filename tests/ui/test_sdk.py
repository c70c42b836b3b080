"""The browser SDK without a browser: its own tests in Node, its types, its size."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
UI = ROOT / "ui"
MODULES = sorted((UI / "sdk").glob("*.js"))
MAX_GZIP_BYTES = 10 * 1024


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_own_tests_pass() -> None:
    tests = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))
    assert len(tests) >= 4
    run("node", "--test", *tests)


def test_its_types_hold() -> None:
    compiler = UI / "node_modules" / "typescript" / "bin" / "tsc"
    assert compiler.exists(), "run `make test`: it brings the compiler"
    run("node", str(compiler), "--project", str(UI))


def test_it_is_small() -> None:
    size = sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in MODULES)
    assert size <= MAX_GZIP_BYTES, f"{size} bytes"


def test_it_needs_nothing_but_itself() -> None:
    for path in MODULES:
        for source in re.findall(r'^(?:import|export) .* from "([^"]+)";$', path.read_text("utf-8"), re.MULTILINE):
            assert source.startswith("./"), path
            assert (path.parent / source).exists(), path
