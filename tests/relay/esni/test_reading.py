from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.esni.elements import Name
from relay.esni.findings import FindingKind, Findings
from relay.esni.model import (
    ACTION,
    AUDIENCE,
    CORE,
    Apply,
    Audience,
    Document,
    Match,
    Media,
    MediaPoint,
    Policy,
    Property,
    Remove,
    ViewingPolicy,
)
from relay.esni.reading import read_document
from relay.esni.values import Between
from tests.relay.esni.documents import HEAD, document, findings_of

NOON = Between(1_774_612_800_000, 1_774_612_800_000)


def read(text: str) -> tuple[Document, list[tuple[FindingKind, str, int]]]:
    findings = Findings()
    return read_document(text.encode(), "a.xml", findings), findings_of(findings)


def test_all_that_is_known() -> None:
    told, found = read(f"""<Results {HEAD} size="4">
<Media id="m" description="D" source="s" effective="2026-03-27T12:00:00Z" expires="2026-03-27T12:00:00Z"
       lastUpdated="2026-03-27T12:00:00Z">
<MediaPoint id="p" effective="2026-03-27T12:00:00Z" expires="2026-03-27T12:00:00Z" matchTime="2026-03-27T12:00:00Z"
            matchOffset="PT1S" order="2" source="t" expectedDuration="PT1H">
<Ext><lockstep:Terms xmlns:lockstep="urn:lockstep:esni">{{}}</lockstep:Terms></Ext>
<Remove><Policy xlink:href="q"/></Remove>
<Apply duration="PT2S" priority="7"><Policy xlink:href="r"/></Apply>
<MatchSignal match="ANY" schema="x" signalTolerance="PT1S"><Assert>/a</Assert><Assert>/b</Assert></MatchSignal>
</MediaPoint></Media>
<Policy id="r"><ViewingPolicy xlink:href="v"/></Policy>
<ViewingPolicy id="v"><Audience xlink:href="w"/><action:Content>c</action:Content></ViewingPolicy>
<Audience id="w" match="NONE"><audience:DMA>803</audience:DMA><Audience><audience:All/></Audience></Audience>
</Results>""")
    assert found == []
    point = MediaPoint(
        id="p", effective=NOON, expires=NOON, match_time=NOON, match_offset=Between(1000, 1000), order=2, source="t",
        expected_duration=Between(3_600_000, 3_600_000), removes=(Remove(policy=Policy(href="q")),),
        applies=(Apply(policy=Policy(href="r"), duration=Between(2000, 2000), priority=7),), signals=("/a", "/b"),
        terms="{}",
    )  # fmt: skip
    inner = Audience(parts=(Property(Name(f"{{{AUDIENCE}}}All")),))
    assert told == Document(
        (Media(id="m", description="D", source="s", effective=NOON, expires=NOON, updated=NOON, points=(point,)),),
        (Policy(id="r", viewing=(ViewingPolicy(href="v"),)),),
        (ViewingPolicy(id="v", audience=Audience(href="w"), actions=(Property(Name(f"{{{ACTION}}}Content"), "c"),)),),
        (Audience(id="w", match=Match.NONE, parts=(Property(Name(f"{{{AUDIENCE}}}DMA"), "803"), inner)),),
    )


@pytest.mark.parametrize("root", ["Media", "Policy", "ViewingPolicy", "Audience"])
def test_a_root_may_be_one_of_them(root: str) -> None:
    told, found = read(f'<{root} {HEAD} id="x"/>')
    assert found == []
    assert [one.id for group in (told.media, told.policies, told.viewing, told.audiences) for one in group] == ["x"]


def test_other_spellings_of_the_namespaces() -> None:
    told, found = read(
        f'<ViewingPolicy xmlns="{CORE}/2015"><Audience><a:DMA xmlns:a="{CORE}/audience">803</a:DMA></Audience>'
        f'<b:Content xmlns:b="{CORE}/action">c</b:Content></ViewingPolicy>'
    )
    assert found == []
    (viewing,) = told.viewing
    assert viewing.audience == Audience(parts=(Property(Name(f"{{{AUDIENCE}}}DMA"), "803"),))
    assert viewing.actions == (Property(Name(f"{{{ACTION}}}Content"), "c"),)


