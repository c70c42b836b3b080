"""Elements of an XML document from outside (XML 1.0, Namespaces in XML 1.0), read by the standard library's expat.

What makes XML dangerous is refused, not resolved: a document type, hence entities, entities of entities (billion
laughs) and external ones; and encodings other than UTF-8. Size, depth, elements and attributes are limited while they
are read. Comments mean nothing and are passed over; processing instructions are findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from kernel.errors import DecodeError, MessageTooLarge
from relay.esni.findings import NOWHERE, At, FindingKind, Findings

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
"""Our own audiences nest 9 deep below six elements; those of others may nest deeper."""

MAX_ELEMENTS = 20_000
MAX_ATTRIBUTES = 64
"""Of one element; the standard's longest list has eleven."""

MAX_ATTRIBUTE_CHARS = 4_096
MAX_NAME_CHARS = 256
MAX_PATH_CHARS = 512

_SEPARATOR = "\n"
"""Stands between namespace and name: no namespace can hold a line's end, for attributes are normalised."""

_QUOTED_CHARS = 80


class Name(str):
    """A name with its namespace, as `{namespace}local`; without a namespace only the local name."""

    __slots__ = ()

    @property
    def space(self) -> str:
        """Return the namespace; empty: none."""
        return self[1:].partition("}")[0] if self.startswith("{") else ""

    @property
    def local(self) -> str:
        """Return the name in it."""
        return self.rpartition("}")[2]


@dataclass(slots=True)
class Element:
    """An element as it was read, or is to be written.

    Args:
        name: with its namespace.
        attributes: by name.
        text: all character data that is directly in it, blanks at the ends removed.
        children: in the document's order.
        at: where it stands.
    """

    name: Name
    attributes: Mapping[Name, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)
    at: At = NOWHERE


def read_elements(data: bytes, document: str, findings: Findings) -> Element:
    """Return the root of a document.

    Args:
        data: the document, UTF-8.
        document: how it is called in findings.
        findings: takes what was passed over.

    Raises:
        MessageTooLarge: it exceeds a limit.
        DecodeError: it is no XML, or has a document type, an entity or another encoding.
    """
    if len(data) > MAX_BYTES:
        raise MessageTooLarge(f"{document}: {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecodeError(f"{document}: byte {error.start} is no UTF-8; write the document in UTF-8") from None
    if "\0" in text:
        raise DecodeError(f"{document}: there is a NUL in it; write the document in UTF-8")
    return _Reader(document, findings).read(text.encode())


class _Reader:
    def __init__(self, document: str, findings: Findings) -> None:
        self._document = document
        self._findings = findings
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._counts: list[dict[str, int]] = [{}]
        self._elements = 0
        self._root: Element | None = None
        parser = self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_entity
        parser.ExternalEntityRefHandler = self._refuse_entity
        parser.SkippedEntityHandler = self._refuse_entity
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.ProcessingInstructionHandler = self._instruction

    def read(self, data: bytes) -> Element:
        try:
            self._parser.Parse(data, True)  # noqa: FBT003 - expat's own
        except expat.ExpatError as error:
            raise DecodeError(f"{self._document}:{error.lineno}: {expat.ErrorString(error.code)}") from None
        assert self._root is not None
        return self._root

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            raise DecodeError(f"{self._here()}: the encoding is {short(encoding)}; write the document in UTF-8")

    def _refuse_doctype(self, *_: object) -> None:
        raise DecodeError(f"{self._here()}: a document type is not read; remove <!DOCTYPE>, and what it defines")

    def _refuse_entity(self, *_: object) -> int:
        raise DecodeError(f"{self._here()}: entities are not read; write out what they stand for")

    def _start(self, raw: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise MessageTooLarge(f"{self._here()}: more than {MAX_ELEMENTS} elements")
        if len(self._open) == MAX_DEPTH:
            raise MessageTooLarge(f"{self._here()}: elements nest deeper than {MAX_DEPTH}")
        if len(attributes) > MAX_ATTRIBUTES:
            raise MessageTooLarge(f"{self._here()}: more than {MAX_ATTRIBUTES} attributes")
        name = self._name(raw)
        named = {self._name(key): value for key, value in attributes.items()}
        for key, value in named.items():
            if len(value) > MAX_ATTRIBUTE_CHARS:
                raise MessageTooLarge(
                    f"{self._here()}: {short(key.local)} has {len(value)} characters; at most {MAX_ATTRIBUTE_CHARS}"
                )
        counts = self._counts[-1]
        counts[name.local] = counts.get(name.local, 0) + 1
        number = f"[{counts[name.local]}]" if self._open else ""
        path = f"{self._open[-1].at.path if self._open else ''}/{name.local}{number}"
        if len(path) > MAX_PATH_CHARS:
            path = "..." + path[3 - MAX_PATH_CHARS :]
        element = Element(name, named, at=At(path, self._parser.CurrentLineNumber, self._document))
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._texts.append([])
        self._counts.append({})

    def _end(self, _: str) -> None:
        self._counts.pop()
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def _characters(self, text: str) -> None:
        self._texts[-1].append(text)

    def _instruction(self, target: str, _: str) -> None:
        at = At(self._open[-1].at.path if self._open else "", self._parser.CurrentLineNumber, self._document)
        self._findings.add(
            FindingKind.UNKNOWN_ELEMENT, at, f"the processing instruction {short(target)} is passed over"
        )

    def _name(self, raw: str) -> Name:
        if len(raw) > MAX_NAME_CHARS:
            raise MessageTooLarge(f"{self._here()}: a name has {len(raw)} characters; at most {MAX_NAME_CHARS}")
        space, separator, local = raw.rpartition(_SEPARATOR)
        return Name(f"{{{space}}}{local}" if separator else local)

    def _here(self) -> str:
        return f"{self._document}:{self._parser.CurrentLineNumber}"


def short(value: str) -> str:
    """Return what was written, short and printable, for a message."""
    text = ascii(value)
    return text if len(text) <= _QUOTED_CHARS else text[: _QUOTED_CHARS - 3] + "..."


def write_elements(root: Element, prefixes: Mapping[str, str]) -> bytes:
    """Return a document in UTF-8, indented.

    Args:
        root: its root.
        prefixes: the prefix of each namespace that occurs; an empty one is the default's.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    declared = {(f"xmlns:{prefix}" if prefix else "xmlns"): space for space, prefix in prefixes.items()}
    _write(root, prefixes, declared, lines, "")
    return ("\n".join(lines) + "\n").encode()


def _write(
    element: Element, prefixes: Mapping[str, str], declared: Mapping[str, str], lines: list[str], indent: str
) -> None:
    tag = _qualified(element.name, prefixes)
    written = {_qualified(key, prefixes): value for key, value in element.attributes.items()}
    inside = "".join(f" {key}={_attribute(value)}" for key, value in {**declared, **written}.items())
    if not element.children and not element.text:
        lines.append(f"{indent}<{tag}{inside}/>")
    elif not element.children:
        lines.append(f"{indent}<{tag}{inside}>{escape(element.text)}</{tag}>")
    else:
        lines.append(f"{indent}<{tag}{inside}>")
        for child in element.children:
            _write(child, prefixes, {}, lines, indent + "  ")
        lines.append(f"{indent}</{tag}>")


def _attribute(value: str) -> str:
    return quoteattr(value, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _qualified(name: Name, prefixes: Mapping[str, str]) -> str:
    prefix = prefixes[name.space] if name.space else ""
    return f"{prefix}:{name.local}" if prefix else name.local
