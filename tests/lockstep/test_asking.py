from __future__ import annotations

import pytest

from lockstep.asking import AskError, Server
from tests.support.desk_double import DeskDouble, desk_double

__all__ = ["desk_double"]


def test_what_is_asked_and_answered(desk_double: DeskDouble) -> None:
    desk_double.answers["PUT /a"] = (200, {"x": 1})
    desk_double.answers["DELETE /a"] = (204, None)
    server = Server(desk_double.url + "/", "lko_key")
    assert server.ask("PUT", "/a", content=b'{"y":2}', headers={"If-Match": '"1"'}) == {"x": 1}
    assert server.ask("DELETE", "/a") == {}
    first, second = desk_double.asked
    assert (first.method, first.path, first.content) == ("PUT", "/a", b'{"y":2}')
    assert (first.headers["authorization"], first.headers["if-match"]) == ("Bearer lko_key", '"1"')
    assert first.headers["content-type"] == "application/json"
    assert second.content == b""


def test_pages(desk_double: DeskDouble) -> None:
    desk_double.answers["GET /l?limit=1000&after=0"] = (200, {"all": [{"n": 1}], "next_after": 7})
    desk_double.answers["GET /l?limit=1000&after=7"] = (200, {"all": [{"n": 2}], "next_after": None})
    assert Server(desk_double.url, "k").pages("/l", "all") == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {}, "does not know the operator's key"),
        (422, {"detail": "watch.moon: no such field"}, "answered 422: watch.moon"),
        (503, {"title": "Service Unavailable"}, "answered 503: Service Unavailable"),
        (500, b"<html>", "answered 500: Internal Server Error"),
        (500, [], "answered 500: Internal Server Error"),
    ],
)
def test_what_is_refused_is_said(desk_double: DeskDouble, status: int, body: object, says: str) -> None:
    desk_double.answers["GET /a"] = (status, body)
    with pytest.raises(AskError, match=says) as raised:
        Server(desk_double.url, "k").ask("GET", "/a")
    assert raised.value.status == status


def test_nobody_there(desk_double: DeskDouble) -> None:
    for url in (desk_double.closed_url, "http://[", "nonsense"):
        with pytest.raises(AskError, match="cannot be reached"):
            Server(url, "k").ask("GET", "/a")
