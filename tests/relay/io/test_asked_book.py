from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from kernel.errors import BookUnavailable
from relay.io.asked_book import RETRY_S, AskedBook
from relay.sessions.counts import SessionCounts
from relay.sessions.model import Life, Seated, Sign, Standing, Wish
from tests.support.far_book import FarBook

WISH = Wish("ann", "s1", "game", (), 1_000_000_000, 30_000, {})


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.book, self.counts = FarBook(lambda: self.now, self._pass), SessionCounts()
        self.asked = AskedBook(self.book, now=lambda: self.now, counts=self.counts)

    def _pass(self) -> None:
        self.now += 0.25


async def test_it_answers_as_the_book_does_and_how_long_it_took_is_counted() -> None:
    rig = Rig()
    asked = rig.asked
    assert isinstance(await asked.admit(WISH), Seated)
    assert await asked.saw([Sign("ann", "s1", 0)]) == [Standing(Life.LIVE)]
    assert [one.session for one in await asked.of("ann")] == ["s1"]
    assert await asked.accounts("", 10) == ["ann"]
    assert await asked.dismiss("ann", "s2", code="dismissed", by="ops") is None
    assert await asked.release("ann", "s1")
    await asked.aclose()
    assert {what: took.count for what, took in rig.counts.took.items()} == {
        "admit": 1, "saw": 1, "release": 1, "dismiss": 1, "list": 2,
    }  # fmt: skip
    assert rig.counts.took["admit"].total == 0.25


async def test_one_that_is_out_of_reach_is_not_waited_for_again_at_once() -> None:
    rig = Rig()
    rig.book.is_near = False
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(BookUnavailable):
                await rig.asked.admit(WISH)
        assert (rig.book.asked, rig.counts.failures, rig.asked.lost_at) == (1, 1, 100.0)
        rig.now += RETRY_S
        with pytest.raises(BookUnavailable):
            await rig.asked.saw([])
        assert (rig.book.asked, rig.asked.lost_at) == (2, 100.0)
        rig.now += RETRY_S
        rig.book.is_near = True
        assert isinstance(await rig.asked.admit(WISH), Seated)
    assert rig.asked.lost_at is None
    assert [line["event"] for line in logs] == ["book.unavailable", "book.available"]
