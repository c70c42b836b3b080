"""Standard Webhooks 1.0.0, with its Python reference package as the oracle."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from feeds.standard_webhooks import SignatureFault, new_secret, parse_secret, sign, verify
from kernel.errors import SettingsError

KEY = bytes(range(32))
OLD = bytes(range(100, 132))
NOW = 1_774_640_000.0


def headers(message_id: str = "msg_1", at: int = int(NOW), body: bytes = b"{}", key: bytes = KEY) -> dict[str, str]:
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(key, message_id, at, body),
    }


@given(st.binary(min_size=24, max_size=64), st.text(), st.integers(1, 4_000_000_000))
def test_signatures_are_those_of_the_reference(key: bytes, body: str, at: int) -> None:
    reference = Webhook(base64.b64encode(key).decode()).sign("msg_x", datetime.fromtimestamp(at, UTC), body)
    assert sign(key, "msg_x", at, body.encode()) == reference


def test_the_reference_believes_what_we_sign() -> None:
    now = int(datetime.now(UTC).timestamp())
    body = b'{"id":"p1"}'
    Webhook(new_secret(KEY)).verify(body.decode(), headers("m", now, body))
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret(OLD)).verify(body.decode(), headers("m", now, body))


@pytest.mark.parametrize(
    ("change", "now", "verdict"),
    [
        # Believed
        ({}, NOW, "msg_1"),
        ({}, NOW + 300, "msg_1"),
        ({}, NOW - 300, "msg_1"),
        # Time
        ({}, NOW + 300.1, SignatureFault.TOO_OLD),
        ({}, NOW - 300.1, SignatureFault.TOO_NEW),
        ({"webhook-timestamp": str(int(NOW) + 1)}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-timestamp": f"0{int(NOW)}"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-timestamp": f"{int(NOW)}.0"}, NOW, SignatureFault.BAD_HEADER),
        ({"webhook-timestamp": "-1"}, NOW, SignatureFault.BAD_HEADER),
        ({"webhook-timestamp": "9" * 5000}, NOW, SignatureFault.BAD_HEADER),
        ({"webhook-timestamp": "\u0661\u0662"}, NOW, SignatureFault.BAD_HEADER),
        ({"webhook-timestamp": ""}, NOW, SignatureFault.BAD_HEADER),
        # Id
        ({"webhook-id": "msg_2"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-id": ""}, NOW, SignatureFault.BAD_HEADER),
        ({"webhook-id": "a\nb"}, NOW, SignatureFault.BAD_HEADER),
        ({"webhook-id": "x" * 257}, NOW, SignatureFault.BAD_HEADER),
        # Signature
        ({"webhook-signature": ""}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": "v1"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": "v1,"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": "v1,!!!"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": "v1,\ud800"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": " , ,, v1 v2,x"}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": headers()["webhook-signature"].replace("v1", "v1a")}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": headers()["webhook-signature"].rstrip("=")}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": headers()["webhook-signature"] + "="}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": "v1,x " * 16 + headers()["webhook-signature"]}, NOW, SignatureFault.NO_MATCH),
        ({"webhook-signature": "v1,x " * 15 + headers()["webhook-signature"]}, NOW, "msg_1"),
        ({"webhook-signature": "v1a,eA== v2,y " + headers()["webhook-signature"]}, NOW, "msg_1"),
    ],
)
def test_verdicts(change: dict[str, str], now: float, verdict: str) -> None:
    assert verify([KEY], {**headers(), **change}, b"{}", now=now) == verdict


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed(name: str) -> None:
    incomplete = headers()
    del incomplete[name]
    assert verify([KEY], incomplete, b"{}", now=NOW) is SignatureFault.MISSING_HEADER


def test_the_body_is_signed_byte_for_byte() -> None:
    assert verify([KEY], headers(), b"{ }", now=NOW) is SignatureFault.NO_MATCH


def test_any_live_secret_is_enough_while_one_is_rotated() -> None:
    both = sign(OLD, "m", int(NOW), b"x") + " " + sign(KEY, "m", int(NOW), b"x")
    assert verify([KEY], {**headers("m"), "webhook-signature": both}, b"x", now=NOW) == "m"
    assert verify([OLD, KEY], headers("m"), b"{}", now=NOW) == "m"
    assert verify([OLD], headers("m"), b"{}", now=NOW) is SignatureFault.NO_MATCH
    assert verify([], headers("m"), b"{}", now=NOW) is SignatureFault.NO_MATCH


@given(st.fixed_dictionaries({}, optional={name: st.text() for name in headers()}), st.binary())
def test_no_header_raises(given_headers: dict[str, str], body: bytes) -> None:
    assert isinstance(verify([KEY], {**headers(), **given_headers}, body, now=NOW), str)


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_it_was_written(key: bytes) -> None:
    assert parse_secret(new_secret(key)) == key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("AAAA", "does not begin"),
        ("whsec_", "has 0 bytes"),
        ("whsec_AAAA", "has 3 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "has 65 bytes"),
        ("whsec_not base64!", "not Base64"),
        ("whsec_\u00e9", "not Base64"),
    ],
)
def test_other_secrets_are_refused_without_being_shown(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        parse_secret(text)
    assert text == "whsec_" or text not in str(caught.value)


def test_a_new_secret_is_long_enough() -> None:
    with pytest.raises(SettingsError, match="has 16 bytes"):
        new_secret(bytes(16))
