from __future__ import annotations

from feeds.leads import MAX_AWAITED, Leads
from kernel.pts import Ticks
from kernel.timeline import MediaTime


def at(seconds: int) -> MediaTime:
    return MediaTime(0, Ticks(seconds * 90_000))


def test_a_lead_is_known_with_the_mark() -> None:
    leads = Leads()
    leads.sealed(at(1), at=None, now=10.0)
    leads.sealed(at(3), at=None, now=10.5)
    assert leads.leads.count == 0
    leads.marked(at(2), 14.0)
    assert (leads.leads.count, leads.leads.total) == (1, 4.0)
    # The second one waits for the mark that covers it.
    leads.marked(at(4), 16.0)
    assert (leads.leads.count, leads.leads.total) == (2, 9.5)
    leads.marked(at(6), 18.0)
    assert (leads.leads.count, leads.lates.count) == (2, 0)


def test_what_is_marked_already_is_in_time_until_it_goes_out() -> None:
    leads = Leads()
    leads.sealed(at(1), at=14.0, now=12.5)
    leads.sealed(at(1), at=14.0, now=14.0)
    leads.sealed(at(1), at=14.0, now=21.0)
    assert (leads.leads.count, leads.leads.total) == (1, 1.5)
    assert (leads.lates.count, leads.lates.total) == (2, 7.0)


def test_what_is_awaited_is_bounded() -> None:
    leads = Leads()
    for _ in range(MAX_AWAITED + 5):
        leads.sealed(at(1), at=None, now=0.0)
    leads.marked(at(2), 1.0)
    assert leads.leads.count == MAX_AWAITED
