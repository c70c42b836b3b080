from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any

import jwt
import pytest

from kernel.errors import SettingsError
from kernel.tokens import Binding, Keyring, Purpose, Reason
from kernel.value import replace
from tests.support.tokens import CLAIMS

KEY, OTHER = b"k" * 32, b"o" * 32


def read(token: str, part: int) -> Any:
    return json.loads(urlsafe_b64decode(token.split(".")[part] + "=="))


def test_what_is_issued() -> None:
    token = Keyring({"new": KEY, "old": OTHER}).issue(CLAIMS)
    assert read(token, 0) == {"alg": "HS256", "kid": "new", "typ": "JWT"}
    assert read(token, 1) == {
        "typ": "session", "jti": "j1", "sub": "a1", "evt": "game", "nbf": 1000, "exp": 2000, "win": [1100, 1900],
        "sid": "s1", "scp": ["wager", "watch"], "pid": "p1",
    }  # fmt: skip
    assert jwt.decode(token, KEY, algorithms=["HS256"], options={"verify_exp": False})["sub"] == "a1"


def test_optional_claims_are_there_or_not() -> None:
    ring = Keyring({"k": KEY})
    told = read(ring.issue(replace(CLAIMS, geo="g", fingerprint="f", plan="s")), 1)
    assert told.items() >= {"geo": "g", "fph": "f", "pln": "s"}.items()
    assert not read(ring.issue(replace(CLAIMS, purchase=None)), 1).keys() & {"pid", "geo", "fph", "net", "dev", "ent"}
    bound = replace(CLAIMS, binding=Binding("n", "tv", "e"))
    assert read(ring.issue(bound), 1).items() >= {"net": "n", "dev": "tv", "ent": "e"}.items()
    assert read(ring.issue(replace(CLAIMS, binding=Binding(device="tv"))), 1).keys() & {"net", "dev", "ent"} == {"dev"}


def test_an_entitlement_says_what_it_is_for() -> None:
    assert read(Keyring({"k": KEY}).issue(CLAIMS, Purpose.ENTITLEMENT), 1)["typ"] == "entitlement"


def test_the_key_is_no_claim() -> None:
    assert replace(CLAIMS, kid="k") == CLAIMS
    assert "k" not in read(Keyring({"x": KEY}).issue(replace(CLAIMS, kid="k")), 1).values()


def test_whatever_is_signed() -> None:
    ring = Keyring({"k": KEY})
    assert read(ring.sign({"x": [1]}), 1) == {"x": [1]}
    with pytest.raises(TypeError):
        ring.sign({"iss": 7})


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (999.999, Reason.NOT_YET_VALID),
        (1000, Reason.OUTSIDE_WINDOW),
        (1099.999, Reason.OUTSIDE_WINDOW),
        (1100, None),
        (1899.999, None),
        (1900, Reason.OUTSIDE_WINDOW),
        (1999.999, Reason.OUTSIDE_WINDOW),
        (2000, Reason.EXPIRED),
    ],
)
def test_the_edges_of_time(now: float, reason: Reason | None) -> None:
    """RFC 7519, 4.1.4 and 4.1.5: `exp` is exclusive, `nbf` inclusive."""
    assert CLAIMS.reason_at(now, "game", "watch") is reason


def test_event_and_scope() -> None:
    assert CLAIMS.reason_at(1500, "other", "watch") is Reason.WRONG_EVENT
    assert CLAIMS.reason_at(1500, "game", "trading") is Reason.SCOPE_MISSING
    assert CLAIMS.reason_at(1500, "game", "wager") is None


def test_ends_at_whatever_comes_first() -> None:
    assert CLAIMS.ends == 1900
    assert replace(CLAIMS, expires=1500).ends == 1500


def test_keys_are_checked_at_the_start() -> None:
    for keys in ({}, {"a": KEY, "b": KEY, "c": KEY}):
        with pytest.raises(SettingsError, match="one or two"):
            Keyring(keys)
    with pytest.raises(SettingsError, match="31 bytes"):
        Keyring({"a": b"k" * 31})
