from __future__ import annotations

import pytest

from kernel.errors import DecodeError
from relay.paging import DEFAULT_PAGE, MAX_AFTER, MAX_PAGE, PAGE_QUERY, Page, page_of


def test_pages() -> None:
    assert page_of({}) == Page(0, DEFAULT_PAGE)
    assert page_of({"after": "7", "limit": str(MAX_PAGE)}) == Page(7, MAX_PAGE)
    assert page_of({"after": str(MAX_AFTER)}).after == MAX_AFTER


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "1001"}, {"after": "-1"}, {"after": "x"}, {"after": "9" * 5000}, {"after": "٣"},
     {"after": str(MAX_AFTER + 1)}, {"limit": ""}],
)  # fmt: skip
def test_a_wrong_page_is_said(query: dict[str, str]) -> None:
    with pytest.raises(DecodeError, match=f"{next(iter(query))}: a number from"):
        page_of(query)


def test_it_is_described_as_it_is_read() -> None:
    assert PAGE_QUERY.keys() == {"after", "limit"}
    limit = PAGE_QUERY["limit"]["schema"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, MAX_PAGE, DEFAULT_PAGE)
