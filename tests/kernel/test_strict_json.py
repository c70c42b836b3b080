"""What vendors and clients send: read exactly, or refused (RFC 8259; TRAPS on hostile input)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import strict_json
from kernel.errors import DecodeError, MessageTooLarge
from kernel.strict_json import CLIENT_LIMITS, VENDOR_LIMITS, Limits, decode, decode_lines, encode

SMALL = Limits(max_bytes=1000, max_depth=3, max_nodes=10)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(depth_of, members), default=0)


def nodes_of(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(nodes_of, members))


@given(documents)
def test_what_is_encoded_is_decoded_again(value: Any) -> None:
    assert decode(encode(value), VENDOR_LIMITS) == value
    assert decode(encode(value).encode(), VENDOR_LIMITS) == value


@given(documents, st.booleans())
def test_depth_and_nodes_are_counted_as_defined(value: Any, pretty: bool) -> None:
    text = json.dumps(value, indent=1 if pretty else None)
    depth, nodes = depth_of(value), nodes_of(value)
    exact = Limits(10**6, depth, nodes)
    assert decode(text, exact) == value
    if depth:
        with pytest.raises(MessageTooLarge, match="nests deeper"):
            decode(text, Limits(10**6, depth - 1, nodes))
        with pytest.raises(MessageTooLarge, match="values"):
            decode(text, Limits(10**6, depth, nodes - 1))


@given(st.text(alphabet='"\\[]{},:1a \n\ud83d'))
def test_broken_text_raises_nothing_else(text: str) -> None:
    try:
        decode(text, SMALL)
    except DecodeError:
        return


@given(st.binary(max_size=64))
def test_broken_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        decode(data, SMALL)
    except DecodeError:
        return


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # Numbers: RFC 8259, 6
        ("NaN", "NaN is no JSON number"),
        ("[Infinity]", "Infinity is no JSON number"),
        ("-Infinity", "-Infinity is no JSON number"),
        ("1e999", "not finite"),
        ("-1e999", "not finite"),
        ("18446744073709551616", "64 bits"),
        ("-9223372036854775809", "64 bits"),
        ("1" * 900, "64 bits"),
        ("0." + "1" * 900, "longer than 64"),
        ("01", "not JSON"),
        ("+1", "not JSON"),
        # Names: RFC 8259, 4
        ('{"a":1,"a":2}', "key 'a' stands twice"),
        ('{"a":1,"\\u0061":2}', "key 'a' stands twice"),
        ('[{"b":{"\u00e9":1,"\u00e9":2}}]', r"key '\\xe9' stands twice"),
        # Unicode: RFC 8259, 8.2
        ('"\\ud800"', "lone surrogate"),
        ('"a\\uDC00b"', "lone surrogate"),
        ('{"\\udfff":1}', "lone surrogate"),
        ('"\\ud83d\\ud83d\\ude00"', "lone surrogate"),
        ("\ud800", "lone surrogate at character 0"),
        # Text: RFC 8259, 2
        ("", "not JSON: Expecting value at line 1, column 1"),
        ("{} {}", "Extra data at line 1, column 4"),
        ("{}{}", "Extra data"),
        ("[1,\n2,]", "line 2"),
        ("{'a':1}", "not JSON"),
        ('"a\nb"', "not JSON"),
        ("[1", "not JSON"),
        ("]", "not JSON"),
        ("]]]]", "not JSON"),
        ('"open', "not JSON"),
        ('["' + '\\"' * 40, "not JSON"),
        ("\ufeff1", "not JSON"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(text, SMALL)


@pytest.mark.parametrize(
    "data",
    [b"\xff", b'"\xed\xa0\x80"', b'"\xc0\xaf"', '{"a":1}'.encode("utf-16")],
    ids=["stray byte", "surrogate as bytes", "overlong", "utf-16"],
)
def test_bytes_are_utf8(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not UTF-8"):
        decode(data, SMALL)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert decode('"\\ud83d\\ude00"', SMALL) == "\U0001f600"


def test_size_is_counted_in_bytes_of_utf8() -> None:
    limits = Limits(max_bytes=6, max_depth=1, max_nodes=1)
    assert decode('"\u00e9\u00e9"', limits) == "\u00e9\u00e9"
    for too_long in ('"\u00e9\u00e9\u00e9"', b'"aaaaa"', '"aaaaa"'):
        with pytest.raises(MessageTooLarge, match="longer than 6 bytes"):
            decode(too_long, limits)


def test_depth_is_checked_before_anything_recurses() -> None:
    with pytest.raises(MessageTooLarge, match="deeper than 32"):
        decode("[" * 100_000 + "]" * 100_000, VENDOR_LIMITS)
    with pytest.raises(MessageTooLarge, match="deeper than 16"):
        decode('{"a":' * 17 + "1" + "}" * 17, CLIENT_LIMITS)


def test_brackets_and_commas_in_strings_do_not_count() -> None:
    value = ["[[[[,,,,,,,,,,,,\\", '"[{', "]]]]"]
    assert decode(json.dumps(value), SMALL) == value


def test_lines_are_documents() -> None:
    assert decode_lines(b'{"a":1}\r\n\n [2]\n', SMALL) == [{"a": 1}, [2]]
    assert decode_lines("", SMALL) == []


def test_a_broken_line_is_named() -> None:
    with pytest.raises(DecodeError, match="line 3: not JSON"):
        decode_lines('1\n2\n{"a"\n', SMALL)
    with pytest.raises(MessageTooLarge, match=r"line 2: .*64 bits"):
        decode_lines("1\n" + "9" * 30, SMALL)


def test_the_limits_hold_for_all_lines_together() -> None:
    with pytest.raises(MessageTooLarge, match="more than 10 values"):
        decode_lines("[1,2]\n" * 4, SMALL)
    with pytest.raises(MessageTooLarge, match="more than 10 values"):
        decode_lines("1\n" * 11, SMALL)


def test_encode_is_compact_and_keeps_characters() -> None:
    assert encode({"a": [1, "\u00e9"]}) == '{"a":[1,"\u00e9"]}'
    with pytest.raises(ValueError, match="JSON"):
        encode(float("nan"))
    with pytest.raises(TypeError):
        encode(object())


spaces = st.sampled_from(["", " ", "\n", "\t "])
keys = st.sampled_from(["a", "b", "a b", ":", "x :", "[", "}", "é", "\\"])
numbers = st.sampled_from(
    [
        "0",
        "-1",
        "1.5",
        "1e5",
        "1e999",
        "18446744073709551615",
        "18446744073709551616",
        "12345678901234567890123",
        "NaN",
        "01",
        "1.",
    ]
)
texts: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        numbers,
        st.sampled_from(
            ["true", "null", "nul", '"a"', '"\\u0041"', '"\\ud800"', '"\\ud83d\\ude00"', '":"', '"\t"', '"[{"', '"']
        ),
        st.builds(lambda items, gap: "[" + f"{gap},{gap}".join(items) + "]", st.lists(texts, max_size=3), spaces),
        st.builds(
            lambda members, gap: "{" + ",".join(f"{json.dumps(key)}{gap}:{value}" for key, value in members) + "}",
            st.lists(st.tuples(keys, texts), max_size=4),
            spaces,
        ),
    )
)


@given(texts)
def test_the_fast_way_and_the_strict_one_agree(text: str) -> None:
    """Whatever the fast decoder lets pass, the strict one reads alike; what it leaves, the strict one decides."""
    fast = strict_json._parse_fast(text)
    if fast is not None:
        assert repr(fast) == repr(strict_json._parse(text))


@given(texts, st.integers(0, 4))
def test_the_quick_look_at_the_depth_never_lets_pass_what_the_close_one_does_not(text: str, depth: int) -> None:
    if strict_json._nests_within(depth, text):
        bare = strict_json._STRING.sub("0", text)
        level = deepest = 0
        for each in bare:
            level += (each in "[{") - (each in "]}")
            deepest = max(deepest, level)
        assert deepest <= depth


def test_what_is_known_is_written_the_short_way() -> None:
    assert strict_json.encode_known({"a": [1, (2.5, None)], "é": True}) == '{"a":[1,[2.5,null]],"é":true}'.encode()
    assert strict_json.encode({"a": None, "b": 1 << 70}) == '{"a":null,"b":1180591620717411303424}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        strict_json.encode([float("nan")])
