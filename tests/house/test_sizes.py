"""Files and functions stay readable: DESIGN's sizes, held by the parser and not by a reviewer's patience."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("kernel", "feeds", "hub", "relay", "lockstep")
SOURCES = [path for house in HOUSES for path in sorted((ROOT / house).rglob("*.py"))]
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_KERNEL_LINES = 2_500


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_the_kernel_keeps_to_its_budget() -> None:
    code = 0
    for path in (ROOT / "kernel").rglob("*.py"):
        lines = path.read_text("utf-8").splitlines()
        code += sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)
    assert code <= MAX_KERNEL_LINES, f"{code} lines: what only one house needs belongs there"
