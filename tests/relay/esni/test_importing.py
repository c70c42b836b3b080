from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import DecodeError, MessageTooLarge
from relay.blackout_text import MAX_ZONES, read_blackout
from relay.esni.findings import FindingKind
from relay.esni.importing import Imported, import_documents
from tests.relay.esni.documents import document, findings_of

F = FindingKind
DARK = "<action:Content>urn:scte:224:action:blackout</action:Content>"
LA = "<audience:DMA>803</audience:DMA>"
IN_LA = {"type": "dma", "code": "803", "action": "block"}
ALL = {"type": "all", "action": "block"}
MARKET, CODE = {"dma": {"codes": ["803"]}}, {"postcode": [{"country": "US", "codes": ["90012"]}]}
ZIP, HOME = "<audience:Zip>90012</audience:Zip>", "<audience:HomeZip>90012</audience:HomeZip>"
ZONE = {"type": "zip", "code": "90012", "action": "block"}


def where(condition: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"type": "where", "where": condition, "action": "block", **more}


def take(inside: str, *more: str, **options: Any) -> Imported:
    documents = [(f"{n}.xml", document(one).encode()) for n, one in enumerate((inside, *more))]
    return import_documents(documents, **{"event_id": "final", **options})


ITSELF = "<action:Content>urn:lockstep:event:final</action:Content>"


def clients(most: str) -> str:
    return f"<action:MaxNumberConcurrentClient>{most}</action:MaxNumberConcurrentClient>"


def dark(viewing: str, apply: str = "", point: str = "matchTime='2026-03-27T12:00:00Z'", media: str = "") -> str:
    """Return a media that applies a policy of these viewing policies."""
    return f"<Media {media}><MediaPoint {point}><Apply {apply}><Policy>{viewing}</Policy></Apply></MediaPoint></Media>"


def view(audience: str, actions: str = DARK, match: str = "ANY") -> str:
    return f"<ViewingPolicy><Audience match='{match}'>{audience}</Audience>{actions}</ViewingPolicy>"


def kinds(told: Imported) -> list[FindingKind]:
    return [kind for kind, _, _ in findings_of(told.findings)]


def test_a_blackout() -> None:
    told = take(
        "<Media id='tv.example/ball' source='tv.example/ch1'>"
        "<MediaPoint matchTime='2026-03-27T19:30:00Z'><Apply duration='PT3H30M' priority='4'>"
        "<Policy xlink:href='tv.example/la'/></Apply></MediaPoint></Media>",
        "<Policy id='tv.example/la'><ViewingPolicy description='Los Angeles'><Audience xlink:href='tv.example/who'/>"
        "<action:Content>tv.example/local</action:Content></ViewingPolicy></Policy>",
        "<Audience id='tv.example/who' match='ANY'><audience:DMA>803</audience:DMA>"
        "<audience:LatLongRadius>34.0522 -118.2437 120700.8</audience:LatLongRadius></Audience>",
        contents={"tv.example/local": "local-broadcast-feed"},
    )
    zone = {
        "type": "dma", "code": "803", "radius_miles": 75, "name": "Los Angeles", "action": "redirect",
        "redirect_stream": "local-broadcast-feed",
    }  # fmt: skip
    body = {
        "event_id": "final", "blackout_zones": [zone], "start": "2026-03-27T19:30:00Z", "end": "2026-03-27T23:00:00Z",
        "precedence": 4,
    }  # fmt: skip
    assert told == Imported((body,), (), ())


def test_policies_that_nothing_applies_are_policies_of_place() -> None:
    told = take(
        f"<Policy id='urn:lockstep:policy:west'>{view(LA)}</Policy>"
        f"<Policy id='tv.example/a/b'><ViewingPolicy description='no LA'><Audience>{LA}</Audience>{DARK}"
        "</ViewingPolicy>"
        "</Policy>"
        f"<Policy id='tv.example:a:b'>{view(LA)}</Policy>"
        f"<ViewingPolicy id='v'><Audience match='NONE'>{LA}</Audience>{DARK}</ViewingPolicy>"
        "<Policy id='open'><ViewingPolicy><Audience><audience:All/></Audience></ViewingPolicy></Policy>"
    )
    in_la = {"dma": {"codes": ["803"]}}

    def policy(policy_id: str, name: str, where: dict[str, Any]) -> dict[str, Any]:
        rule = {"name": name, "effect": "deny", "where": where}
        return {"policy_id": policy_id, "watch": {"default": "allow", "rules": [rule]}}

    assert told.policies == (
        policy("west", "rule 1", in_la),
        policy("tv-example-a-b", "no LA", in_la),
        policy("tv-example-a-b-2", "rule 1", in_la),
        policy("v", "rule 1", {"none": [in_la]}),
    )
    assert kinds(told) == [F.NOT_CARRIED]