@pytest.mark.parametrize("text", ["<Media/>", f'<Audit xmlns="{CORE}"/>', '<a xmlns="urn:x"/>'])
def test_what_is_no_root(text: str) -> None:
    with pytest.raises(DecodeError, match=r"a\.xml:1: .* is no root of SCTE 224"):
        read(text)


U, A, B = FindingKind.UNKNOWN_ELEMENT, FindingKind.UNKNOWN_ATTRIBUTE, FindingKind.BAD_VALUE


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        # Elements.
        ("<Audit/>", (U, "/Results/Audit[1]", 2)),
        ("<x:A xmlns:x='urn:x'/>", (U, "/Results/A[1]", 2)),
        ("<Media>\n<AltID>x</AltID></Media>", (U, "/Results/Media[1]/AltID[1]", 3)),
        ("<Media>\n\n<MediaPoint><Metadata/></MediaPoint></Media>",
         (U, "/Results/Media[1]/MediaPoint[1]/Metadata[1]", 4)),
        ("<Media><MediaPoint><Ext><x:A xmlns:x='urn:x'/></Ext></MediaPoint></Media>",
         (U, "/Results/Media[1]/MediaPoint[1]/Ext[1]", 2)),
        ("<Policy><Ext/></Policy>", (U, "/Results/Policy[1]/Ext[1]", 2)),
        ("<ViewingPolicy><Metadata/></ViewingPolicy>", (U, "/Results/ViewingPolicy[1]/Metadata[1]", 2)),
        ("<Audience><AltID/></Audience>", (U, "/Results/Audience[1]/AltID[1]", 2)),
        # Texts.
        ("nonsense", (U, "/Results", 1)),
        ("<Policy>x</Policy>", (U, "/Results/Policy[1]", 2)),
        # Attributes.
        ("<Policy colour='red'/>", (A, "/Results/Policy[1]", 2)),
        ("<Audience invert='true'/>", (A, "/Results/Audience[1]", 2)),
        ("<Audience><audience:DMA scheme='x'>803</audience:DMA></Audience>", (A, "/Results/Audience[1]/DMA[1]", 2)),
        ("<Media><MediaPoint reusable='true'/></Media>", (A, "/Results/Media[1]/MediaPoint[1]", 2)),
        ("<Policy xml:base='http://x/'/>", (A, "/Results/Policy[1]", 2)),
        # Values.
        ("<Policy lastUpdated='yesterday'/>", (B, "/Results/Policy[1]", 2)),
        ("<Audience match='SOME'/>", (B, "/Results/Audience[1]", 2)),
        ("<Media><MediaPoint order='-1'/></Media>", (B, "/Results/Media[1]/MediaPoint[1]", 2)),
        ("<Media><MediaPoint matchTime='x'/></Media>", (B, "/Results/Media[1]/MediaPoint[1]", 2)),
        ("<Media><MediaPoint><Apply/></MediaPoint></Media>", (B, "/Results/Media[1]/MediaPoint[1]/Apply[1]", 2)),
        ("<Policy id='a' xlink:href='b'/>", (B, "/Results/Policy[1]", 2)),
        ("<ViewingPolicy><Audience/><Audience/></ViewingPolicy>", (B, "/Results/ViewingPolicy[1]", 2)),
    ],
)  # fmt: skip
def test_nothing_is_dropped_in_silence(inside: str, found: tuple[Any, ...]) -> None:
    assert read(document(inside))[1] == [found]


@pytest.mark.parametrize(
    "inside",
    ["<Audience invert='true'><audience:DMA>803</audience:DMA></Audience>", "<Audience match='SOME'/>",
     "<Audience>x<audience:DMA>803</audience:DMA></Audience>"],
)  # fmt: skip
def test_an_audience_that_is_not_understood_whole_is_unknown(inside: str) -> None:
    (audience,) = read(document(inside))[0].audiences
    assert audience.match is None


def test_a_time_that_cannot_be_read_makes_its_point_uncertain() -> None:
    (media,) = read(document("<Media><MediaPoint matchTime='x' effective='2026-03-27T12:00:00Z'/></Media>"))[0].media
    assert not media.points[0].is_certain
    assert media.points[0].effective == NOON


def test_where_a_schema_lies_means_nothing() -> None:
    xsi = "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='a b'"
    assert read(document(f"<Policy {xsi}/>"))[1] == []
