"""Those whose frontier is their own: thousands of cohorts of one, of which an entry asks only those that it concerns.

An entry concerns a cohort that has passed its due time, so that it is owed at once, and one for which nothing waits
that is due as early: then its next instant changes. In a live stream entries are sealed ahead of their picture and in
order: two bounds tell that most concern nobody, and what is kept for that costs next to nothing when a cohort moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.timeline import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.cohort import Cohort
    from kernel.timeline import MediaTime


class Apart:
    """Keep cohorts by what they have passed and what they wait for."""

    def __init__(self) -> None:
        self._cohorts: dict[int, Cohort] = {}
        # Nobody has passed more, or waits for anything later.
        self._passed = BEGINNING
        self._next = BEGINNING
        self._idle: dict[int, None] = {}
        self._watchful: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._cohorts)

    def __iter__(self) -> Iterator[Cohort]:
        return iter(list(self._cohorts.values()))

    def put(self, cohort: Cohort, *, waits_for_opening: bool) -> None:
        """Take note of where a cohort stands; call it whenever it has moved or been scheduled."""
        number, next_due = cohort.number, cohort.next_due
        self._cohorts[number] = cohort
        if cohort.cursor.upto > self._passed:
            self._passed = cohort.cursor.upto
        if next_due is not None:
            self._idle.pop(number, None)
            if next_due > self._next:
                self._next = next_due
        elif cohort.listens:
            self._idle[number] = None
        else:
            self._idle.pop(number, None)
        if waits_for_opening:
            self._watchful[number] = None
        else:
            self._watchful.pop(number, None)

    def remove(self, number: int) -> None:
        """Forget a cohort."""
        self._cohorts.pop(number, None)
        self._idle.pop(number, None)
        self._watchful.pop(number, None)

    def concerned(self, due: MediaTime) -> list[Cohort]:
        """Return those whom an entry due at `due` concerns, in the order of their numbers; `put` each of them back."""
        if due >= self._passed and due >= self._next:
            found = [self._cohorts[number] for number in self._idle]
        else:
            cohorts = self._cohorts.values()
            self._passed = max((one.cursor.upto for one in cohorts), default=BEGINNING)
            self._next = max((one.next_due for one in cohorts if one.next_due is not None), default=BEGINNING)
            found = [
                one
                for one in cohorts
                if due < one.cursor.upto or (one.listens and (one.next_due is None or due < one.next_due))
            ]
        self._idle.clear()
        return sorted(found, key=_number)

    def watchful(self) -> list[Cohort]:
        """Return those whose frontier an opening may move."""
        return [self._cohorts[number] for number in sorted(self._watchful)]


def _number(cohort: Cohort) -> int:
    return cohort.number