BLOCKED = "<x:Deny xmlns:x='urn:x'>yes</x:Deny>"


@pytest.mark.parametrize(
    ("viewing", "zones", "found"),
    [
        # What is shown.
        (view(LA), [IN_LA], []),
        (view(LA, "<action:Content>urn:lockstep:event:other</action:Content>"),
         [{"type": "dma", "code": "803", "action": "redirect", "redirect_stream": "other"}], []),
        (view(LA, "<action:Content>slate</action:Content>"), [IN_LA], [F.UNKNOWN_ACTION]),
        (view(LA, "<action:Content>urn:lockstep:event:a b</action:Content>"), [IN_LA], [F.UNKNOWN_ACTION]),
        (view(LA, "<action:Content/>"), [IN_LA], [F.UNKNOWN_ACTION]),
        (view(LA, f"<action:Content>urn:lockstep:event:other</action:Content>{DARK}"), [IN_LA], []),
        (view(LA, ITSELF + DARK), [IN_LA], []),
        # Actions.
        (view(LA, BLOCKED), [IN_LA], [F.UNKNOWN_ACTION]),
        (view(LA, "<action:Novelty/>"), [IN_LA], [F.UNKNOWN_ACTION]),
        (view(LA, "<action:MaxResolution>720</action:MaxResolution>" + DARK), [IN_LA], [F.NOT_CARRIED]),
        (view(LA, clients("3") + DARK), [IN_LA], [F.NOT_CARRIED]),
        (view(LA, clients("0")), [IN_LA], [F.UNKNOWN_ACTION]),
        (view(LA, clients("x")), [IN_LA], [F.UNKNOWN_ACTION]),
        # Audiences: unknown parts keep out.
        (view("<audience:Device>PHONE</audience:Device>"), [ALL], [F.UNKNOWN_AUDIENCE]),
        (view(LA + "<audience:Device>PHONE</audience:Device>"), [ALL], [F.UNKNOWN_AUDIENCE]),
        (view(LA + "<audience:Device>PHONE</audience:Device>", match="ALL"), [IN_LA], [F.UNKNOWN_AUDIENCE]),
        (view("<audience:Device>PHONE</audience:Device>", match="NONE"), [ALL], [F.UNKNOWN_AUDIENCE]),
        (view("<audience:DMA>999</audience:DMA>"), [ALL], [F.BAD_VALUE]),
        (view("<Audience xlink:href='gone'/>"), [ALL], [F.UNRESOLVED]),
        (view(LA, match="SOME"), [ALL], [F.BAD_VALUE]),
        (view(""), [ALL], [F.UNKNOWN_AUDIENCE]),
        (f"<ViewingPolicy>{DARK}</ViewingPolicy>", [ALL], [F.UNKNOWN_AUDIENCE]),
        ("<ViewingPolicy xlink:href='gone'/>", [ALL], [F.UNRESOLVED]),
        # Zones are places where one is enough; what is more is wider.
        (view(LA + "<audience:State>ca</audience:State>"),
         [IN_LA, {"type": "region", "code": "US-CA", "action": "block"}], []),
        (
            view(LA + "<audience:State>ca</audience:State>", match="ALL"),
            [where({"all": [MARKET, {"region": ["US-CA"]}]})], [],
        ),
        (
            view(ZIP + f"<Audience match='ALL'>{LA}<Audience match='NONE'>{ZIP}</Audience></Audience>"),
            [ZONE, where({"all": [MARKET, {"none": [CODE]}]})], [],
        ),
        (view(HOME, match="NONE"), [where({"none": [CODE]}, territory="home")], []),
        # One place is asked about in a zone: of home and of where somebody is, one is taken to be both.
        (view(LA + HOME, match="ALL"), [IN_LA], [F.WIDENED]),
        (view(LA + "<audience:ISO3166>us</audience:ISO3166>", match="ALL"), [IN_LA], []),
        (view(LA, match="NONE"), [where({"none": [MARKET]})], []),
        (view("<audience:All/>"), [ALL], []),
        (view("<audience:HomeZip>90012</audience:HomeZip>"),
         [{"type": "zip", "code": "90012", "territory": "home", "action": "block"}], []),
        (view(LA) + view(LA), [IN_LA], []),
        # What shows the programme itself is no exception.
        (view(LA) + view("<audience:All/>", ITSELF), [IN_LA], []),
        (view("<audience:All/>", ITSELF) + view(LA), [IN_LA], [F.WIDENED]),
    ],
)  # fmt: skip
def test_what_viewing_policies_come_to(viewing: str, zones: list[dict[str, Any]], found: list[FindingKind]) -> None:
    told = take(dark(viewing))
    assert told.blackouts == ({"event_id": "final", "blackout_zones": zones, "start": "2026-03-27T12:00:00Z"},)
    assert kinds(told) == found
    read_blackout(told.blackouts[0])


