from __future__ import annotations

import pytest

from kernel.errors import DecodeError, MessageTooLarge
from relay.esni.elements import (
    MAX_ATTRIBUTES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    Element,
    Name,
    read_elements,
    short,
    write_elements,
)
from relay.esni.findings import At, FindingKind, Findings

SPACE = "urn:example:a"


def read(text: str | bytes, findings: Findings | None = None) -> Element:
    data = text.encode() if isinstance(text, str) else text
    return read_elements(data, "a.xml", findings or Findings())


def test_names_texts_and_places() -> None:
    root = read(
        f'<a xmlns="{SPACE}" n="1">\n <b/>\n <!-- none -->\n <b p:m="2" xmlns:p="urn:p"> x<![CDATA[<y]]> </b></a>'
    )
    assert (root.name, root.attributes, root.text) == (f"{{{SPACE}}}a", {"n": "1"}, "")
    assert (root.name.space, root.name.local, Name("bare").space, Name("bare").local) == (SPACE, "a", "", "bare")
    first, second = root.children
    assert (first.at, second.at) == (At("/a/b[1]", 2, "a.xml"), At("/a/b[2]", 4, "a.xml"))
    assert (second.text, second.attributes) == ("x<y", {"{urn:p}m": "2"})
    assert root.at == At("/a", 1, "a.xml")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # What expands, or fetches.
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>', "a.xml:1: a document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "a document type"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>', "a document type"),
        ('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p">%p;]><a/>', "a document type"),
        ("<!DOCTYPE a><a/>", "a document type"),
        ("<a>&x;</a>", "undefined entity"),
        # What is no XML.
        ("", "no element found"),
        ("<a>", "no element found"),
        ("<a></b>", "mismatched tag"),
        ("<a/><b/>", "junk after document element"),
        ('<a x="1" x="2"/>', "duplicate attribute"),
        ("<p:a/>", "unbound prefix"),
        ("<a>\x01</a>", "not well-formed"),
        # What is not UTF-8, or says that it is not.
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a/>', "the encoding is 'ISO-8859-1'"),
        (b"<a>\xff</a>", "byte 3 is no UTF-8"),
        ("<a/>".encode("utf-16-le"), "a NUL"),
        ("<a/>".encode("utf-16"), "byte 0 is no UTF-8"),
    ],
)
def test_what_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=r"a\.xml") as caught:
        read(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" " * MAX_BYTES + "<a/>", "at most 1048576 are read"),
        ("<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1), "nest deeper than 64"),
        ("<a>" * 100_000, "nest deeper than 64"),
        ("<a>" + "<b/>" * MAX_ELEMENTS + "</a>", "more than 20000 elements"),
        (f'<a x="{"y" * 5000}"/>', "'x' has 5000 characters"),
        (f'<a x="{"y" * 1_000_000}"/>', "'x' has 1000000 characters"),
        ("<a " + " ".join(f'x{n}=""' for n in range(MAX_ATTRIBUTES + 1)) + "/>", "more than 64 attributes"),
        (f"<{'a' * 300}/>", "a name has 300 characters"),
        (f'<a xmlns="{"u" * 300}"/>', "a name has"),
    ],
)
def test_what_is_too_large(text: str, says: str) -> None:
    with pytest.raises(MessageTooLarge) as caught:
        read(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_largest_is_read() -> None:
    deepest = read("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        (deepest,) = deepest.children
    assert len(deepest.at.path) <= 512
    assert len(read("<a>" + "<b/>" * (MAX_ELEMENTS - 1) + "</a>").children) == MAX_ELEMENTS - 1
    long = read(f"<{'x' * 250}>" * 1 + f"<{'y' * 250}><{'z' * 250}/></{'y' * 250}></{'x' * 250}>")
    assert long.children[0].children[0].at.path.startswith("...")


def test_a_byte_order_mark_and_a_declaration_are_read() -> None:
    assert read(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><a>\xc3\xa9</a>').text == "é"


def test_processing_instructions_are_found() -> None:
    findings = Findings()
    read('<?style a="b"?>\n<a><?run rm?></a>', findings)
    assert [(one.kind, one.at.path, one.at.line) for one in findings.all()] == [
        (FindingKind.UNKNOWN_ELEMENT, "", 1),
        (FindingKind.UNKNOWN_ELEMENT, "/a", 2),
    ]


def test_what_is_written_is_read_back() -> None:
    texts = ['<&>"]]>', "é"]
    root = Element(Name(f"{{{SPACE}}}a"), {Name("n"): " \t\n'\"<&>", Name("{urn:p}m"): "1"})
    root.children = [Element(Name(f"{{{SPACE}}}b"), text=text) for text in texts]
    written = write_elements(root, {SPACE: "", "urn:p": "p"})
    read_back = read(written)
    assert (read_back.name, read_back.attributes) == (root.name, root.attributes)
    assert [child.text for child in read_back.children] == texts
    assert written.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<a xmlns="urn:example:a" xmlns:p="urn:p"')


def test_short() -> None:
    assert short("é\n") == "'\\xe9\\n'"
    assert len(short("x" * 200)) == 80
