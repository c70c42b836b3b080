"""One word per thing, and nothing in the tree that belongs elsewhere."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("kernel", "feeds", "hub", "relay", "lockstep")
SOURCES = [path for house in HOUSES for path in sorted((ROOT / house).rglob("*.py"))]
EMPTY_WORDS = re.compile(r"Manager|Helper|Util|Service(?!Unavailable)")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_says_nothing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            assert not EMPTY_WORDS.search(node.name), node.name
    assert not re.search(r"manager|helper|utils?|service", path.stem)


def _tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


def test_no_build_output_and_no_lock_file_is_committed() -> None:
    names = [str(path.relative_to(ROOT)) for path in _tracked()]
    for name in names:
        assert not re.search(r"(^|/)(node_modules|dist|build|var|__pycache__)/", name), name
        assert not re.search(r"(package-lock\.json|yarn\.lock|poetry\.lock|uv\.lock)$", name), name
        assert not re.search(r"\.(ts|mp4|m4s|whl|sqlite)$", name), f"{name}: media is made by fixtures/generate.py"


def test_no_machine_path_and_no_registry_is_named() -> None:
    places = re.compile(
        r"(?<![\w.])/(?:home|root|Users)/\w|registry\.npmjs|pypi\.org|files\.pythonhosted", re.IGNORECASE
    )
    for path in _tracked():
        if path == Path(__file__) or not path.exists():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        assert not places.search(text), f"{path.relative_to(ROOT)}: {places.search(text)}"


def test_pins_are_exact() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[^ ;@]+", line), line
