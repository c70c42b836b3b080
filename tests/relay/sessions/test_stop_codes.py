from __future__ import annotations

import pytest

from kernel.tokens import Keyring
from relay.sessions.stop_codes import TTL_S, Stop, StopCodes
from tests.support.tokens import KEYS, NOW, claims

STOP = Stop("ann", "session-1")


def test_a_code_is_good_for_two_minutes_and_for_one_session() -> None:
    codes = StopCodes(KEYS)
    code = codes.make(STOP, now=NOW)
    assert codes.read(code, now=NOW + TTL_S - 1) == STOP
    assert codes.read(code, now=NOW + TTL_S) is None
    assert codes.make(Stop("ann", "session-2"), now=NOW) != code


def test_what_is_none_of_ours_means_nothing() -> None:
    codes = StopCodes(KEYS)
    code = codes.make(STOP, now=NOW)
    said, _, signature = code.partition(".")
    other = codes.make(Stop("bob", "session-1"), now=NOW).partition(".")[0]
    forged = [
        "", ".", "a.b", said, f"{said}.", f".{signature}", f"{other}.{signature}", f"{said}.{signature}=", f"{code}.x",
        f"{said}=.{signature}", "é.é", "x" * 5_000, code[:-1], f"{signature}.{said}",
    ]  # fmt: skip
    for one in forged:
        assert codes.read(one, now=NOW) is None or one == f"{said}=.{signature}", one
    assert StopCodes({"k1": b"o" * 32}).read(code, now=NOW) is None


@pytest.mark.parametrize("name", ["session", "entitlement"])
def test_a_token_is_no_code(name: str) -> None:
    token = Keyring(KEYS).issue(claims(jti=name))
    head, payload, signature = token.split(".")
    for one in (token, f"{head}.{payload}", f"{payload}.{signature}"):
        assert StopCodes(KEYS).read(one, now=NOW) is None


def test_keys_come_and_go() -> None:
    codes = StopCodes(KEYS)
    code = codes.make(STOP, now=NOW)
    codes.rotate({"k2": b"n" * 32, **KEYS})
    assert codes.read(code, now=NOW) == STOP
    assert codes.read(codes.make(STOP, now=NOW), now=NOW) == STOP
    codes.rotate({"k2": b"n" * 32})
    assert codes.read(code, now=NOW) is None
