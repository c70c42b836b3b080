from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.aes128 import WholeKey, decrypted, whole_key
from fixtures.encrypted import IV, KEY, encrypted
from kernel.errors import MediaError, PlaylistError

SAMPLES = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"'


def test_without_an_iv_the_number_of_the_segment_is_taken() -> None:
    """RFC 8216, 5.2: its big-endian binary representation in 16 octets."""
    assert whole_key(['#EXT-X-KEY:METHOD=AES-128,URI="k"'], 0x1234) == WholeKey(
        "k", bytes(14) + b"\x12\x34", iv_given=False
    )


def test_an_iv_is_a_hexadecimal_number() -> None:
    line = '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0X0aFf,KEYFORMAT="identity"'
    assert whole_key([line], 7) == WholeKey("k", bytes(14) + b"\x0a\xff", iv_given=True)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [SAMPLES],
        ["#EXT-X-KEY:METHOD=NONE"],
        [SAMPLES, '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="data:x",KEYFORMAT="urn:uuid:edef8ba9"'],
    ],
)
def test_encrypted_samples_leave_times_in_the_clear(lines: list[str]) -> None:
    assert whole_key(lines, 0) is None


def test_of_several_keys_the_one_that_can_be_fetched_is_taken() -> None:
    other = '#EXT-X-KEY:METHOD=AES-128,URI="x",KEYFORMAT="com.example"'
    found = whole_key([other, '#EXT-X-KEY:METHOD=AES-128,URI="k"'], 0)
    assert found is not None
    assert found.uri == "k"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="com.example"', "only KEYFORMAT=identity"),
        ('#EXT-X-KEY:METHOD=ROT13,URI="k"', "METHOD=ROT13, which is not known"),
        ("#EXT-X-KEY:METHOD=AES-128", "without a URI"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12', "no hexadecimal number"),
        (f'#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x{"1" * 33}', "at most 128 bits"),
    ],
)
def test_what_cannot_be_decrypted_is_said(line: str, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        whole_key([line], 0)
    with pytest.raises(PlaylistError):
        whole_key(["#EXT-X-KEY:;"], 0)


@given(st.binary(max_size=100), st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_what_was_encrypted_comes_back(body: bytes, key: bytes, iv: bytes) -> None:
    assert decrypted(encrypted(body, key, iv), key, iv) == body


def test_a_wrong_key_is_said_and_not_shown() -> None:
    wrong = b"very secret key!"
    with pytest.raises(MediaError, match="wrong key or IV") as caught:
        decrypted(encrypted(b"picture" * 100, KEY, IV), wrong, IV)
    assert "secret" not in str(caught.value)
    assert wrong.hex() not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "key", "why"),
    [
        (b"", KEY, "0 bytes, no whole number of blocks"),
        (bytes(17), KEY, "17 bytes, no whole number of blocks"),
        (bytes(16), b"short", "gives 5 bytes; a key has 16"),
    ],
)
def test_wrong_lengths_are_said(body: bytes, key: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        decrypted(body, key, IV)
