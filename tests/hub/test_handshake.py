"""The judge of handshakes: verdict by verdict, and against websockets' own core."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from hub.handshake import MAX_TARGET_CHARS, PATH, Refusal, Upgrade, judge
from hub.messages import SUBPROTOCOLS

TARGET = f"{PATH}?event_id=game"
KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
ASKED = [
    (b"host", b"x"),
    (b"upgrade", b"websocket"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
]
Fields = list[tuple[bytes, bytes]]


def upgraded(*more: tuple[bytes, bytes]) -> Upgrade:
    verdict = judge("GET", TARGET, [*ASKED, *more])
    assert isinstance(verdict, Upgrade)
    return verdict


def refused(method: str = "GET", target: str = TARGET, **changes: bytes | None) -> Refusal:
    """Return the refusal of a request in which some fields have another value, or, with None, do not stand."""
    changed = {name.replace("_", "-").encode(): value for name, value in changes.items()}
    fields = [(name, changed.pop(name, value)) for name, value in ASKED]
    verdict = judge(method, target, [(name, value) for name, value in fields if value is not None])
    assert not changed
    assert isinstance(verdict, Refusal)
    return verdict


def test_the_answer() -> None:
    """RFC 6455, 1.3 and 4.2.2, with the example's key."""
    fields = [(name, b"dGhlIHNhbXBsZSBub25jZQ==" if value is KEY else value) for name, value in ASKED]
    verdict = judge("GET", TARGET, [*fields, (b"sec-websocket-protocol", b"chat, lockstep.v1.msgpack")])
    assert isinstance(verdict, Upgrade)
    assert verdict.answer == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: lockstep.v1.msgpack\r\n\r\n"
    )


def test_who_comes() -> None:
    assert upgraded()[:4] == ("game", None, None, "json")
    assert upgraded((b"origin", b"https://a.example"), (b"authorization", b"bearer  abc "))[:4] == (
        "game",
        "abc",
        "https://a.example",
        "json",
    )


@pytest.mark.parametrize("fields", [[b"Basic abc"], [b"Bearer a", b"Bearer b"], [b""], [b"Bearer"]])
def test_what_is_no_bearer_token(fields: list[bytes]) -> None:
    assert upgraded(*((b"authorization", field) for field in fields)).token == ""


@pytest.mark.parametrize(
    ("offered", "format_"),
    [
        ([b"lockstep.v1.json, lockstep.v1.msgpack"], "json"),
        ([b"chat", b"lockstep.v1.msgpack,lockstep.v1.json"], "msgpack"),
        ([b"chat"], "json"),
    ],
)
def test_the_clients_first_of_ours_is_spoken(offered: list[bytes], format_: str) -> None:
    """RFC 6455, 4.2.2: the server picks one that was offered, or sends no field at all."""
    verdict = upgraded(*((b"sec-websocket-protocol", one) for one in offered))
    assert verdict.format == format_
    assert (b"Sec-WebSocket-Protocol" in verdict.answer) == (offered != [b"chat"])


@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ("/elsewhere?event_id=game", 404, PATH),
        (PATH, 400, "event_id"),
        (f"{PATH}?event_id=a.b", 400, "event_id"),
        (f"{PATH}?event_id=game&event_id=game", 400, "event_id"),
        (f"{TARGET}&token=x", 400, "Bearer"),
        (f"{PATH}?" + "&".join("abcdefghijk"), 400, "fields"),
        (f"{TARGET}&x=".ljust(MAX_TARGET_CHARS + 1, "x"), 414, "characters"),
    ],
)
def test_targets_that_are_none(target: str, status: int, says: str) -> None:
    refusal = refused(target=target)
    assert refusal.status == status
    assert says in refusal.detail


def test_a_refusal_has_the_fields_that_its_status_demands() -> None:
    assert refused("POST")[::2] == (405, (("Allow", "GET"),))
    # RFC 6455, 4.4: the versions that are spoken.
    assert refused(sec_websocket_version=b"8")[::2] == (400, (("Sec-WebSocket-Version", "13"),))
    for fields in ({"connection": None}, {"connection": b"close"}, {"upgrade": None}, {"upgrade": b"h2c"}):
        assert refused(**fields)[::2] == (426, (("Upgrade", "websocket"),))


