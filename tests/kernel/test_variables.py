"""Variables of playlists: RFC 8216bis, 4.3 and 4.4.2.3."""

from __future__ import annotations

import pytest

from kernel.errors import PlaylistError
from kernel.variables import MAX_SUBSTITUTED_CHARS, MAX_VARIABLES, read_defines, substitute

NAMED = '#EXT-X-DEFINE:NAME="host",VALUE="cdn.test"'


def test_references_are_replaced_once() -> None:
    variables = {"a": "1", "b-_9": "{$a}"}
    assert substitute("x{$a}y{$b-_9}{$a}", variables) == "x1y{$a}1"
    assert substitute("{a} $a {$a b} {$}", variables) == "{a} $a {$a b} {$}"


def test_a_reference_needs_a_definition() -> None:
    with pytest.raises(PlaylistError, match=r"\{\$b\} is not defined"):
        substitute("{$b}", {"a": "1"})


def test_the_three_forms() -> None:
    lines = [
        "#EXTM3U",
        NAMED,
        '#EXT-X-DEFINE:NAME="base",VALUE="https://{$host}/x"',
        '#EXT-X-DEFINE:IMPORT="auth"',
        '#EXT-X-DEFINE:QUERYPARAM="token"',
        "{$host}",
    ]
    variables = read_defines(lines, imported={"auth": "A", "other": "B"}, query="x=1&%74oken=a%2Fb+c&token=late")
    assert variables == {"host": "cdn.test", "base": "https://cdn.test/x", "auth": "A", "token": "a/b+c"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('#EXT-X-DEFINE:NAME="host",VALUE="x"', "defined twice"),
        ('#EXT-X-DEFINE:QUERYPARAM="host"', "defined twice"),
        ('#EXT-X-DEFINE:NAME="a"', "VALUE is missing"),
        ('#EXT-X-DEFINE:VALUE="a"', "one of NAME"),
        ('#EXT-X-DEFINE:NAME="a",IMPORT="b"', "one of NAME"),
        ('#EXT-X-DEFINE:NAME="a b",VALUE="x"', "must name a variable"),
        ('#EXT-X-DEFINE:NAME="a",VALUE="{$b}"', "not defined"),
        ('#EXT-X-DEFINE:IMPORT="nobody"', "no multivariant playlist defines nobody"),
        ('#EXT-X-DEFINE:QUERYPARAM="absent"', "no parameter absent"),
        ('#EXT-X-DEFINE:QUERYPARAM="empty"', "no parameter empty"),
        ('#EXT-X-DEFINE:QUERYPARAM="quote"', "no quoted string"),
        ('#EXT-X-DEFINE:QUERYPARAM="break"', "no quoted string"),
        ('#EXT-X-DEFINE:QUERYPARAM="reference"', "no quoted string"),
        ("#EXT-X-DEFINE:NAME", "no attribute"),
    ],
)
def test_what_a_definition_may_not_be(line: str, says: str) -> None:
    query = "host=h&empty=&quote=a%22,B=%22&break=a%0A%23EXT&reference=%7B%24host}"
    with pytest.raises(PlaylistError, match=says):
        read_defines([NAMED, line], query=query)


def test_variables_cannot_be_made_to_explode() -> None:
    """The billion laughs: each definition doubles the one before."""
    lines = ['#EXT-X-DEFINE:NAME="v0",VALUE="ha"']
    lines += [f'#EXT-X-DEFINE:NAME="v{n}",VALUE="{{$v{n - 1}}}{{$v{n - 1}}}"' for n in range(1, 64)]
    with pytest.raises(PlaylistError, match=str(MAX_SUBSTITUTED_CHARS)):
        read_defines(lines)
    with pytest.raises(PlaylistError, match=f"more than {MAX_VARIABLES} variables"):
        read_defines(f'#EXT-X-DEFINE:NAME="v{n}",VALUE=""' for n in range(MAX_VARIABLES + 1))
