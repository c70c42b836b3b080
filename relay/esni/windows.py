"""When a policy applies, from what points of a media say: never later than they do, never shorter.

A point comes at its matchTime; without one at its matchOffset from the media's begin, else when it becomes effective.
What begins there lasts for the duration, or until a later point removes it, whichever is first; without either until
the media expires. When a point expires says until when it can come, not for how long what it began lasts: it is an end
only where nothing but its effective and expires says when it is. A signal may come at any time: what it begins is
taken to begin when it may come first, and what it would end does not end by it.
"""

from __future__ import annotations

from typing import NamedTuple

from kernel.dates import END_OF_9999
from relay.esni.findings import FindingKind, Findings
from relay.esni.model import Apply, Media, MediaPoint, Policy
from relay.esni.values import Between

_END_MS = END_OF_9999 * 1000


class Window(NamedTuple):
    """From when to when, in Unix ms; None: at once, or until it is deleted."""

    start: int | None
    end: int | None


def window_of(apply: Apply, point: MediaPoint, media: Media, findings: Findings) -> Window:
    """Return when a policy applies.

    Args:
        apply: its application.
        point: where it is applied.
        media: what the point is of.
        findings: takes what makes the window wider than it may be meant.
    """
    moment = _moment(point, media, findings)
    start = moment.least if moment else None
    if moment is None and point.effective is not None and point.is_certain:
        start = point.effective.least
    ends = _removals(apply.policy, point, media, moment, findings)
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
        findings.add(FindingKind.WINDOW, apply.at, "the end is not behind the begin; it lasts until it is deleted")
        end = None
    if start is not None and start >= _END_MS:
        findings.add(FindingKind.WINDOW, apply.at, "the begin is beyond all dates; it begins at once")
        start = None
    return Window(start, end)


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


def _removals(
    policy: Policy | None, point: MediaPoint, media: Media, moment: Between | None, findings: Findings
) -> list[int]:
    """Return the times at which a policy is certainly removed after it is applied."""
    name = None if policy is None else policy.href or policy.id
    ends = []
    for other in media.points if name else ():
        for remove in other.removes:
            if remove.policy is None or name != (remove.policy.href or remove.policy.id) or other is point:
                continue
            removed = _moment(other, media, findings)
            if removed is None or moment is None:
                text = "when it removes its policy, after it was applied, is not known: it ends nothing"
                findings.add(FindingKind.WINDOW, remove.at, text)
            elif not _can_come(removed, other, media):
                findings.add(FindingKind.WINDOW, remove.at, "its point comes when it cannot: it ends nothing")
            elif removed.least > moment.most:
                ends.append(removed.most)
    return ends


def _can_come(moment: Between, point: MediaPoint, media: Media) -> bool:
    """Return whether a point certainly counts when it comes."""
    begins = [one.most for one in (point.effective, media.effective) if one is not None and one != moment]
    ends = [one.least for one in (point.expires, media.expires) if one is not None]
    return all(begin <= moment.least for begin in begins) and all(moment.most <= end for end in ends)
