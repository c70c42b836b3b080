from __future__ import annotations

import pytest

from relay.leaks.pages import MAX_REFERER_CHARS, foreign_page, is_host

ALLOWED = ("https://tv.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        ("", None),
        ("https://tv.example/", None),
        ("https://TV.example:444/watch?x=1", None),
        ("http://localhost/", None),
        ("https://free.example/stream", "free.example"),
        ("https://tv.example.free.example/", "tv.example.free.example"),
        ("https://tv.example@free.example/", "free.example"),
        # What names no host, or no host that may stand in a log, says nothing.
        ("about:blank", None),
        ("android-app://tv", "tv"),
        ("https://[::1/", None),
        ("https://a\nb/", "ab"),
        ("https://fr\u00e9e.example/", None),
        ("https://free.example/" + "x" * MAX_REFERER_CHARS, None),
    ],
)
def test_a_page_that_may_not_show_it(referer: str, page: str | None) -> None:
    assert foreign_page(referer, ALLOWED) == page


def test_any_page_may_where_none_is_named() -> None:
    assert foreign_page("https://free.example/", ()) is None


def test_our_own_host_is_known_by_the_field() -> None:
    assert is_host("relay.example", ["relay.example:8080"])
    assert not is_host("free.example", ["relay.example:8080"])
    assert not is_host("free.example", [])
