from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import psi
from feeds.psi import StreamProgramme, chosen, crc32, programmes
from fixtures.packets import PACKET_BYTES, PMT_PID, pat_packet
from tests.support.recordings import RECORDINGS


def section(table: int, number: int, content: bytes) -> bytes:
    head = bytes([table]) + (0xB000 | 5 + len(content) + 4).to_bytes(2, "big") + number.to_bytes(2, "big") + b"\xc1\0\0"
    return head + content + crc32(head + content).to_bytes(4, "big")


def pmt(number: int, *pids: int, descriptors: bytes = b"") -> bytes:
    streams = b"".join(
        b"\x1b" + (0xE000 | pid).to_bytes(2, "big") + (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
        for pid in pids
    )
    return section(2, number, (0xE100).to_bytes(2, "big") + (0xF003).to_bytes(2, "big") + b"\x05\x01x" + streams)


def packets(pid: int, payload: bytes) -> bytes:
    """Cut a payload that begins with its pointer into packets; the last one is stuffed."""
    out, first = b"", True
    while payload:
        head = b"\x47" + ((0x4000 if first else 0) | pid).to_bytes(2, "big") + b"\x10"
        out += head + payload[:184].ljust(184, b"\xff")
        payload, first = payload[184:], False
    return out


def media(count: int = 4) -> bytes:
    return (b"\x47\x01\x23\x10" + bytes(184)) * count


PAT = pat_packet({1: 0x100, 2: 0x200})


def test_programmes_are_told_by_rising_number() -> None:
    body = media() + pat_packet({2: 0x200, 1: 0x100}) + packets(0x200, b"\0" + pmt(2, 7)) + media()
    body += packets(0x100, b"\0" + pmt(1, 5, 6, descriptors=b"\x0a\x04eng\0")) + media()
    assert programmes(body) == [StreamProgramme(1, frozenset({5, 6})), StreamProgramme(2, frozenset({7}))]


def test_a_table_may_go_on_in_the_next_packet_behind_a_pointer() -> None:
    long = pmt(1, *range(0x300, 0x340))
    first, rest = long[:183], long[183:]
    body = PAT + packets(0x100, b"\0" + first) + media(1) + packets(0x100, bytes([len(rest)]) + rest + pmt(9, 1))
    body += packets(0x200, b"\0" + pmt(2, 7))
    assert programmes(body)[0] == StreamProgramme(1, frozenset(range(0x300, 0x340)))
    three = pmt(1, *range(0x300, 0x380))
    body = PAT + packets(0x100, b"\0" + three) + packets(0x200, b"\0" + pmt(2, 7))
    assert len(programmes(body)[0].pids) == 0x80


def test_a_table_may_be_cut_within_its_first_bytes() -> None:
    filler = section(5, 0, bytes(183 - 2 - 12))
    split = filler + pmt(1, 5)
    assert len(filler) == 181
    body = (
        pat_packet({1: 0x100})
        + packets(0x100, b"\0" + split[:183])
        + packets(0x100, bytes([len(split) - 183]) + split[183:])
    )
    assert programmes(body + media()) == [StreamProgramme(1, frozenset({5}))]


def test_programmes_may_share_a_pid_for_their_tables() -> None:
    body = pat_packet({1: 0x100, 2: 0x100}) + packets(0x100, b"\0" + pmt(1, 5) + pmt(2, 6))
    assert [programme.pids for programme in programmes(body)] == [{5}, {6}]


def test_what_is_broken_is_not_there() -> None:
    good = packets(0x100, b"\0" + pmt(1, 5))
    broken = bytearray(packets(0x200, b"\0" + pmt(2, 6)))
    broken[20] ^= 1
    assert programmes(PAT + good + bytes(broken) + media()) == [StreamProgramme(1, frozenset({5}))]
    assert programmes(media()) == []
    assert programmes(b"<html>") == []
    # A table without payload, the network's own programme, and a table of another kind.
    adaptation = b"\x47\x40\x00\x20\xb7" + bytes(183)
    assert programmes(
        adaptation + pat_packet({0: 0x10, 1: 0x100}) + packets(0x100, b"\0" + section(1, 1, bytes(9))) + good
    )


def test_an_adaptation_field_may_stand_before_a_table() -> None:
    body = b"\0" + pmt(1, 5)
    packet = (b"\x47\x41\x00\x30\x07" + bytes(7) + body).ljust(PACKET_BYTES, b"\xff")
    assert programmes(pat_packet({1: 0x100}) + packet + media()) == [StreamProgramme(1, frozenset({5}))]


def test_garbage_before_the_first_packet_does_no_harm() -> None:
    body = b"rubbish" + pat_packet({1: 0x100}) + packets(0x100, b"\0" + pmt(1, 5)) + media() + b"x" * 50
    assert programmes(body) == [StreamProgramme(1, frozenset({5}))]


def test_tables_are_looked_for_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psi, "MAX_PACKETS", 3)
    assert programmes(media(4) + PAT) == []


def test_the_first_programme_with_a_picture_is_chosen_else_with_sound() -> None:
    radio, tv, other = (
        StreamProgramme(1, frozenset({5})),
        StreamProgramme(2, frozenset({6, 7})),
        StreamProgramme(3, frozenset({8})),
    )
    assert chosen([radio, tv, other], {6, 8}, {5, 7}) == {6, 7}
    assert chosen([radio, tv], set(), {7}) == {6, 7}
    assert chosen([radio], {9}, set()) == frozenset()


def test_the_checksum_is_the_standards_own() -> None:
    """ISO/IEC 13818-1, annex A; the check value is that of CRC-32/MPEG-2 in the catalogue of CRCs."""
    assert crc32(b"123456789") == 0x0376E6E7


def test_two_programmes_of_the_fixtures_are_told_apart() -> None:
    body = (RECORDINGS / "programmes" / "programmes-000.ts").read_bytes()
    assert programmes(body) == [StreamProgramme(1, frozenset({256})), StreamProgramme(2, frozenset({272, 273}))]
    assert PMT_PID == 0x1000


@given(st.lists(st.binary(min_size=187, max_size=187), max_size=8), st.integers(0, 1504))
def test_any_packets_are_read_without_an_error(rests: list[bytes], cut: int) -> None:
    body = b"".join(b"\x47" + rest for rest in rests)
    tables = b"".join(b"\x47\x40\x00\x10" + rest[3:] for rest in rests)
    for one in (body, tables, PAT + body[cut:], PAT + tables[:cut]):
        programmes(one)
