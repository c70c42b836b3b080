"""Every attack that the invariants name stands in docs/security.md, with tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([^|]+) \|([^|]*)\| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")

SECTION = (ROOT / "docs" / "security.md").read_text("utf-8").partition("## Attacks and their tests")[2]
ROWS = [row for row in ROW.findall(SECTION) if row[0] != "attack"]

ATTACKS = (
    "slowloris", "smuggling", "header bombs", "URL bombs", "Host poisoning", "range bombs", "cross-site WebSockets",
    "tokens in query strings", "deflate bombs", "msgpack and JSON bombs", "floods of frames and pings", "JWT none",
    "webhook replay", "key rotation", "access codes", "webhook forgery", "SSRF by origin or redirect", "DNS rebinding",
    "path traversal", "cross-event reads", "X-Forwarded-For", "log injection", "polygon and rule bombs",
    "GPS spoofing", "cache poisoning", "other accounts' sessions", "CSRF", "CSV formulas",
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_has_its_row(attack: str) -> None:
    assert any(attack in row[0] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_row_names_is_there(row: tuple[str, str, str]) -> None:
    named = NAMED.findall(row[2])
    assert named or row[2] == "not built yet"
    for name in named:
        path, _, function = name.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        tests = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        }
        assert tests
        assert not function or function in tests, f"{path} has no {function}"
