from __future__ import annotations

from relay.sessions.model import Order


def test_which_orders_send_somebody_away() -> None:
    assert [order for order in Order if order.evicts] == [Order.OLDEST_FIRST, Order.NEWEST_FIRST]
