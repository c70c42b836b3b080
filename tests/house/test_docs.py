"""The documentation is true of what is there: links lead somewhere, settings have a line, commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from lockstep.cli import app
from lockstep.leaks import LeakSettings
from lockstep.settings import (
    AddressSettings,
    AuditSettings,
    BusSettings,
    IssuerSettings,
    LimitsSettings,
    OperatorSettings,
    PlaceSettings,
    Settings,
    ShowingsApiSettings,
    ShowingSettings,
    SourceSettings,
)

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for model in (
        Settings, AddressSettings, AuditSettings, BusSettings, IssuerSettings, LeakSettings, LimitsSettings,
        OperatorSettings, PlaceSettings, ShowingsApiSettings, ShowingSettings, SourceSettings,
    ):  # fmt: skip
        for name in model.model_fields:
            assert f"`{name}`" in text, f"docs/settings.md does not speak of {name}"


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    commands = getattr(get_command(app), "commands")  # noqa: B009 - typer hides the type of click's group
    assert len(commands) >= 8
    for name in commands:
        assert f"lockstep {name}" in text, f"docs/commands.md does not speak of {name}"


def test_every_file_of_the_houses_is_on_the_map() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for house in ("kernel", "feeds", "hub", "relay", "lockstep"):
        for path in (ROOT / house).rglob("*.py"):
            if path.name != "__init__.py":
                assert f"`{path.relative_to(ROOT)}`" in text, f"docs/architecture.md does not speak of {path}"
