"""The opening handshake as its server judges it (RFC 6455, 4.2): a request's fields in, an upgrade or a refusal out.

websockets' pure core can do this too, from the request's bytes. But the guard at the front door has parsed those once,
and when ten thousand come back at once a second parser in Python is what they wait for. A test holds every verdict here
against the core's.

Refused is only what a programmer sees who writes the client. Everything else is told on the socket: browsers cannot see
the status of a refused handshake (TRAPS 18).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from websockets.utils import accept_key

from hub.messages import SUBPROTOCOLS
from kernel.showings import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.subscriber import Format

PATH = "/api/v1/wagering/subscribe"

MAX_TARGET_CHARS = 2_048
"""Ours has under 150. What RFC 9110, 4.1 recommends is 8,000; what browsers and proxies agree on is 2,000."""

_MAX_QUERY_FIELDS = 8
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # RFC 6455, 4.1 (7): 16 bytes in base64

_READ = frozenset(
    {b"authorization", b"connection", b"origin", b"sec-websocket-key", b"sec-websocket-protocol"}
    | {b"sec-websocket-version", b"upgrade"}
)


class Upgrade(NamedTuple):
    """Who comes, and the answer that makes a WebSocket of the connection.

    `token` is the bearer token: None if there is no Authorization field, empty if it holds no token of ours.
    """

    event_id: str
    token: str | None
    origin: str | None
    format: Format
    answer: bytes


class Refusal(NamedTuple):
    """An HTTP status, what was wrong, and the fields that its answer must have."""

    status: int
    detail: str
    fields: tuple[tuple[str, str], ...] = ()


def judge(method: str, target: str, fields: Iterable[tuple[bytes, bytes]]) -> Upgrade | Refusal:
    """Return the upgrade that an HTTP/1.1 request asks for, or why there is none.

    Args:
        method: as it stands in the request line.
        target: path and query, as they stand there.
        fields: names in lower case, and their values.

    Guaranteed: every demand of RFC 6455, 4.2.1 is met by what is upgraded. `Host` is the front door's matter.
    """
    if len(target) > MAX_TARGET_CHARS:
        return Refusal(414, f"the path and its query have more than {MAX_TARGET_CHARS} characters")
    event_id = _event_of(target)
    if isinstance(event_id, Refusal):
        return event_id
    if method != "GET":
        # RFC 9110, 15.5.6: the answer names what is allowed.
        return Refusal(405, "a WebSocket is asked for with GET", (("Allow", "GET"),))
    said: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in _READ:
            said.setdefault(name, []).append(value)
    if (refusal := _refusal(said)) is not None:
        return refusal
    # RFC 6455, 4.2.2: a server that agrees to none of the subprotocols sends none back; no extension is agreed to.
    offered = _tokens(said.get(b"sec-websocket-protocol", ()))
    if offered is None:
        return Refusal(400, "Sec-WebSocket-Protocol: names, separated by commas")
    # RFC 6455, 4.1 (10): the client names them in the order of its preference.
    chosen = next((name for name in map(bytes.decode, offered) if name in SUBPROTOCOLS), None)
    origins = said.get(b"origin")
    return Upgrade(
        event_id,
        _bearer(said.get(b"authorization")),
        origins[0].decode("latin-1") if origins else None,
        SUBPROTOCOLS[chosen] if chosen else "json",
        _answer(said[b"sec-websocket-key"][0].decode(), chosen),
    )


def _refusal(said: dict[bytes, list[bytes]]) -> Refusal | None:
    """Return which demand of RFC 6455, 4.2.1 is not met; the numbers are that clause's."""
    connection = _tokens(said.get(b"connection", ()))
    # 3 and 4: the tokens, in any case.
    if connection is None:
        return Refusal(400, "Connection: names, separated by commas")
    if not any(name.lower() == b"upgrade" for name in connection):
        return _not_asked("Connection: Upgrade")
    upgrade = _tokens(said.get(b"upgrade", ()))
    if upgrade is None or len(upgrade) != 1 or upgrade[0].lower() != b"websocket":
        return _not_asked("Upgrade: websocket")
    # 5: a value that decodes to 16 bytes, once (11.3.1).
    keys = said.get(b"sec-websocket-key", ())
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        return Refusal(400, "Sec-WebSocket-Key: 16 bytes in base64, once")
    # 6, and 4.2.2 (4): the answer names the version that is spoken.
    if said.get(b"sec-websocket-version") != [b"13"]:
        return Refusal(400, "Sec-WebSocket-Version: 13, once", (("Sec-WebSocket-Version", "13"),))
    # RFC 6454, 7.3: a user agent sends no more than one.
    if len(said.get(b"origin", ())) > 1:
        return Refusal(400, "Origin: at most one")
    return None


def _not_asked(field: str) -> Refusal:
    # RFC 9110, 15.5.22: the answer names the protocol.
    return Refusal(426, f"this is a WebSocket: connect with {field}", (("Upgrade", "websocket"),))


# What follows is asked again and again with the same few values. Strangers may fill the caches: with less than 1 MiB.


@lru_cache(maxsize=256)
def _event_of(target: str) -> str | Refusal:
    path, _, query = target.partition("?")
    if path != PATH:
        return Refusal(404, f"there is no socket at this path; subscribe at {PATH}")
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        return Refusal(400, f"the query has more than {_MAX_QUERY_FIELDS} fields")
    if fields.keys() & {"token", "access_token", "authorization"}:
        return Refusal(400, "a token never stands in the URL of a socket: send it as Bearer or in the first frame")
    found = fields.get("event_id", [])
    if len(found) != 1 or not EVENT_ID.fullmatch(found[0]):
        return Refusal(400, "event_id: give one in the query, 1 to 64 letters, digits, '_' or '-'")
    return found[0]


def _tokens(values: Iterable[bytes]) -> list[bytes] | None:
    """Return the names in a field's values; None if there are others than tokens among them."""
    names: list[bytes] = []
    for value in values:
        found = _names(value) if len(value) <= _KEPT_BYTES else _names.__wrapped__(value)
        if found is None:
            return None
        names += found
    return names


_KEPT_BYTES = 512


@lru_cache(maxsize=256)
def _names(value: bytes) -> tuple[bytes, ...] | None:
    # RFC 9110, 5.6.1.2: empty elements are passed over; at least one is not.
    names = tuple(name for part in value.split(b",") if (name := part.strip(b" \t")))
    return names if names and all(map(_TOKEN.fullmatch, names)) else None


def _bearer(fields: list[bytes] | None) -> str | None:
    """Return the token of the one Authorization field (RFC 9110, 11.6.2); anything else there is no token of ours."""
    if fields is None:
        return None
    scheme, _, token = fields[0].decode("latin-1").partition(" ")
    return token.strip() if len(fields) == 1 and scheme.lower() == "bearer" else ""


def _answer(key: str, subprotocol: str | None) -> bytes:
    agreed = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol is not None else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n{agreed}\r\n"
    ).encode("ascii")
