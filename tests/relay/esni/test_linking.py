from __future__ import annotations

import pytest

from kernel.errors import MessageTooLarge
from relay.esni.findings import FindingKind, Findings
from relay.esni.linking import Links, applied
from relay.esni.model import Audience, Document, Media, Policy
from relay.esni.reading import read_document
from tests.relay.esni.documents import document, findings_of


def links(inside: str) -> tuple[Links, Document, Findings]:
    findings = Findings()
    read = read_document(document(inside).encode(), "a.xml", findings)
    return Links(read, findings), read, findings


LA = "<audience:DMA>803</audience:DMA>"


def test_references_lead_to_what_has_the_id() -> None:
    found, read, findings = links(
        f"<Audience id='a'>{LA}</Audience><Audience id='b'><Audience xlink:href='a'/></Audience>"
        "<ViewingPolicy id='v'><Audience id='c'><Audience xlink:href='b'/></Audience></ViewingPolicy>"
        "<Policy id='p'><ViewingPolicy xlink:href='v'/></Policy>"
        "<Media><MediaPoint><Apply><Policy xlink:href='p'/></Apply></MediaPoint></Media>"
    )
    (named,) = applied(read.media)
    policy = found.policy(named)
    assert policy == read.policies[0]
    viewing = found.viewing(policy.viewing[0])
    assert viewing is not None
    assert viewing.audience is not None
    assert found.audience(viewing.audience) == Audience(
        id="c", parts=(Audience(id="b", parts=(Audience(id="a", parts=read.audiences[0].parts),)),)
    )
    assert findings.all() == ()


def test_what_leads_nowhere_or_to_itself_is_unknown() -> None:
    found, read, findings = links(
        "<Audience id='a'><Audience xlink:href='b'/></Audience>\n"
        "<Audience id='b'><Audience xlink:href='a'/></Audience>\n"
        "<Audience id='c'><Audience xlink:href='gone'/></Audience>\n<Policy xlink:href='gone'/>\n"
    )
    told = found.audience(read.audiences[0])
    while told.parts:
        (part,) = told.parts
        assert isinstance(part, Audience)
        told = part
    assert told.match is None
    assert found.audience(read.audiences[2]).parts == (Audience(match=None),)
    assert found.policy(read.policies[0]) is None
    assert [one[0] for one in findings_of(findings)] == [FindingKind.UNRESOLVED] * 3
    assert [one[2] for one in findings_of(findings)] == [2, 4, 5]


def test_references_of_entries_to_themselves() -> None:
    findings = Findings()
    one, other = Policy(id="a", href="b"), Policy(id="b", href="a")
    assert Links(Document(policies=(one, other)), findings).policy(one) is None
    assert "leads to itself" in findings.all()[0].text


def test_an_id_that_stands_for_several_is_unknown() -> None:
    found, _, findings = links(
        f"<Audience id='a'>{LA}</Audience>\n<Audience id='a'/>\n<Audience id='b'/><Audience id='b'/>"
    )
    assert found.audience(Audience(href="a")).match is None
    assert found.audience(Audience(href="b")) == Audience(id="b")
    assert findings_of(findings)[-1][0] is FindingKind.DUPLICATE_ID


def test_a_removal_that_writes_its_policy_out_is_no_second_meaning() -> None:
    found, read, findings = links(
        f"<Media><MediaPoint><Apply><Policy id='p'><ViewingPolicy><Audience>{LA}</Audience></ViewingPolicy></Policy>"
        "</Apply></MediaPoint><MediaPoint><Remove><Policy id='p'/></Remove></MediaPoint></Media>"
    )
    assert found.policy(Policy(href="p")) == next(applied(read.media))
    assert findings.all() == ()


def test_references_that_double_each_time_are_refused() -> None:
    """A billion laughs without a single entity: 40 audiences, each twice what the one before it is."""
    laughs = "".join(
        f"<Audience id='{n}' match='ANY'>" + f"<Audience xlink:href='{n - 1}'/>" * 2 + "</Audience>"
        for n in range(1, 40)
    )
    found, read, _ = links(f"<Audience id='0'>{LA}</Audience>{laughs}")
    with pytest.raises(MessageTooLarge, match="more than 20000"):
        found.audience(read.audiences[-1])


def test_media_without_policies() -> None:
    assert list(applied((Media(),))) == []
