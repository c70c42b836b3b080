from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.boxes import Box, Walk, name
from kernel.errors import MediaError
from tests.support.boxes import box, large_box, u32, u64


def kinds(data: bytes) -> list[bytes]:
    return [one.kind for one in Walk(data).top()]


def test_boxes_follow_each_other() -> None:
    walk = Walk(box("ftyp", b"isom") + box("free") + box("mdat", b"abc"))
    assert list(walk.top()) == [Box(b"ftyp", 8, 12), Box(b"free", 20, 20), Box(b"mdat", 28, 31)]


def test_a_size_may_have_64_bits() -> None:
    """ISO/IEC 14496-12, 4.2: size 1 means that the size is in the eight bytes behind the type."""
    (only,) = Walk(large_box("mdat", b"abc")).top()
    assert only == Box(b"mdat", 16, 19)


def test_size_0_is_to_the_end_of_the_file_and_outermost_only() -> None:
    data = box("free") + u32(0) + b"mdat" + b"abc"
    assert list(Walk(data).top())[-1] == Box(b"mdat", 16, 19)
    walk = Walk(box("moof", u32(0), b"traf"))
    with pytest.raises(MediaError, match="says that it has 0 bytes"):
        list(walk.inside(next(walk.top())))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (u32(7) + b"mdat", "'mdat' at byte 0 says that it has 7 bytes, fewer than its own head"),
        (u32(9) + b"mdat", "has 9 bytes where 8 are left: cut short"),
        (u32(1) + b"mdat" + u32(5), "cut short in its size"),
        (u32(1) + b"mdat" + u64(15), "fewer than its own head"),
        (u32(1) + b"mdat" + u64(1 << 63), "where 16 are left"),
    ],
)
def test_a_size_that_is_none_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        kinds(data)


def test_fewer_than_eight_bytes_at_the_end_are_padding() -> None:
    assert kinds(box("free") + bytes(7)) == [b"free"]


def test_there_is_a_limit_to_boxes() -> None:
    assert len(list(Walk(box("free") * 5, max_boxes=5).top())) == 5
    with pytest.raises(MediaError, match="more than 5 boxes"):
        list(Walk(box("free") * 6, max_boxes=5).top())


def test_a_path_leads_inside() -> None:
    walk = Walk(box("moov", box("trak", box("free"), box("mdia", u32(7, 8)))))
    moov = next(walk.top())
    found = walk.path(moov, b"trak", b"mdia")
    assert found is not None
    assert walk.u32(found, 4) == 8
    assert walk.u64(found, 0) == 7 << 32 | 8
    assert walk.path(moov, b"edts", b"elst") is None
    assert walk.child(moov, b"mdia") is None


def test_what_stands_before_the_first_inner_box_is_skipped() -> None:
    walk = Walk(box("stsd", bytes(8), box("avc1")))
    assert [inner.kind for inner in walk.inside(next(walk.top()), skip_bytes=8)] == [b"avc1"]
    assert list(walk.inside(next(walk.top()), skip_bytes=800)) == []


def test_reading_beyond_a_box_is_refused_though_the_file_goes_on() -> None:
    walk = Walk(box("tfdt", u32(1)) + box("free", bytes(100)))
    with pytest.raises(MediaError, match=r"box 'tfdt' is cut short: 4 bytes, 12 are meant"):
        walk.u64(next(walk.top()), 4)


def test_a_name_is_plain_whatever_it_is() -> None:
    assert name(b"\x00\xffa\n") == r"'\x00\xffa\n'"


@given(st.binary(max_size=300))
def test_any_bytes_are_boxes_or_an_error(data: bytes) -> None:
    try:
        found = list(Walk(data).top())
    except MediaError:
        return
    assert all(one.end <= len(data) for one in found)
