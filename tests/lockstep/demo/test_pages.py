from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kernel.errors import SettingsError
from kernel.io.http import exception_handlers
from lockstep.demo.pages import folder, page_routes, read_pages

PAGES = read_pages(folder())


def client() -> TestClient:
    return TestClient(Starlette(routes=page_routes(PAGES), exception_handlers=exception_handlers))


def test_what_the_page_names_is_there() -> None:
    for name, (body, media_type) in PAGES.items():
        if name.startswith("lib/") or not media_type.startswith("text/"):
            continue
        text = body.decode()
        links = re.findall(r'(?:href|src)="([^"#:]+)"', text) if name == "" else re.findall(r'from "\./([^"]+)"', text)
        below = "sdk/" if name.startswith("sdk/") else ""
        assert all(below + link in PAGES for link in links), (name, links)


def test_nothing_of_it_comes_from_elsewhere() -> None:
    for name, (body, _) in PAGES.items():
        if not name.startswith(("lib/", "sdk/")):
            assert not re.search(rb"https?://(?!www\.w3\.org/)", body), name


def test_it_is_served_under_a_strict_policy() -> None:
    answer = client().get("/demo/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert client().get("/demo/lib/hls.min.mjs").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["nothing.js", "../pyproject.toml", "%2e%2e/libraries.py", "sdk/", "index.html"])
def test_a_path_is_looked_up_and_nothing_else(path: str) -> None:
    assert client().get(f"/demo/{path}").status_code in (404, 405)


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"python ui/libraries\.py"):
        read_pages(tmp_path)
