"""The programmes of a transport stream, from its PAT and PMTs (ISO/IEC 13818-1, 2.4.4).

Only asked of streams with more than one track, and only to keep programmes apart: what tracks there are and what they
hold says the demuxer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from feeds.ts import PACKET_BYTES, SYNC, garbage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_PACKETS = 26_600
"""How far tables are looked for: 5 MB, as far as FFmpeg looks. They should recur every 100 ms (ETSI TR 101 290)."""

MAX_PROGRAMMES = 256
"""A PAT of one section has room for 253."""

_PAT_PID = 0
_PAT_TABLE, _PMT_TABLE = 0, 2
_CRC_BYTES = 4


class StreamProgramme(NamedTuple):
    """One programme: its number, and the PIDs of its elementary streams."""

    number: int
    pids: frozenset[int]


def programmes(body: bytes) -> list[StreamProgramme]:
    """Return the programmes that a segment's tables name, by rising number; those whose PMT is not in it are absent.

    Guaranteed: raises nothing; what cannot be read is not there.
    """
    pmt_pids: dict[int, int] = {}
    found: dict[int, StreamProgramme] = {}
    expected = MAX_PROGRAMMES
    for pid, section in _sections(body, pmt_pids):
        if pid == _PAT_PID and section[0] == _PAT_TABLE and not pmt_pids:
            for at in range(8, len(section) - _CRC_BYTES - 3, 4):
                number = int.from_bytes(section[at : at + 2], "big")
                if number:  # programme 0 is the network's own table
                    pmt_pids[number] = int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF
            expected = len(pmt_pids)
        elif section[0] == _PMT_TABLE:
            programme = StreamProgramme(int.from_bytes(section[3:5], "big"), frozenset(_elementary_pids(section)))
            # A PID may carry the tables of several programmes.
            if pmt_pids.get(programme.number) == pid:
                found.setdefault(programme.number, programme)
        if len(found) >= expected:
            break
    return [found[number] for number in sorted(found)]


def chosen(all_programmes: list[StreamProgramme], video: Collection[int], audio: Collection[int]) -> frozenset[int]:
    """Return the PIDs to time: those of the first programme with a picture, else of the first with sound.

    Empty where no programme has either: then nothing tells the tracks apart, and all of them count.
    """
    for wanted in (video, audio):
        for programme in all_programmes:
            if not programme.pids.isdisjoint(wanted):
                return programme.pids
    return frozenset()


def crc32(data: bytes) -> int:
    """Return the checksum of a section (ISO/IEC 13818-1, annex A); over a whole section with its own it is 0."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x104C11DB7 if crc & 0x80000000 else 0)
    return crc


def _elementary_pids(section: bytes) -> Iterator[int]:
    """Read 2.4.4.8: behind the programme's own descriptors stand type, PID and descriptors of each stream."""
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while at + 5 <= len(section) - _CRC_BYTES:
        yield int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)


def _sections(body: bytes, pmt_pids: dict[int, int]) -> Iterator[tuple[int, bytes]]:
    """Yield PID and section, whole and with a right checksum; of which PIDs, `pmt_pids` says while it grows."""
    edges = garbage(body)
    if edges is None:
        return
    pending: dict[int, bytes] = {}
    asked, known = {_PAT_PID}, 0
    for at in range(edges[0], min(len(body), MAX_PACKETS * PACKET_BYTES) - PACKET_BYTES + 1, PACKET_BYTES):
        pid = (body[at + 1] & 0x1F) << 8 | body[at + 2]
        if len(pmt_pids) != known:
            asked, known = {_PAT_PID, *pmt_pids.values()}, len(pmt_pids)
        if pid not in asked or body[at] != SYNC:
            continue
        payload = _payload(body[at : at + PACKET_BYTES])
        if body[at + 1] & 0x40 and payload:
            # 2.4.4.1: a pointer says how much still belongs to the section before.
            pointer = payload[0]
            yield from _whole(pid, pending.pop(pid, b"") + payload[1 : 1 + pointer], pending)
            pending.pop(pid, None)
            yield from _whole(pid, payload[1 + pointer :], pending)
        elif pid in pending:
            yield from _whole(pid, pending.pop(pid) + payload, pending)


def _payload(packet: bytes) -> bytes:
    control = packet[3] >> 4 & 3
    if not control & 1:
        return b""
    return packet[5 + packet[4] :] if control & 2 else packet[4:]


def _whole(pid: int, data: bytes, pending: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the whole sections in `data`, and keep the beginning of one that goes on in the next packet."""
    while len(data) >= 3 and data[0] != 0xFF:  # 0xFF is stuffing
        length = 3 + (int.from_bytes(data[1:3], "big") & 0xFFF)
        if length > len(data):
            pending[pid] = data
            return
        section, data = data[:length], data[length:]
        if length >= 12 + _CRC_BYTES and crc32(section) == 0:
            yield pid, section
    if data and data[0] != 0xFF:
        pending[pid] = data
