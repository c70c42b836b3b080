"""Segments encrypted whole (RFC 8216, 4.3.2.4 and 5.2): AES-128 in CBC mode with PKCS #7 padding.

SAMPLE-AES and Common Encryption leave headers in the clear, and with them all times: they need no key here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from kernel.attributes import attribute_list
from kernel.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BYTES = BLOCK_BYTES = 16

# RFC 8216, 4.3.2.4; SAMPLE-AES-CTR and SAMPLE-AES-CENC are what its successor and packagers say for `cenc`.
_IN_THE_CLEAR = {"SAMPLE-AES", "SAMPLE-AES-CTR", "SAMPLE-AES-CENC"}
_IV = re.compile(r"0[xX]([0-9A-Fa-f]{1,32})")  # RFC 8216, 4.2: hexadecimal-sequence; 4.3.2.4: 128 bits


class WholeKey(NamedTuple):
    """What decrypts a segment: where its key is, as the playlist says, and its initialization vector.

    `iv_given` says that the playlist names the vector.
    """

    uri: str
    iv: bytes
    iv_given: bool


def whole_key(key_lines: Sequence[str], msn: int) -> WholeKey | None:
    """Return what decrypts a segment, None where its times are in the clear.

    Args:
        key_lines: the EXT-X-KEY lines in force: the same encryption by different systems of keys.
        msn: the segment's media sequence number at the origin.

    Raises:
        MediaError: it is encrypted whole, and none of the lines gives a key that can be fetched.
        PlaylistError: a line is malformed.
    """
    refused = ""
    for line in key_lines:
        attributes = attribute_list(line.partition(":")[2])
        method = attributes.get("METHOD", "")
        if method in _IN_THE_CLEAR or method == "NONE":
            continue
        if method != "AES-128":
            refused = f"METHOD={method[:40]}, which is not known (RFC 8216, 4.3.2.4)"
        elif attributes.get("KEYFORMAT", "identity") != "identity":
            refused = f"keys of the format {attributes['KEYFORMAT'][:80]!r}: only KEYFORMAT=identity can be fetched"
        elif not attributes.get("URI"):
            refused = "METHOD=AES-128 without a URI"
        else:
            return WholeKey(attributes["URI"], _iv(attributes.get("IV"), msn), "IV" in attributes)
    if refused:
        raise MediaError(f"it is encrypted whole: {refused}")
    return None


def _iv(value: str | None, msn: int) -> bytes:
    if value is None:
        # RFC 8216, 5.2: without the attribute it is the media sequence number, big-endian.
        return msn.to_bytes(BLOCK_BYTES, "big")
    match = _IV.fullmatch(value)
    if match is None:
        raise MediaError("the IV of its EXT-X-KEY is no hexadecimal number of at most 128 bits (RFC 8216, 4.3.2.4)")
    return int(match[1], 16).to_bytes(BLOCK_BYTES, "big")


def decrypted(body: bytes, key: bytes, iv: bytes) -> bytes:
    """Decrypt a segment. 1.5 MB take about a millisecond.

    Args:
        body: all of it.
        key: 16 bytes.
        iv: 16 bytes.

    Raises:
        MediaError: lengths or padding say that something is wrong; the text holds nothing of the key.
    """
    if len(key) != KEY_BYTES:
        raise MediaError(f"the key's URI gives {len(key)} bytes; a key has {KEY_BYTES} (RFC 8216, 5.1)")
    if not body or len(body) % BLOCK_BYTES:
        raise MediaError(f"it has {len(body)} bytes, no whole number of blocks: cut short, or not encrypted at all")
    decryptor, unpadder = Cipher(AES128(key), CBC(iv)).decryptor(), PKCS7(8 * BLOCK_BYTES).unpadder()
    padded = decryptor.update(body) + decryptor.finalize()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise MediaError("it cannot be decrypted: wrong key or IV (its padding is wrong; RFC 8216, 5.2)") from None
