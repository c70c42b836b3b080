"""When a policy applies, from what points of a media say: never later than they do, never shorter.

A point comes at its matchTime; without one at its matchOffset from the media's begin, else when it becomes effective.
What begins there lasts for the duration, or until a later point removes it, whichever is first; without either until
the media expires. When a point expires says until when it can come, not for how long what it began lasts: it is an end
only where nothing but its effective and expires says when it is. A signal may come at any time: what it begins is
taken to begin when it may come first, and what it would end does not end by it.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from kernel.dates import END_OF_9999
from relay.esni.findings import At, FindingKind, Findings
from relay.esni.model import Apply, Media, MediaPoint, Policy
from relay.esni.values import Between

_END_MS = END_OF_9999 * 1000


class Window(NamedTuple):
    """From when to when, in Unix ms; None: at once, or until it is deleted."""

    start: int | None
    end: int | None


class Timetable:
    """When the points of a media come, and what they end.

    Args:
        media: what they are of.
        findings: takes what makes windows wider than they may be meant.
    """

    def __init__(self, media: Media, findings: Findings) -> None:
        self._media = media
        self._findings = findings
        self._removals: dict[str, list[Between]] = {}
        self._uncertain: dict[str, list[At]] = {}
        for point in media.points:
            for remove in point.removes:
                name = _name(remove.policy)
                if name is not None:
                    self._note_removal(name, remove.at, point)
        # Of those that come later than a moment the one that is over first ends what began there.
        self._later = {
            name: ([one.least for one in sorted(removals)], _least_behind(sorted(removals)))
            for name, removals in self._removals.items()
        }

    def window(self, apply: Apply, point: MediaPoint) -> Window:
        """Return when a policy applies.

        Args:
            apply: its application.
            point: where it is applied; one of the media's.
        """
        media, findings = self._media, self._findings
        moment = _moment(point, media, findings)
        start = moment.least if moment else None
        if moment is None and point.effective is not None and point.is_certain:
            start = point.effective.least
        ends = self._ends(_name(apply.policy), moment)
        if apply.duration is not None:
            begin = moment or point.expires
            if begin is not None:
                ends.append(begin.most + apply.duration.most)
        is_span = not point.signals and point.match_time is None and point.match_offset is None
        bounds = [point.expires if is_span and point.is_certain else None, media.expires]
        ends = ends or [one.most for one in bounds if one is not None][:1]
        end = min(ends, default=None)
        start = None if start is None or start < 0 else start
        if end is not None and (end >= _END_MS or end <= (start or 0)):
            text = "the end is not behind the begin; it lasts until it is deleted"
            findings.add(FindingKind.WINDOW, apply.at, text)
            end = None
        if start is not None and start >= _END_MS:
            findings.add(FindingKind.WINDOW, apply.at, "the begin is beyond all dates; it begins at once")
            start = None
        return Window(start, end)

    def _note_removal(self, name: str, at: At, point: MediaPoint) -> None:
        removed = _moment(point, self._media, self._findings)
        if removed is None:
            self._uncertain.setdefault(name, []).append(at)
        elif not _can_come(removed, point, self._media):
            self._findings.add(FindingKind.WINDOW, at, "its point comes when it cannot: it ends nothing")
        else:
            self._removals.setdefault(name, []).append(removed)

    def _ends(self, name: str | None, moment: Between | None) -> list[int]:
        """Return the time at which a policy is certainly removed after it is applied, if there is one."""
        if name is None:
            return []
        text = "when it removes its policy, after it was applied, is not known: it ends nothing"
        for at in self._uncertain.pop(name, ()):
            self._findings.add(FindingKind.WINDOW, at, text)
        if name not in self._later:
            return []
        if moment is None:
            at = self._media.at
            self._findings.add(FindingKind.WINDOW, at, "a policy is removed of which is not known when it was applied")
            return []
        begins, ends = self._later[name]
        n = bisect_right(begins, moment.most)
        return [ends[n]] if n < len(ends) else []


def _name(policy: Policy | None) -> str | None:
    return None if policy is None else policy.href or policy.id


def _least_behind(removals: list[Between]) -> list[int]:
    """Return for each the earliest time by which it or a later one is certainly over."""
    ends = list(accumulate((one.most for one in reversed(removals)), min))
    return ends[::-1]


def _moment(point: MediaPoint, media: Media, findings: Findings) -> Between | None:
    """Return when a point comes; None if that is not known, or if nothing says when."""
    if point.signals:
        text = "it comes by a signal, which is not read: it begins when it may come first, and ends nothing"
        findings.add(FindingKind.SIGNAL, point.at, text)
        return None
    if not point.is_certain:
        return None
    if point.match_offset is None:
        return point.match_time or point.effective
    if point.match_time is not None:
        moved = point.match_time.plus(point.match_offset)
        text = "it has a matchTime and a matchOffset: from the earlier of what that can mean to the later"
        findings.add(FindingKind.WINDOW, point.at, text)
        return Between(min(point.match_time.least, moved.least), max(point.match_time.most, moved.most))
    if media.effective is None:
        text = "its matchOffset is from a begin that is not known: name the media's `effective`"
        findings.add(FindingKind.WINDOW, point.at, text)
        return None
    return media.effective.plus(point.match_offset)


def _can_come(moment: Between, point: MediaPoint, media: Media) -> bool:
    """Return whether a point certainly counts when it comes."""
    begins = [one.most for one in (point.effective, media.effective) if one is not None and one != moment]
    ends = [one.least for one in (point.expires, media.expires) if one is not None]
    return all(begin <= moment.least for begin in begins) and all(moment.most <= end for end in ends)
