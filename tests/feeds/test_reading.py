from __future__ import annotations

import pytest

from feeds.fmp4_init import parse_init
from feeds.reading import container_of, read
from fixtures.packed import id3_tag
from kernel.errors import MediaError
from tests.support.boxes import box, fragment, init

ADTS = bytes([0xFF, 0xF1, 0x4C, 0x40, 0x02, 0x80, 0]).ljust(20, b"\x21")


@pytest.mark.parametrize(
    ("body", "container"),
    [
        (b"\x47" + bytes(187), "mpegts"),
        (b"\x47\x40\x00\x10moof" + bytes(180), "mpegts"),
        (b"rubbish\x47", "mpegts"),
        (b"", "mpegts"),
        (b"<html>", "mpegts"),
        (ADTS, "mpegts"),
        (ADTS * 2, "packed_audio"),
        (id3_tag(0), "packed_audio"),
        (fragment(0, (1, 0)), "fmp4"),
        (box("styp", b"msdh"), "fmp4"),
        (box("emsg"), "fmp4"),
    ],
)
def test_the_first_bytes_tell_the_container(body: bytes, container: str) -> None:
    assert container_of(body) == container


def test_each_reader_reads_its_own() -> None:
    head = parse_init(init())
    fmp4, packed = read(fragment(0, (1, 0)), head), read(id3_tag(0) + ADTS)
    assert fmp4 is not None
    assert packed is not None
    assert (fmp4.container, packed.container) == ("fmp4", "packed_audio")
    # Transport streams are another process's.
    assert read(b"\x47" + bytes(187)) is None


@pytest.mark.parametrize("body", [b"\x47" + bytes(187), id3_tag(0) + ADTS, b"<html>"])
def test_an_init_section_for_something_else_is_said(body: bytes) -> None:
    with pytest.raises(MediaError, match="it is no fMP4 segment"):
        read(body, parse_init(init()))