def test_what_is_asked_for_in_the_wrong_form() -> None:
    for fields in (
        {"connection": b"Upgrade, @"},
        {"sec_websocket_key": None},
        {"sec_websocket_key": b"c2hvcnQ="},
        {"sec_websocket_key": KEY[:-1]},
        {"sec_websocket_version": None},
    ):
        assert refused(**fields).status == 400
    for twice in (ASKED[3], ASKED[4], (b"origin", b"a")):
        verdict = judge("GET", TARGET, [*ASKED, twice, twice])
        assert isinstance(verdict, Refusal)
        assert verdict.status == 400
    verdict = judge("GET", TARGET, [*ASKED, (b"sec-websocket-protocol", b"a b")])
    assert verdict == Refusal(400, "Sec-WebSocket-Protocol: names, separated by commas")


def test_long_lists_are_read_too() -> None:
    assert upgraded((b"sec-websocket-protocol", b"chat," * 300 + b"lockstep.v1.msgpack")).format == "msgpack"


# Against the core.

_WORDS = st.sampled_from([b"Upgrade", b"upgrade", b"keep-alive", b"websocket", b"WebSocket", b"h2c", b"a b", b"", b"@"])
_LISTS = st.lists(_WORDS, min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from([b",", b", ", b" ,\t", b",,"]).map(lambda comma: comma.join(words).strip(b" \t"))
)
_OFFERS = st.lists(
    st.sampled_from([*(name.encode() for name in SUBPROTOCOLS), b"chat", b"", b"a/b"]), min_size=1, max_size=3
).map(b", ".join)
_KEYS = st.one_of(
    st.just(KEY),
    st.binary(min_size=14, max_size=18).map(base64.b64encode),
    st.text("Aa+/=-_ \u00e4", max_size=26).map(lambda text: text.strip().encode("latin-1")),
)
_VALUES = {
    b"upgrade": st.one_of(st.just(b"websocket"), _LISTS),
    b"connection": st.one_of(st.just(b"Upgrade"), _LISTS),
    b"sec-websocket-key": _KEYS,
    b"sec-websocket-version": st.sampled_from([b"13", b"13", b"13", b"8", b"013", b""]),
    b"sec-websocket-protocol": _OFFERS,
    b"sec-websocket-extensions": st.sampled_from([b"permessage-deflate", b"x;;"]),
    b"origin": st.sampled_from([b"https://a.example", b"null"]),
}


@st.composite
def _requests(draw: st.DrawFn) -> Fields:
    fields: Fields = []
    for name, values in _VALUES.items():
        optional = name in (b"sec-websocket-protocol", b"sec-websocket-extensions", b"origin")
        often = [1, 1, 1, 1, 1, 0, 2] if not optional else [0, 1, 1, 2]
        fields += [(name, draw(values)) for _ in range(draw(st.sampled_from(often)))]
    return draw(st.permutations(fields))


def _by_the_core(method: str, fields: Fields) -> bytes | int:
    core = ServerProtocol(subprotocols=None, select_subprotocol=_select, logger=logging.getLogger("tests.quiet"))
    headers = Headers()
    for name, value in fields:
        headers.set_insecure(name.decode(), value.decode("latin-1"))
    response = core.accept(Request(TARGET, headers, method))
    if response.status_code != 101:
        return response.status_code
    del response.headers["Date"]
    return response.serialize()


def _select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name in SUBPROTOCOLS), None)


@given(fields=_requests(), method=st.sampled_from(["GET", "GET", "GET", "POST"]))
def test_every_verdict_is_the_cores(fields: Fields, method: str) -> None:
    verdict, core = judge(method, TARGET, fields), _by_the_core(method, fields)
    if isinstance(verdict, Upgrade):
        # RFC 9110, 6.6.1: 101 may go without a Date.
        assert verdict.answer == core
    else:
        assert isinstance(core, int)
        # Where several things are wrong, and where a list is none, the two may name another one first.
        assert verdict.status == core or {verdict.status, core} <= {400, 426}