@pytest.mark.parametrize(
    "inside",
    [
        "<Media><MediaPoint><Apply/></MediaPoint></Media>",
        "<Media><MediaPoint><Apply><Policy xlink:href='gone'/></Apply></MediaPoint></Media>",
        "<Media><MediaPoint><Apply><Policy/><Policy/></Apply></MediaPoint></Media>",
    ],
)
def test_a_policy_that_is_not_known_keeps_out_everybody(inside: str) -> None:
    told = take(inside)
    assert told.blackouts == ({"event_id": "final", "blackout_zones": [ALL]},)
    assert len(told.findings) == 1


def test_a_policy_that_keeps_nobody_out_is_nothing() -> None:
    told = take(dark(view(LA, ITSELF)))
    assert told.blackouts == ()
    assert kinds(told) == [F.NOT_CARRIED]


def test_what_is_shown_elsewhere_is_not_what_is_on() -> None:
    """A point that has a source of its own shows that; the media's is another content then."""
    shown = view(LA, "<action:Content>ch1</action:Content>")
    for source, zones in (("ch1", 0), ("ch2", 1)):
        told = take(dark(shown, point=f"source='{source}'", media="source='ch1'"))
        assert len(told.blackouts) == zones


def test_what_nothing_refers_to_is_found() -> None:
    told = take(
        f"<Audience id='a'>{LA}</Audience><Audience id='b'>{LA}</Audience>"
        + dark(view("<Audience xlink:href='b'/>"))
        + f"<Policy id='p'>{view(LA)}</Policy>"
        + "<Media><MediaPoint><Remove><Policy xlink:href='p'/></Remove></MediaPoint></Media>"
    )
    assert findings_of(told.findings) == [
        (F.NOT_CARRIED, "/Results/Policy[1]", 2),
        (F.NOT_CARRIED, "/Results/Audience[1]", 2),
    ]
    assert told.policies == ()


def test_homes_are_unknown_to_policies_of_place() -> None:
    told = take(f"<Policy id='p'>{view('<audience:HomeZip>90012</audience:HomeZip>' + LA, match='ALL')}</Policy>")
    (rule,) = told.policies[0]["watch"]["rules"]
    assert rule["where"] == {"all": [{"dma": {"codes": ["803"]}}]}
    assert kinds(told) == [F.WIDENED]


def test_a_policy_of_place_redirects_nobody() -> None:
    told = take(f"<Policy id='p'>{view(LA, '<action:Content>urn:lockstep:event:other</action:Content>')}</Policy>")
    assert len(told.policies[0]["watch"]["rules"]) == 1
    assert kinds(told) == [F.WIDENED]


@pytest.mark.parametrize(
    ("media", "options", "event_id"),
    [
        ("id='urn:lockstep:event:a'", {"event_id": None}, "a"),
        ("id='x' source='urn:lockstep:event:a'", {"event_id": None}, "a"),
        ("id='urn:lockstep:event:a'", {"event_id": "b"}, "b"),
        ("id='x'", {"event_id": None, "unnamed": "u"}, "u"),
    ],
)
def test_which_showing_it_is(media: str, options: dict[str, Any], event_id: str) -> None:
    (body,) = take(dark(view(LA), media=media), **options).blackouts
    assert body["event_id"] == event_id


