"""A body in pieces: what may be put together, and what may not."""

from __future__ import annotations

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused
from kernel.io.origin_body import Intake

LONG_AGO = "Mon, 02 Mar 2026 09:59:00 GMT"
DATE = "Mon, 02 Mar 2026 10:00:00 GMT"
BODY = b"0123456789"
STRONG = {"content-length": "10", "etag": '"a"'}


def begun(fields: dict[str, str], taken: bytes = b"0123", byte_range: tuple[int, int] | None = None) -> Intake:
    intake = Intake("shown", 100, byte_range)
    intake.begin(206 if byte_range else 200, fields)
    intake.take(taken)
    return intake


def part(start: int, stop: int = 10, total: str = "10", **fields: str) -> dict[str, str]:
    return {"content-range": f"bytes {start}-{stop - 1}/{total}", "content-length": str(stop - start), **fields}


def test_a_whole_body() -> None:
    intake = Intake("shown", 10)
    assert intake.request_fields() == {}
    assert not intake.resumable
    intake.begin(200, {**STRONG, "content-type": "video/mp2t"})
    intake.take(BODY)
    assert (intake.body(), intake.etag, intake.content_type) == (BODY, '"a"', "video/mp2t")


def test_the_rest_is_asked_for_by_version() -> None:
    intake = begun(STRONG)
    assert intake.resumable
    assert intake.request_fields() == {"Range": "bytes=4-", "If-Range": '"a"'}
    intake.begin(206, part(4, etag='"a"'))
    intake.take(BODY[4:])
    assert intake.body() == BODY


def test_the_rest_of_a_range_is_asked_for() -> None:
    intake = begun({**part(5, total="20"), "etag": '"a"'}, b"56", (5, 5))
    assert intake.request_fields() == {"Range": "bytes=7-9", "If-Range": '"a"'}
    intake.begin(206, part(7, total="20"))
    intake.take(b"789")
    assert intake.body() == b"56789"


def test_another_version_is_taken_from_its_beginning() -> None:
    """RFC 9110, 13.1.5: where If-Range does not hold, the answer is 200 with all of it."""
    intake = begun(STRONG)
    intake.begin(200, {"content-length": "3", "etag": '"b"'})
    intake.take(b"new")
    assert (intake.body(), intake.etag) == (b"new", '"b"')
    assert intake.request_fields()["If-Range"] == '"b"'


@pytest.mark.parametrize(
    ("fields", "resumable"),
    [
        ({"etag": '"a"'}, True),
        ({"etag": 'W/"a"'}, False),
        ({"etag": '"' + "a" * 1024 + '"'}, False),
        ({"etag": '"a"', "accept-ranges": "none"}, False),
        ({"last-modified": LONG_AGO, "date": DATE, "content-length": "10"}, True),
        ({"etag": 'W/"a"', "last-modified": LONG_AGO, "date": DATE, "content-length": "10"}, True),
        # RFC 9110, 8.8.2.2: it may have changed again within the second.
        ({"last-modified": DATE, "date": DATE, "content-length": "10"}, False),
        ({"last-modified": LONG_AGO, "content-length": "10"}, False),
        ({"last-modified": "yesterday", "date": DATE, "content-length": "10"}, False),
        ({"last-modified": "Mon, 02 Mar 2026 09:59:00 -0000", "date": DATE, "content-length": "10"}, False),
        ({"last-modified": LONG_AGO, "date": DATE}, False),
        ({"content-length": "10"}, False),
    ],
)
def test_only_a_known_version_is_resumed(fields: dict[str, str], resumable: bool) -> None:
    assert begun(fields).resumable is resumable


def test_a_date_needs_the_same_length_too() -> None:
    dated = {"last-modified": LONG_AGO, "date": DATE, "content-length": "10"}
    intake = begun(dated)
    assert intake.request_fields()["If-Range"] == LONG_AGO
    intake.begin(206, part(4))
    intake.take(BODY[4:])
    assert intake.body() == BODY
    for fields in (part(4, 12, "12"), part(4, total="*"), part(4) | {"last-modified": DATE}):
        with pytest.raises(OriginError, match="changed while it was read"):
            begun(dated).begin(206, fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (part(5), "another part"),
        (part(0), "another part"),
        ({"content-length": "6"}, "another part"),
        ({"content-range": "bytes */10"}, "another part"),
        ({"content-range": "lines 4-9/10"}, "another part"),
        (part(4, etag='"b"'), "changed while it was read"),
        (part(4, 11, "11"), "changed while it was read"),
        (part(4) | {"content-encoding": "gzip"}, "compresses"),
    ],
)
def test_parts_that_do_not_fit(fields: dict[str, str], says: str) -> None:
    with pytest.raises(OriginError, match=says):
        begun(STRONG).begin(206, fields)


def test_a_part_that_stops_short_is_no_body() -> None:
    """RFC 9110, 14.2: a server may send less than was asked for."""
    intake = begun(STRONG)
    intake.begin(206, part(4, 8))
    intake.take(b"4567")
    with pytest.raises(OriginError, match="8 bytes of 10"):
        intake.body()
    ranged = begun(part(5, 7, "20"), b"56", (5, 5))
    with pytest.raises(OriginError, match="2 bytes of a range of 5"):
        ranged.body()


def test_a_range_out_of_a_whole_body_cannot_be_resumed() -> None:
    intake = Intake("shown", 100, (2, 3))
    intake.begin(200, STRONG)
    intake.take(BODY)
    assert intake.body() == b"234"
    assert not intake.resumable


def test_the_wrong_range_is_noticed_at_once() -> None:
    with pytest.raises(OriginError, match="another part"):
        Intake("shown", 100, (5, 5)).begin(206, part(0, 5))


@pytest.mark.parametrize(
    ("status", "fields", "kind", "says"),
    [
        (404, {}, OriginMissing, "404"),
        (410, {}, OriginMissing, "410"),
        (206, part(0), OriginError, "206"),
        (304, {}, OriginError, "304"),
        (503, {}, OriginError, "503"),
        (200, {"content-length": "101"}, OriginRefused, "101 bytes"),
        (200, {"content-encoding": "br"}, OriginError, "compresses"),
    ],
)
def test_heads_that_are_refused(status: int, fields: dict[str, str], kind: type[OriginError], says: str) -> None:
    with pytest.raises(kind, match=says):
        Intake("shown", 100).begin(status, fields)


def test_the_limit_counts_all_pieces() -> None:
    intake = Intake("shown", 9)
    intake.begin(200, {"etag": '"a"'})
    intake.take(b"01234")
    with pytest.raises(OriginRefused, match="5 bytes"):
        intake.begin(206, part(5))
    with pytest.raises(OriginRefused, match="more than 9"):
        intake.take(b"56789")
