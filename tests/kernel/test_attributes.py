"""Attribute lists: RFC 8216, 4.2."""

from __future__ import annotations

import pytest

from kernel.attributes import attribute_list, with_attribute, with_iv
from kernel.errors import PlaylistError


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("", {}),
        ("METHOD=NONE", {"METHOD": "NONE"}),
        ('URI="a,b=c",IV=0x01', {"URI": "a,b=c", "IV": "0x01"}),
        ('X-A="", B=1.5 ', {"X-A": "", "B": "1.5"}),
    ],
)
def test_attribute_list(text: str, attributes: dict[str, str]) -> None:
    assert attribute_list(text) == attributes


@pytest.mark.parametrize("text", ["A=1,A=2", 'A="1', "A", "=1", 'A="x"y', "A=1,,B=2"])
def test_attribute_list_refused(text: str) -> None:
    with pytest.raises(PlaylistError):
        attribute_list(text)


def test_with_attribute_touches_nothing_else() -> None:
    line = '#EXT-X-KEY:METHOD=AES-128, URI="x?URI=1",IV=0x1,KEYFORMAT="URI"'
    assert with_attribute(line, "URI", "0/k") == '#EXT-X-KEY:METHOD=AES-128, URI="0/k",IV=0x1,KEYFORMAT="URI"'
    assert with_attribute("#EXT-X-MAP:A=1", "URI", "i") == '#EXT-X-MAP:A=1,URI="i"'
    with pytest.raises(ValueError, match="quotation mark"):
        with_attribute(line, "URI", 'a"b')


def test_with_iv_names_the_number_of_the_origin() -> None:
    """RFC 8216, 5.2."""
    key = '#EXT-X-KEY:METHOD=AES-128,URI="k"'
    assert with_iv(key, 258) == key + ",IV=0x00000000000000000000000000000102"
    for untouched in (key + ",IV=0x1", "#EXT-X-KEY:METHOD=NONE", key + ',KEYFORMAT="com.apple.streamingkeydelivery"'):
        assert with_iv(untouched, 258) == untouched
