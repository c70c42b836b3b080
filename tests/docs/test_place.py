"""docs/place.md is true: its policies compile, each reason has its row, and each row a test that is there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from kernel.tokens import Reason
from relay.place.condition_text import ConditionReader
from relay.place.lint import Kind, findings
from relay.place.policy import compile_policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "place.md").read_text("utf-8")
POLICIES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
CONDITIONS = [text for text in re.findall(r"^\| .*", PAGE, re.MULTILINE) for text in re.findall(r"`(\{.*?\})`", text)]
REASONS = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([\w/.]+)::(\w+)` \|$", PAGE, re.MULTILINE)


def test_its_policies_compile_and_lint_finds_nothing() -> None:
    assert POLICIES
    for text in POLICIES:
        assert findings(compile_policy(text)) == []


@pytest.mark.parametrize("text", CONDITIONS)
def test_its_conditions_are_conditions(text: str) -> None:
    if "..." not in text:
        ConditionReader().read(json.loads(text), "where")


def test_each_kind_of_condition_has_its_row() -> None:
    for kind in ConditionReader()._kinds:
        assert any(text.startswith(f'{{"{kind}": ') for text in CONDITIONS), kind
    for finding in Kind:
        assert f"`{finding}`" in PAGE, finding


def test_each_reason_of_place_has_its_row() -> None:
    assert {name for name, _, _ in REASONS} == {reason for reason in Reason if reason.is_geo or reason.is_network}
    for _, path, function in REASONS:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, function
