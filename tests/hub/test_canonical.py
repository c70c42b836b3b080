from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import canonical as module
from hub.canonical import canonical, hash64

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 8785, appendix B and 3.2.2: the numbers and escapes of its examples.
        (0.0, "0"),
        (-0.0, "0"),
        (2.0, "2"),
        (2.5, "2.5"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-6, "0.000001"),
        (1.5e-6, "0.0000015"),
        (-1.25e-5, "-0.0000125"),
        (1e-7, "1e-7"),
        (5e-324, "5e-324"),
        (9007199254740993, "9007199254740993"),
        ('€$\u000f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ([True, None, {"b": 1, "a": [2]}], '[true,null,{"a":[2],"b":1}]'),
    ],
)
def test_the_canonical_form(value: Any, text: str) -> None:
    assert canonical(value) == text


def test_members_stand_in_the_order_of_utf16() -> None:
    """RFC 8785, 3.2.3: the smiley's surrogates sort before U+FB33, its code point does not."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    order = list(json.loads(canonical(dict.fromkeys(names, 0))))
    assert order == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="no JSON number"):
        canonical([value])


def test_a_thing_without_a_place_in_json() -> None:
    with pytest.raises(TypeError):
        canonical({"x": object()})


def test_the_hash_is_64_bits_of_sha256() -> None:
    # printf '{}' | sha256sum
    assert hash64({}) == "44136fa355b3678a"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(value: float) -> None:
    assert float(canonical(value)) == value
    assert canonical(float(canonical(value))) == canonical(value)


@given(plain)
def test_the_short_way_and_the_one_by_hand_agree(value: Any) -> None:
    assert canonical(value) == module._by_hand(value)
