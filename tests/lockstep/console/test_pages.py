from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from kernel.errors import SettingsError
from lockstep.console.pages import Pages, read_assets, ui_folder
from tests.lockstep.console.rig import ASSETS, TABS


def test_what_templates_name_is_there() -> None:
    for name, text in ASSETS.templates.items():
        for link in re.findall(r'(?:href|src)="/console/static/([^"#]+)', text):
            assert link in ASSETS.static, (name, link)


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    ours = [text for name, (body, _) in ASSETS.static.items() if name.startswith("console") for text in [body.decode()]]
    for text in [*ASSETS.templates.values(), *ours]:
        assert not re.search(r"https?://", text)
    for name, text in ASSETS.templates.items():
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", text), name
        assert "|safe" not in text.replace(" ", ""), name


def test_htmx_is_told_to_evaluate_nothing() -> None:
    config = re.search(r"htmx-config\" content='([^']+)'", ASSETS.templates["base.html"])
    assert config is not None
    told = json.loads(config[1])
    assert told["allowEval"] is told["allowScriptTags"] is told["includeIndicatorStyles"] is False
    assert told["historyCacheSize"] == 0


def test_what_is_put_into_a_page_is_escaped() -> None:
    page = Pages(ASSETS, TABS).page("refused.html", {"status": 403, "why": "<script>alert(1)</script>"}, status=403)
    assert b"&lt;script&gt;" in bytes(page.body)
    assert b"<script>" not in bytes(page.body)
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_a_template_cannot_name_what_it_was_not_given() -> None:
    with pytest.raises(UndefinedError):
        Pages(ASSETS, TABS).page("refused.html", {"status": 403})
    with pytest.raises(UndefinedError):
        Pages(replace(ASSETS, templates={"x.html": "{{ nothing }}"}), TABS).page("x.html", {})


def test_the_land_has_every_state_and_the_world() -> None:
    body, media_type = ASSETS.static["land.svg"]
    assert media_type == "image/svg+xml"
    assert len(ASSETS.states) == 51
    assert set(re.findall(r'id="(\w+)"', body.decode())) == {*ASSETS.states, "world"}
    assert len(body) < 150_000


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"console\.css.*ui/libraries\.py"):
        read_assets(tmp_path)
    assert (ui_folder() / "console").is_dir()
