from __future__ import annotations

import pytest

from relay.esni.findings import FindingKind, Findings
from relay.esni.reading import read_document
from relay.esni.values import date_text
from relay.esni.windows import Timetable
from tests.relay.esni.documents import document

W, S = FindingKind.WINDOW, FindingKind.SIGNAL
POLICY = "<Policy xlink:href='p'/>"
MATCH = "<MatchSignal><Assert>/x</Assert></MatchSignal>"


def removed(attributes: str, inside: str = "", policy: str = POLICY) -> str:
    return f"<MediaPoint {attributes}><Remove>{policy}</Remove>{inside}</MediaPoint>"


def at(hour: int, name: str = "matchTime") -> str:
    return f"{name}='2026-03-27T{hour:02d}:00:00Z' "


@pytest.mark.parametrize(
    ("point", "apply", "more", "media", "window", "kinds"),
    [
        # Begin: matchTime, else what it becomes effective, else at once.
        (at(12), "", "", "", "12-", []),
        (at(9, "effective") + at(12), "", "", "", "12-", []),
        (at(9, "effective"), "", "", "", "9-", []),
        ("", "", "", "", "-", []),
        (at(12) + "matchOffset='PT1H'", "", "", "", "12-", [W]),
        (at(12) + "matchOffset='-PT1H'", "", "", "", "11-", [W]),
        ("matchOffset='PT1H'", "", "", at(9, "effective"), "10-", []),
        ("matchOffset='PT1H'", "", "", "", "-", [W]),
        (at(9, "effective") + "matchOffset='PT1H'", "", "", "", "9-", [W]),
        ("matchTime='2026-03-27T20:00:00'", "", "", "", "6-", []),
        # End: the duration, or a removal, whichever is first.
        (at(12), "duration='PT3H'", "", "", "12-15", []),
        (at(12), "", removed(at(14)), "", "12-14", []),
        (at(12), "duration='PT3H'", removed(at(14)), "", "12-14", []),
        (at(12), "duration='PT3H'", removed(at(16)), "", "12-15", []),
        (at(12), "", removed(at(16)) + removed(at(14)), "", "12-14", []),
        # A point removes nothing when it cannot come.
        (at(12), "", removed(at(14) + at(15, "effective")), "", "12-", [W]),
        (at(12), "", removed(at(14) + at(13, "expires")), "", "12-", [W]),
        (at(12), "", removed(at(14) + at(13, "effective") + at(15, "expires")), "", "12-14", []),
        (at(12), "", removed(at(14)), at(13, "expires"), "12-13", [W]),
        (at(12), "", removed(at(14, "effective")), "", "12-14", []),
        # Nor where not all of it is understood.
        (at(12), "", removed(at(14) + "maybe='yes'"), "", "12-", [W]),
        (at(12), "", removed(at(14), policy=POLICY * 2), "", "12-", []),
        (at(12), "", removed(at(14)).replace("<Remove", "<Remove after='PT9H'"), "", "12-", []),
        # Removed before it is applied, or something else is.
        (at(12), "", removed(at(11)), "", "12-", []),
        (at(12), "", removed(at(12)), "", "12-", []),
        (at(12), "", removed(at(14), policy="<Policy xlink:href='q'/>"), "", "12-", []),
        # Else when the point or the media expires.
        (at(12) + at(18, "expires"), "", "", at(20, "expires"), "12-20", []),
        (at(12) + at(18, "expires"), "", "", "", "12-", []),
        (at(9, "effective") + at(18, "expires"), "", "", at(20, "expires"), "9-18", []),
        ("matchOffset='PT1H' " + at(18, "expires"), "", "", at(9, "effective"), "10-", []),
        (at(12), "", "", at(20, "expires"), "12-20", []),
        (at(12) + at(18, "expires"), "duration='PT1H'", "", "", "12-13", []),
        (at(18, "expires"), "", "", "", "-18", []),
        # A duration of which the begin is not known, at the latest.
        (at(18, "expires"), "duration='PT1H'", "", "", "-19", []),
        ("", "duration='PT1H'", "", at(20, "expires"), "-20", []),
        # An end that is none.
        (at(12), "", "", at(9, "expires"), "12-", [W]),
        (at(12), "duration='-PT1H'", "", "", "12-", [W]),
        (at(12), "duration='P999999Y'", "", "", "12-", [W]),
    ],
)
def test_windows(point: str, apply: str, more: str, media: str, window: str, kinds: list[FindingKind]) -> None:
    check(f"<MediaPoint {point}><Apply {apply}>{POLICY}</Apply></MediaPoint>{more}", media, window, kinds)


@pytest.mark.parametrize(
    ("points", "window", "kinds"),
    [
        # A signal may come at any time from when it counts.
        (f"<MediaPoint {at(12)}><Apply>{POLICY}</Apply>{MATCH}</MediaPoint>", "-", [S]),
        (f"<MediaPoint {at(9, 'effective')}{at(12)}><Apply>{POLICY}</Apply>{MATCH}</MediaPoint>", "9-", [S]),
        (f"<MediaPoint {at(18, 'expires')}><Apply duration='PT1H'>{POLICY}</Apply>{MATCH}</MediaPoint>", "-19", [S]),
        (f"<MediaPoint {at(18, 'expires')}><Apply>{POLICY}</Apply>{MATCH}</MediaPoint>", "-", [S]),
        # What it removes is not removed for sure.
        (f"<MediaPoint {at(12)}><Apply>{POLICY}</Apply></MediaPoint>" + removed(at(14), MATCH), "12-", [S, W]),
        # Nor is it when a time cannot be read, though another can.
        (f"<MediaPoint {at(12)}><Apply>{POLICY}</Apply></MediaPoint>" + removed(at(13, "effective") + "matchTime='x'"),
         "12-", [W]),
        (f"<MediaPoint {at(13, 'effective')}matchTime='x'><Apply>{POLICY}</Apply></MediaPoint>", "-", []),
        # Nor when it was applied at a time that is not known.
        (f"<MediaPoint><Apply>{POLICY}</Apply></MediaPoint>" + removed(at(14)), "-", [W]),
        # A removal and an application at one point: it is removed first.
        (f"<MediaPoint {at(12)}><Remove>{POLICY}</Remove><Apply>{POLICY}</Apply></MediaPoint>", "12-", []),
    ],
)  # fmt: skip
def test_what_is_not_certain_makes_them_wider(points: str, window: str, kinds: list[FindingKind]) -> None:
    check(points, "", window, kinds)


def check(points: str, attributes: str, window: str, kinds: list[FindingKind]) -> None:
    read = read_document(document(f"<Media {attributes}>{points}</Media>").encode(), "a.xml", Findings())
    (media,) = read.media
    findings = Findings()
    told = Timetable(media, findings).window(media.points[0].applies[0], media.points[0])
    start, end = ("" if ms is None else str(int(date_text(ms)[11:13])) for ms in told)
    assert f"{start}-{end}" == window
    assert sorted(one.kind for one in findings.all()) == sorted(kinds)