def test_which_showing_it_is_must_be_said() -> None:
    with pytest.raises(DecodeError, match=r"0\.xml:2: which showing this media is"):
        take(dark(view(LA)), event_id=None)
    with pytest.raises(DecodeError, match="2 media are in it, and --event is one showing"):
        take(dark(view(LA), media="id='a'") + dark(view(LA), media="id='b'"))


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"vpn_policy": {"tor": "block"}, "precedence": -1}, {"vpn_policy": {"tor": "block"}, "precedence": -1}),
        ({"start_media": {"tl": 0, "pts": 9}}, {"start_media": {"tl": 0, "pts": 9}}),
        # What is not ours is nothing.
        ({"blackout_zones": []}, {"vpn_policy": "block", "start": "2026-03-27T12:00:00Z"}),
        ([], {"vpn_policy": "block", "start": "2026-03-27T12:00:00Z"}),
        ("{", {"vpn_policy": "block", "start": "2026-03-27T12:00:00Z"}),
    ],
)
def test_terms_of_ours(terms: Any, told: dict[str, Any]) -> None:
    text = terms if isinstance(terms, str) else json.dumps(terms)
    extension = f"<Ext><l:Terms xmlns:l='urn:lockstep:esni'>{text}</l:Terms></Ext>"
    inside = dark(view(LA)).replace("<Apply", extension + "<Apply")
    (body,) = take(inside).blackouts
    expected = {"event_id": "final", "blackout_zones": [IN_LA], **told}
    if not {"start", "start_media"} & set(told):
        expected["start"] = "2026-03-27T12:00:00Z"
    assert body == expected


def test_many_zones_become_several_blackouts() -> None:
    zips = "".join(view(f"<audience:Zip>{n:05d}</audience:Zip>") for n in range(MAX_ZONES + 1))
    first, second = take(dark(zips)).blackouts
    assert [len(one["blackout_zones"]) for one in (first, second)] == [MAX_ZONES, 1]
    assert first["start"] == second["start"]


def test_a_policy_beyond_what_policies_hold_is_refused() -> None:
    deep = "".join("<Audience>" for _ in range(9)) + LA + "</Audience>" * 9
    with pytest.raises(DecodeError, match=r"0\.xml:2: policy p: .* nest deeper"):
        take(f"<Policy id='p'>{view(deep)}</Policy>")


def test_a_schedule_may_refer_to_a_large_audience_at_each_point() -> None:
    zips = "".join(f"<audience:Zip>{n:05d}</audience:Zip>" for n in range(500))
    points = "".join(
        f"<MediaPoint matchTime='2026-03-27T12:00:{n % 60:02d}Z'><Apply><Policy xlink:href='p'/></Apply></MediaPoint>"
        for n in range(300)
    )
    told = take(f"<Policy id='p'>{view(zips)}</Policy><Media>{points}</Media>")
    assert len(told.blackouts) == 300
    assert told.findings == ()


def test_the_laughs_of_references_are_refused() -> None:
    laughs = "".join(
        f"<Audience id='{n}' match='ANY'>" + f"<Audience xlink:href='{n - 1}'/>" * 2 + "</Audience>"
        for n in range(1, 40)
    )
    with pytest.raises(MessageTooLarge):
        take(f"<Audience id='0'>{LA}</Audience>{laughs}" + dark(view("<Audience xlink:href='39'/>")))


def test_a_media_that_is_a_reference_is_found() -> None:
    assert kinds(take("<Media xlink:href='x'/>")) == [F.UNRESOLVED]


@given(st.text(st.sampled_from("<>/='\" AMediaPolcyAudencvxmlns:\n&;!")), st.binary(max_size=200))
def test_rubbish_is_refused_and_nothing_else(text: str, data: bytes) -> None:
    for one in (text.encode(), data, document(text).encode()):
        with suppress(DecodeError):
            import_documents([("a.xml", one)], event_id="final")
