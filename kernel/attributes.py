"""The attribute lists of playlist tags (RFC 8216, 4.2): read them, and change one without touching the rest."""

from __future__ import annotations

import re

from kernel.errors import PlaylistError

_ATTRIBUTE = re.compile(r'[ \t]*([A-Za-z0-9-]+)=("[^"]*"|[^",]*)(,|$)')


def attribute_list(text: str) -> dict[str, str]:
    """Read an attribute list (RFC 8216, 4.2), the text behind a tag's colon; quoted values come without quotes.

    Raises:
        PlaylistError: it is malformed or names an attribute twice.
    """
    return {name: unquoted(value) for name, value in written_attributes(text).items()}


def written_attributes(text: str) -> dict[str, str]:
    """Read an attribute list like `attribute_list`, but with values as they are written, quotes included."""
    attributes: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _ATTRIBUTE.match(text, at)
        if not match:
            raise PlaylistError(f"{text[at : at + 40]!r} is no attribute (RFC 8216, 4.2)")
        if match[1] in attributes:
            raise PlaylistError(f"attribute {match[1]} stands twice (RFC 8216, 4.2)")
        attributes[match[1]] = match[2].strip()
        at = match.end()
    return attributes


def unquoted(value: str) -> str:
    """Return an attribute's value as it is meant."""
    return value[1:-1] if value.startswith('"') else value


def quoted(value: str) -> str:
    """Return a value as a quoted string; raises ValueError for one that cannot stand in it."""
    if re.search(r'["\r\n]', value):
        raise ValueError(f"{value[:40]!r}: a quoted string holds no quotation mark and no line break (RFC 8216, 4.2)")
    return f'"{value}"'


def with_attribute(line: str, name: str, value: str) -> str:
    """Return a tag line with one attribute's quoted value replaced, all else byte for byte.

    Args:
        line: the whole line, such as `#EXT-X-KEY:METHOD=AES-128,URI="k"`.
        name: the attribute; a line without it gets it at its end.
        value: without quotes, line breaks and quotation marks.
    """
    at = line.index(":") + 1
    while match := _ATTRIBUTE.match(line, at):
        if match[1] == name:
            return f"{line[: match.start(2)]}{quoted(value)}{line[match.end(2) :]}"
        at = match.end()
        if at >= len(line):
            break
    return f"{line},{name}={quoted(value)}"


def with_iv(key_line: str, msn: int) -> str:
    """Return an EXT-X-KEY line that names its IV, for a segment whose number at the origin was `msn`.

    RFC 8216, 5.2: without the attribute the IV is the media sequence number, which no longer holds once segments
    are numbered anew.
    """
    attributes = attribute_list(key_line.partition(":")[2])
    identity = attributes.get("KEYFORMAT", "identity") == "identity"
    if "IV" in attributes or not identity or attributes.get("METHOD") == "NONE":
        return key_line
    return f"{key_line},IV=0x{msn:032x}"
