"""The audit's chain: blocks of records, each linked to all before it by SHA-256, their inputs sealed.

Layout of a chain. A line of JSON names it; its SHA-256 is the first link. Then blocks, each

    length     4 bytes: of all that follows
    link       32 bytes
    head       number of the first record (8), how many (4), time of the first and last in Unix ms (8 + 8)
    length     4 bytes: of the records
    records    zlib: JSON, one a line
    sealed     nonce (12) and AES-256-GCM of zlib of JSON: the inputs of the block's decisions, in their order

all integers big-endian. The link goes on from the last one by SHA-256(link, record) over each record, and closes with
SHA-256(link, head to sealed), so that no byte can be another one. The seal is bound to its place by the link before
that last step, and its key is that of the day (UTC) of the block's first record. When the key is gone the chain holds
all the same.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from kernel.errors import DecodeError
from kernel.strict_json import decode_known, encode_known

MAX_BLOCK_BYTES = 16 << 20
"""A batch of records has some 60 KB; one that brings texts of policies along up to a few MB."""

_MAX_PLAIN_BYTES = 64 << 20
LINK_BYTES = 32
_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">QIQQ")
DAY_MS = 86_400_000

Seal = Callable[[bytes, bytes], bytes]
"""Encrypt (plain, bound to) to nonce and ciphertext."""

Unseal = Callable[[bytes, bytes], bytes]
"""Decrypt (nonce and ciphertext, bound to); raises DecodeError where that is not what was sealed."""

# What stands in most records: deflate then finds it in a block of few, too. Part of the format: never change it.
_RECORD_WORDS = (
    b'residential_proxy"private_relay"data_centre"gps_implausible"gps_missing"gps_stale"geo_mismatch"location_unknown"'
    b'outside_territory"policy_unknown"outside_window"scope_missing"not_yet_valid"expired"revoked"stale"trading"server"'
    b'redirect"warn","vpn","proxy","tor",[null,null,null,"default","default"]]\n["d",1'
    b'","wager","refuse","geo_blocked",["geo_blocked","geo_blocked",null,"","watch","admit",null,'
)
_INPUT_WORDS = (
    b'["residential_proxy"],["private_relay"],["data_centre"],["proxy"],["tor"],["vpn"],"Los Angeles","New York",'
    b'"Chicago","London","CA","GB","GB-ENG","CA-ON","DE","FR","US","US-TX","US-NY","US-CA",'
    b",[],true],null,null],[17,[],true],[-,null,null,null,null,null,null,null,[],"
)


class Head(NamedTuple):
    """The head of a block: number of its first record, how many there are, their times in Unix ms."""

    first: int
    n_records: int
    from_ms: int
    to_ms: int

    @property
    def day(self) -> int:
        """Return the day whose key seals it, counted from 1970."""
        return self.from_ms // DAY_MS


class Block(NamedTuple):
    """A block as it lies in a file, not yet believed.

    Args:
        head: what it says of itself.
        link: the link that it claims to close with.
        body: all behind the link.
        records: compressed.
        sealed: its inputs.
    """

    head: Head
    link: bytes
    body: bytes
    records: bytes
    sealed: bytes


def first_link(header: bytes) -> bytes:
    """Return the link from which a chain with this header line starts."""
    return hashlib.sha256(header).digest()


def write_block(
    link: bytes, first: int, times_ms: tuple[int, int], records: Sequence[bytes], inputs: Sequence[Any], seal: Seal
) -> tuple[bytes, bytes]:
    """Return the next block, and the link that it closes with.

    Args:
        link: that of the block before, or the first.
        first: number of the first record.
        times_ms: when the first and the last were made, in Unix ms.
        records: their bytes, at least one.
        inputs: what is personal in the decisions among them, as plain JSON.
        seal: encrypts with the key of the first record's day.
    """
    before = _along(link, records)
    packed = _pack(b"\n".join(records), _RECORD_WORDS)
    sealed = seal(_pack(encode_known(list(inputs)), _INPUT_WORDS), before)
    body = b"".join((_HEAD.pack(first, len(records), *times_ms), _LENGTH.pack(len(packed)), packed, sealed))
    closing = hashlib.sha256(before + body).digest()
    return _LENGTH.pack(LINK_BYTES + len(body)) + closing + body, closing


def block_length(data: bytes) -> int:
    """Return how many bytes follow the four that are given.

    Raises:
        DecodeError: no block is that long or short.
    """
    (length,) = _LENGTH.unpack(data)
    if not LINK_BYTES + _HEAD.size + _LENGTH.size < length <= MAX_BLOCK_BYTES:
        raise DecodeError(f"a block of {length} bytes cannot be")
    return int(length)


def read_block(data: bytes) -> Block:
    """Take a block apart. `data` is what follows its length.

    Raises:
        DecodeError: it is none.
    """
    link, body = data[:LINK_BYTES], data[LINK_BYTES:]
    begin = _HEAD.size + _LENGTH.size
    (packed,) = _LENGTH.unpack_from(body, _HEAD.size)
    if packed > len(body) - begin:
        raise DecodeError("the records of a block are longer than the block")
    return Block(Head(*_HEAD.unpack_from(body)), link, body, body[begin : begin + packed], body[begin + packed :])


def records_in(block: Block) -> list[bytes]:
    """Return the bytes of a block's records.

    Raises:
        DecodeError: they cannot be read, or are not as many as its head says.
    """
    records = _unpack(block.records, _RECORD_WORDS).split(b"\n")
    if len(records) != block.head.n_records:
        raise DecodeError(f"a block of {block.head.n_records} records holds {len(records)}")
    return records


def check_block(link: bytes, block: Block, records: Sequence[bytes]) -> bytes:
    """Return what the block's seal is bound to, if the block continues a chain.

    Args:
        link: that of the block before, or the first.
        block: what is to follow it.
        records: what is in it.

    Raises:
        DecodeError: it does not.
    """
    before = _along(link, records)
    if hashlib.sha256(before + block.body).digest() != block.link:
        raise DecodeError("the link does not fit: something was changed, left out or put in")
    return before


def inputs_in(block: Block, bound_to: bytes, unseal: Unseal) -> list[Any]:
    """Return the inputs of a block's decisions, as plain JSON.

    Raises:
        DecodeError: they are not what was sealed there.
    """
    plain = _unpack(unseal(block.sealed, bound_to), _INPUT_WORDS)
    try:
        inputs = decode_known(plain)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"inputs: {error}") from None
    if not isinstance(inputs, list):
        raise DecodeError("inputs: a list is expected")
    return inputs


def days_of(times_ms: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the bounds (begin, end) of runs of records that are of one day: a block has the key of one."""
    begin = 0
    for at in range(1, len(times_ms) + 1):
        if at == len(times_ms) or times_ms[at] // DAY_MS != times_ms[begin] // DAY_MS:
            yield begin, at
            begin = at


def _along(link: bytes, records: Sequence[bytes]) -> bytes:
    for record in records:
        link = hashlib.sha256(link + record).digest()
    return link


def _pack(plain: bytes, words: bytes) -> bytes:
    # Raw deflate: the chain is the checksum.
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, words)
    return squeeze.compress(plain) + squeeze.flush()


def _unpack(packed: bytes, words: bytes) -> bytes:
    stretch = zlib.decompressobj(-zlib.MAX_WBITS, words)
    try:
        plain = stretch.decompress(packed, _MAX_PLAIN_BYTES)
    except zlib.error as error:
        raise DecodeError(f"it cannot be unpacked: {error}") from None
    if not stretch.eof or stretch.unused_data or stretch.unconsumed_tail:
        raise DecodeError("it cannot be unpacked: it does not end where it should")
    return plain
