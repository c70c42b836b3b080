"""Those whose frontier is their own: thousands of cohorts of one, of which an entry asks only those that it concerns.

An entry concerns a cohort that has passed its due time, so that it is owed at once, and one for which nothing waits
that is due as early: then its next instant changes. In a live stream entries are sealed ahead of their picture and in
order; most concern nobody until the moment comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.agenda import Agenda

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.cohort import Cohort
    from kernel.timeline import MediaTime


class Apart:
    """Keep cohorts by what they have passed and what they wait for."""

    def __init__(self) -> None:
        self._cohorts: dict[int, Cohort] = {}
        # Latest first: both are agendas of reversed media time.
        self._passed: Agenda[tuple[int, int]] = Agenda()
        self._next: Agenda[tuple[int, int]] = Agenda()
        self._idle: dict[int, None] = {}
        self._watchful: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._cohorts)

    def __iter__(self) -> Iterator[Cohort]:
        return iter(list(self._cohorts.values()))

    def put(self, cohort: Cohort, *, waits_for_opening: bool) -> None:
        """Take note of where a cohort stands; call it whenever it has moved or been scheduled."""
        number = cohort.number
        self._cohorts[number] = cohort
        self._passed.put(number, _reversed(cohort.cursor.upto))
        self._next.put(number, _reversed(cohort.next_due) if cohort.next_due is not None else None)
        _set(self._idle, number, cohort.next_due is None and cohort.listens)
        _set(self._watchful, number, waits_for_opening)

    def remove(self, number: int) -> None:
        """Forget a cohort."""
        self._cohorts.pop(number, None)
        self._passed.put(number, None)
        self._next.put(number, None)
        self._idle.pop(number, None)
        self._watchful.pop(number, None)

    def concerned(self, due: MediaTime) -> list[Cohort]:
        """Return those whom an entry due at `due` concerns, in the order of their numbers; `put` each of them back."""
        timeline, pts = _reversed(due)
        beyond = (timeline, pts - 1)
        found = {*self._passed.take(beyond), *self._next.take(beyond), *self._idle}
        self._idle.clear()
        return [self._cohorts[number] for number in sorted(found)]

    def watchful(self) -> list[Cohort]:
        """Return those whose frontier an opening may move."""
        return [self._cohorts[number] for number in sorted(self._watchful)]


def _reversed(when: MediaTime) -> tuple[int, int]:
    return (-when.timeline, -when.pts)


def _set(numbers: dict[int, None], number: int, wanted: bool) -> None:  # noqa: FBT001 - whether it is to be a member
    if wanted:
        numbers[number] = None
    else:
        numbers.pop(number, None)
