from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import DecodeError
from relay import audit_chain
from relay.audit_chain import (
    DAY_MS,
    Block,
    block_length,
    check_block,
    days_of,
    first_link,
    inputs_in,
    read_block,
    records_in,
    write_block,
)

START = first_link(b"header\n")
RECORDS = [b'["d",0,1]', b'["d",1,2]', b'["g",2,3,4]']
INPUTS = [[1.5, "203.0.113.7"], [2.5, "::1"]]


def seal(plain: bytes, bound_to: bytes) -> bytes:
    return bound_to + plain[::-1]


def unseal(sealed: bytes, bound_to: bytes) -> bytes:
    if sealed[:32] != bound_to:
        raise DecodeError("bound elsewhere")
    return sealed[:31:-1]


def written(link: bytes = START, first: int = 0) -> tuple[bytes, bytes]:
    return write_block(link, first, (5 * DAY_MS + 1, 5 * DAY_MS + 3), RECORDS, INPUTS, seal)


def walked(data: bytes, link: bytes = START) -> tuple[Block, list[bytes], bytes]:
    assert block_length(data[:4]) == len(data) - 4
    block = read_block(data[4:])
    records = records_in(block)
    return block, records, check_block(link, block, records)


def test_a_block_comes_back_as_it_was() -> None:
    data, link = written()
    block, records, bound_to = walked(data)
    assert (block.head, block.head.day, block.link) == ((0, 3, 5 * DAY_MS + 1, 5 * DAY_MS + 3), 5, link)
    assert records == RECORDS
    assert inputs_in(block, bound_to, unseal) == INPUTS


def test_any_other_byte_is_found() -> None:
    data, _ = written()
    for at in range(len(data)):
        for flip in (1, 0x80):
            other = bytearray(data)
            other[at] ^= flip
            with pytest.raises((DecodeError, AssertionError)):
                walked(bytes(other))


def test_a_block_stands_in_one_place() -> None:
    first, link = written()
    second, _ = written(link, 3)
    walked(second, link)
    with pytest.raises(DecodeError, match="link"):
        walked(second)
    block, _, _ = walked(first)
    with pytest.raises(DecodeError, match="bound elsewhere"):
        inputs_in(block, walked(second, link)[2], unseal)


@given(st.binary(max_size=200))
def test_what_is_no_block_is_said(data: bytes) -> None:
    def read() -> None:
        block = read_block(data.ljust(65, b"\0"))
        check_block(START, block, records_in(block))

    with pytest.raises(DecodeError):
        read()


@pytest.mark.parametrize("length", [0, 64, audit_chain.MAX_BLOCK_BYTES + 1])
def test_lengths_that_cannot_be(length: int) -> None:
    with pytest.raises(DecodeError, match="cannot be"):
        block_length(length.to_bytes(4, "big"))


def test_a_bomb_is_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = write_block(START, 0, (0, 0), [b"0" * 2_000_000], [], seal)
    assert len(data) < 10_000
    monkeypatch.setattr(audit_chain, "_MAX_PLAIN_BYTES", 1_000_000)
    with pytest.raises(DecodeError, match="does not end"):
        walked(data)


def test_inputs_that_are_no_list() -> None:
    data, _ = written()
    block, _, bound_to = walked(data)
    with pytest.raises(DecodeError, match="inputs"):
        inputs_in(block, bound_to, lambda *_: audit_chain._pack(b"{}", audit_chain._INPUT_WORDS))
    with pytest.raises(DecodeError, match="inputs"):
        inputs_in(block, bound_to, lambda *_: audit_chain._pack(b"{", audit_chain._INPUT_WORDS))


def test_days() -> None:
    assert list(days_of([])) == []
    assert list(days_of([1, DAY_MS - 1, DAY_MS, DAY_MS - 1, 3 * DAY_MS])) == [(0, 2), (2, 3), (3, 4), (4, 5)]
