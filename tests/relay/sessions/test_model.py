from __future__ import annotations

from relay.sessions.model import Order, Session, text_of


def test_which_orders_send_somebody_away() -> None:
    assert [order for order in Order if order.evicts] == [Order.OLDEST_FIRST, Order.NEWEST_FIRST]


def test_what_operators_are_told_is_kept_as_text() -> None:
    about = {"device": "tv", "place": "Z\u00fcrich \ud800 \U0001f600"}
    assert text_of(about).isascii()
    session = Session("anna", "s", "final", 1, 2, 3, 4, (), text_of(about))
    assert session.about == about
    assert Session("anna", "s", "final", 1, 2, 3, 4, ()).about == {}
    assert text_of({}) == "{}"
