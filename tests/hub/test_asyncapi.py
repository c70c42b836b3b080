from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from hub.asyncapi import document, text

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "asyncapi.json"
# The initiative's own schema, a development dependency in ui/package.json.
SPECIFICATION = ROOT / "ui" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


def test_the_committed_document_is_the_codes() -> None:
    assert COMMITTED.read_text("utf-8") == text(), "python -m hub.asyncapi > docs/asyncapi.json"


def test_the_specification_takes_it() -> None:
    validator = jsonschema.Draft7Validator(json.loads(SPECIFICATION.read_text("utf-8")))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document())] == []
    assert not validator.is_valid({**document(), "operations": {"sub": {"action": "shout"}}})


def test_every_reference_leads_somewhere() -> None:
    whole = document()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: Any = whole
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
                assert target
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(whole)


def test_it_has_what_asyncapi_asks_for() -> None:
    """AsyncAPI 3.0.0: `asyncapi` and `info` with title and version are required; operations have action and channel."""
    whole = json.loads(text())
    assert whole["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= whole["info"].keys()
    assert {one["action"] for one in whole["operations"].values()} == {"send", "receive"}
    named = whole["channels"]["wagering"]["messages"].keys()
    assert named == whole["components"]["messages"].keys()
    for operation in whole["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith("#/channels/wagering/messages/")
    assert whole["x-close-codes"]["4412"] == {"reason": "going_away", "reconnects": True}
