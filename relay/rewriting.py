"""Let no URI of the origin's stand in what we write: the attributes of tag lines (RFC 8216, 4.2).

A line that names no place comes back byte for byte, known or not. In one that does, the attributes that the standard
says are URIs are given to the gate, and what else looks like one is dropped: we do not know how to gate it. An unknown
tag that is no attribute list stays as it is, whatever it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kernel.attributes import quoted, unquoted, written_attributes
from kernel.errors import PlaylistError

Gate = Callable[[str, str], str | None]
"""Given an attribute's name and a URI as the origin means it, return what to write instead, None to drop it."""

# RFC 8216, 4.3.2 and 4.3.4; X-ASSET-LIST: RFC 8216bis, appendix D. "" for a tag without one.
_URI_OF = {
    "#EXT-X-KEY": "URI", "#EXT-X-MAP": "URI", "#EXT-X-DATERANGE": "X-ASSET-LIST", "#EXT-X-MEDIA": "URI",
    "#EXT-X-I-FRAME-STREAM-INF": "URI", "#EXT-X-SESSION-DATA": "URI", "#EXT-X-SESSION-KEY": "URI",
    "#EXT-X-STREAM-INF": "", "#EXT-X-START": "", "#EXT-X-CONTENT-STEERING": "",
}  # fmt: skip
# Attributes of those tags that are names and texts by the standard, even where they look like a URI.
_TEXTS = {
    "ASSOC-LANGUAGE", "AUDIO", "CHANNELS", "CHARACTERISTICS", "CLASS", "CLOSED-CAPTIONS", "CODECS", "DATA-ID",
    "GROUP-ID", "ID", "INSTREAM-ID", "KEYFORMAT", "KEYFORMATVERSIONS", "LANGUAGE", "NAME", "PATHWAY-ID",
    "STABLE-RENDITION-ID", "STABLE-VARIANT-ID", "SUBTITLES", "SUPPLEMENTAL-CODECS", "VALUE", "VIDEO",
}  # fmt: skip
_MAY_NAME_A_PLACE = re.compile(r'://|=[ \t]*"?[ \t]*//|UR[IL]=|X-ASSET-LIST=', re.IGNORECASE)


def rewrite_uris(line: str, gate: Gate) -> str | None:
    """Return a tag line with its URIs gated; None for one that means nothing, or something else, without its URI.

    Args:
        line: the whole line, its variables substituted.
        gate: what may stand instead of a URI; a URI that it returns unchanged stays.
    """
    if not _MAY_NAME_A_PLACE.search(line):
        return line
    tag, _, text = line.partition(":")
    known = _URI_OF.get(tag)
    try:
        written = written_attributes(text)
    except PlaylistError:
        return line if known is None else None
    kept: dict[str, str] = {}
    for name, value in written.items():
        meant = unquoted(value)
        if name == known:
            gated = gate(name, meant)
            if gated is not None:
                kept[name] = value if gated == meant else quoted(gated)
        elif (known is not None and name in _TEXTS) or not _is_place(name, meant):
            kept[name] = value
    if kept == written:
        return line
    # A rendition without its URI would be one inside the variant's own segments (4.3.4.1), a key or a map none at
    # all; a DATERANGE still says when something is.
    lost = [name for name in written if name not in kept]
    if not kept or (lost and (known in lost or tag == "#EXT-X-CONTENT-STEERING") and tag != "#EXT-X-DATERANGE"):
        return None
    return f"{tag}:{','.join(f'{name}={value}' for name, value in kept.items())}"


def _is_place(name: str, value: str) -> bool:
    # RFC 3986, 4.2: a reference may leave the scheme out and begin with the authority.
    return name.upper().endswith(("URI", "URL")) or "://" in value or value.lstrip().startswith("//")
