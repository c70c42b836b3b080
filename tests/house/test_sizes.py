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
MAX_KERNEL_LINES = 4_250
"""3,000, 1,000 for the bus between processes (contract, clock, codecs, transport, and who may write by it), 50 for what
operators say by it, 150 for what gates in several processes share of place, policies and showings, 50 for sessions that
have to go, in video and socket alike."""


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
    lines = sum(_code_lines(path) for path in (ROOT / "kernel").rglob("*.py"))
    assert lines <= MAX_KERNEL_LINES, f"{lines} lines of code: what only one house needs belongs there"


def _code_lines(path: Path) -> int:
    """Count the lines that are code: explaining more must never be what breaks the budget."""
    text = path.read_text("utf-8")
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert node.end_lineno is not None
            told.update(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in told for n, line in lines)
