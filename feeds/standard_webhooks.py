"""Standard Webhooks 1.0.0: sign a message, and verify that the holder of a secret sent it just now.

The signed content is `{id}.{timestamp}.{raw body}`; its HMAC-SHA256 stands as `v1,<Base64>` in
`webhook-signature`, which may hold several, separated by spaces, while a secret is being rotated. Versions other
than `v1` (such as `v1a`, Ed25519) are passed over.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from kernel.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE_S = 300
"""The specification leaves the number open; its reference libraries take five minutes either way."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of all secrets, not one
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64
"""The specification: secrets have between 24 and 64 bytes."""

_MAX_SIGNATURES = 16
"""Two during a rotation, four when two versions are sent; more is work without meaning."""

_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class SignatureFault(StrEnum):
    """Why a message is not believed; strangers are told only that it is not."""

    MISSING_HEADER = "missing_header"
    BAD_HEADER = "bad_header"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_MATCH = "no_match"


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a message: `v1,` and 44 characters.

    Args:
        secret: the raw key, as `parse_secret` returns it.
        message_id: what stands in `webhook-id`.
        timestamp: what stands in `webhook-timestamp`, Unix seconds.
        body: the raw body, byte for byte.
    """
    return "v1," + _digest(secret, f"{message_id}.{timestamp}.".encode(), body).decode()


def verify(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now: float) -> str | SignatureFault:
    """Return the id of a message that one of `secrets` signed at about `now`, or why it is not believed.

    Guaranteed: never raises, whatever the headers. The time it takes depends on the number of secrets and
    signatures and on the body's length, not on whether or where they match.

    Args:
        secrets: the source's live keys; any one is enough.
        headers: with lower-case names, or insensitive to case.
        body: the raw body, before any parsing.
        now: Unix seconds.
    """
    message_id = headers.get("webhook-id")
    timestamp = headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if message_id is None or timestamp is None or signatures is None:
        return SignatureFault.MISSING_HEADER
    if not _MESSAGE_ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        return SignatureFault.BAD_HEADER
    age_s = now - int(timestamp)
    if age_s > TOLERANCE_S:
        return SignatureFault.TOO_OLD
    if age_s < -TOLERANCE_S:
        return SignatureFault.TOO_NEW
    given = _v1(signatures)
    content = f"{message_id}.{timestamp}.".encode()
    matches = 0
    for secret in secrets:
        expected = _digest(secret, content, body)
        # No early end: which secret matched, if any, must not show in the time.
        matches += sum(hmac.compare_digest(expected, signature) for signature in given)
    return message_id if matches else SignatureFault.NO_MATCH


def parse_secret(text: str) -> bytes:
    """Return the key in a `whsec_...` secret.

    Raises:
        SettingsError: it has another form or length; the message does not repeat it.
    """
    remedy = f"write {SECRET_PREFIX!r} and the Base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes"
    if not text.startswith(SECRET_PREFIX):
        raise SettingsError(f"a webhook secret does not begin with {SECRET_PREFIX!r}: {remedy}")
    try:
        secret = base64.b64decode(text[len(SECRET_PREFIX) :].encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise SettingsError(f"a webhook secret is not Base64: {remedy}") from None
    _check_length(secret, remedy)
    return secret


def new_secret(random: bytes) -> str:
    """Return random bytes in the form in which secrets are exchanged.

    Raises:
        SettingsError: there are fewer than 24 or more than 64 bytes.
    """
    _check_length(random, f"use {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}")
    return SECRET_PREFIX + base64.b64encode(random).decode()


def _digest(secret: bytes, content: bytes, body: bytes) -> bytes:
    mac = hmac.new(secret, content, "sha256")
    mac.update(body)
    return base64.b64encode(mac.digest())


def _v1(signatures: str) -> list[bytes]:
    found = []
    for signature in signatures.split(" ", _MAX_SIGNATURES)[:_MAX_SIGNATURES]:
        version, _, value = signature.partition(",")
        if version == "v1":
            # Compared as text: one signature has one spelling, and nothing has to be decoded.
            found.append(value.encode(errors="replace"))
    return found


def _check_length(secret: bytes, remedy: str) -> None:
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise SettingsError(f"a webhook secret has {len(secret)} bytes: {remedy}")
