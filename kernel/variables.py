"""Variables of playlists: EXT-X-DEFINE and `{$name}` (RFC 8216bis, 4.3 and 4.4.2.3).

The standard lets a variable take effect behind its line only; here it does everywhere in its playlist, which changes
nothing for a playlist that is right. What we write has no variables: their values are often the origin's address or the
key to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import unquote

from kernel.attributes import attribute_list
from kernel.errors import PlaylistError

Variables = Mapping[str, str]

NO_VARIABLES: Variables = MappingProxyType({})

MAX_VARIABLES = 100
"""A playlist has two or three: a host, a path, a signature."""

MAX_SUBSTITUTED_CHARS = 16_384
"""What a line or a value may grow to: as much as a line may have without variables."""

_TAG = "#EXT-X-DEFINE:"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_REFERENCE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")
_NOT_QUOTABLE = re.compile(r'["\x00-\x1f\x7f]|\{\$')


def substitute(text: str, variables: Variables) -> str:
    """Return `text` with each `{$name}` replaced by its value, once: what a value holds is not looked at again.

    Raises:
        PlaylistError: a variable has no definition, or the text becomes too long.
    """
    if "{$" not in text:
        return text
    pieces = []
    at, length = 0, len(text)
    for match in _REFERENCE.finditer(text):
        value = variables.get(match[1])
        if value is None:
            raise PlaylistError(f"variable {match[0][:60]} is not defined: it needs an EXT-X-DEFINE (RFC 8216bis, 4.3)")
        length += len(value)
        if length > MAX_SUBSTITUTED_CHARS:
            raise PlaylistError(f"{text[:60]!r} is longer than {MAX_SUBSTITUTED_CHARS} characters with its variables")
        pieces += [text[at : match.start()], value]
        at = match.end()
    return "".join([*pieces, text[at:]])


def read_defines(lines: Iterable[str], *, imported: Variables = NO_VARIABLES, query: str = "") -> dict[str, str]:
    """Return the variables that the EXT-X-DEFINE lines among `lines` define.

    Args:
        lines: of one playlist, in their order; other lines are passed over.
        imported: those of its multivariant playlist, which IMPORT may name.
        query: of the URL that the playlist came from, without the question mark, which QUERYPARAM may name.

    Raises:
        PlaylistError: a definition is malformed, stands twice, or names what is not there.
    """
    variables: dict[str, str] = {}
    for line in lines:
        if line.startswith(_TAG):
            name, value = _definition(line, variables, imported, query)
            # RFC 8216bis, 4.4.2.3: a second definition of a name is an error, in whatever form.
            if name in variables:
                raise PlaylistError(f"{line[:60]!r}: variable {name} is defined twice (RFC 8216bis, 4.4.2.3)")
            if len(variables) == MAX_VARIABLES:
                raise PlaylistError(f"more than {MAX_VARIABLES} variables (EXT-X-DEFINE)")
            variables[name] = value
    return variables


def _definition(line: str, defined: Variables, imported: Variables, query: str) -> tuple[str, str]:
    attributes = attribute_list(line.removeprefix(_TAG))
    forms = [form for form in ("NAME", "IMPORT", "QUERYPARAM") if form in attributes]
    if len(forms) != 1 or not _NAME.fullmatch(attributes[forms[0]]):
        raise PlaylistError(f"{line[:60]!r}: one of NAME, IMPORT, QUERYPARAM must name a variable, of [A-Za-z0-9_-]")
    name = attributes[forms[0]]
    if forms[0] == "NAME":
        if "VALUE" not in attributes:
            raise PlaylistError(f"{line[:60]!r}: VALUE is missing (RFC 8216bis, 4.4.2.3)")
        return name, substitute(attributes["VALUE"], defined)
    if forms[0] == "IMPORT":
        if name not in imported:
            raise PlaylistError(f"{line[:60]!r}: no multivariant playlist defines {name}")
        return name, imported[name]
    return name, _parameter(name, query)


def _parameter(name: str, query: str) -> str:
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if value and unquote(key) == name:
            decoded = unquote(value)
            # It becomes a quoted string of a line of ours: a quotation mark would end that, a line break the line.
            if _NOT_QUOTABLE.search(decoded) or len(decoded) > MAX_SUBSTITUTED_CHARS:
                raise PlaylistError(f"the playlist's URL gives {name} a value that no quoted string can hold")
            return decoded
    # RFC 8216bis, 4.4.2.3: no such parameter, or one without a value, is an error.
    raise PlaylistError(f"the playlist's URL has no parameter {name}, which EXT-X-DEFINE names: add it to the origin")
