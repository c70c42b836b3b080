from __future__ import annotations

import pytest

from kernel.showings import Showing
from relay.io.headers import PLAYLIST_TYPE, head_fields, playlist_response

OPEN = Showing("game", "http://o.test/x.m3u8")
NAMED = Showing("game", "http://o.test/x.m3u8", allowed_origins=("https://a.test", "https://b.test"))


@pytest.mark.parametrize(
    ("showing", "origin", "allowed", "credentials", "varies"),
    [
        # Nobody is named: any page may read, none with its cookies
        (OPEN, "https://a.test", "*", None, None),
        (OPEN, None, "*", None, None),
        (None, "https://a.test", "*", None, None),
        # Some are named
        (NAMED, "https://a.test", "https://a.test", "true", "Origin"),
        (NAMED, "https://b.test", "https://b.test", "true", "Origin"),
        (NAMED, "https://c.test", None, None, "Origin"),
        (NAMED, "null", None, None, "Origin"),
        (NAMED, None, None, None, "Origin"),
    ],
)
def test_which_pages_may_read(
    showing: Showing | None, origin: str | None, allowed: str | None, credentials: str | None, varies: str | None
) -> None:
    headers = {name.decode(): value.decode() for name, value in head_fields(origin, showing)}
    assert headers.get("access-control-allow-origin") == allowed
    assert headers.get("access-control-allow-credentials") == credentials
    assert headers.get("vary") == varies
    assert ("access-control-expose-headers" in headers) == (allowed is not None)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_playlist_is_private() -> None:
    response = playlist_response("#EXTM3U\n")
    assert response.headers["content-type"] == PLAYLIST_TYPE
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.body == b"#EXTM3U\n"
