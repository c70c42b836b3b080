"""The console's pages from their templates, and what they are made up of, from memory; the owner of Jinja.

Everything that is put into a page is escaped; a template cannot name what it was not given. No script and no style
stands in a page: browsers are told to run none that does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.responses import Response

from kernel.dates import format_date
from kernel.errors import SettingsError

PREFIX = "/console"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Nobody else is told where our people come from. With `no-referrer` browsers hide the origin of our own forms, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATIC = {
    "console.css": ("console", "text/css"),
    "console.js": ("console", "text/javascript"),
    "htmx.min.js": ("libraries", "text/javascript"),
    "htmx.LICENSE.txt": ("libraries", "text/plain"),
    "mark.svg": ("demo", "image/svg+xml"),
}
_OUTLINE = "outline.json"


@dataclass(frozen=True, slots=True)
class Assets:
    """What the pages are made up of.

    Args:
        templates: by name.
        static: bodies and media types, by name.
        states: the letters of the states of the United States that `land.svg` holds, beside `world`.
    """

    templates: Mapping[str, str]
    static: Mapping[str, tuple[bytes, str]]
    states: tuple[str, ...]


def ui_folder() -> Path:
    """Return where the browsers' files are: in the installed package, or beside it in a working copy."""
    package = Path(__file__).parents[1]
    return package / "ui" if (package / "ui").is_dir() else package.parent / "ui"


def read_assets(ui: Path) -> Assets:
    """Read everything.

    Raises:
        SettingsError: something of it is not there.
    """
    folder = files("lockstep.console").joinpath("templates")
    templates = {one.name: one.read_text("utf-8") for one in folder.iterdir() if one.name.endswith(".html")}
    try:
        static = {name: ((ui / part / name).read_bytes(), kind) for name, (part, kind) in _STATIC.items()}
        outline = json.loads((ui / "libraries" / _OUTLINE).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"the console lacks {error.filename}: run `python ui/libraries.py`") from error
    static["land.svg"] = (_land({**outline["states"], "world": outline["world"]}).encode(), "image/svg+xml")
    return Assets(templates, static, tuple(sorted(outline["states"])))


def _land(paths: Mapping[str, str]) -> str:
    """Return a document of nothing but paths to be used by their names: browsers fetch it once for all maps."""
    drawn = "".join(f'<path id="{name}" d="{path}"/>' for name, path in paths.items())
    return f'<svg xmlns="http://www.w3.org/2000/svg"><defs>{drawn}</defs></svg>'


class Pages:
    """Make pages.

    Args:
        assets: what they are made up of.
        tabs: names and titles of those that each of them leads to.
    """

    def __init__(self, assets: Assets, tabs: Sequence[tuple[str, str]]) -> None:
        self._assets = assets
        self._made = Environment(
            loader=DictLoader(dict(assets.templates)), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._made.globals["all_states"] = assets.states
        self._made.globals["tabs"] = tabs
        self._made.filters["date"] = lambda unix_s: format_date(unix_s)[:19] + "Z"
        self._made.filters["span"] = span
        for name in assets.templates:
            self._made.get_template(name)

    def page(
        self, template: str, values: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return a page, or a part of one."""
        body = self._made.get_template(template).render(values)
        return Response(body, status, {**HEADERS, **(headers or {})}, media_type="text/html")

    def static(self, name: str) -> Response | None:
        """Return a file that pages name, None if there is none called so."""
        found = self._assets.static.get(name)
        if found is None:
            return None
        body, media_type = found
        return Response(body, media_type=media_type, headers={**HEADERS, "Cache-Control": "no-cache"})


def span(ms: int) -> str:
    """Say how long something lasts, in its two largest units; what is negative is nothing."""
    seconds = max(0, ms) // 1_000
    for name, smaller, size, per in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if seconds >= size:
            rest = seconds % size // per
            return f"{seconds // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"
