from __future__ import annotations

from relay.sessions.model import KICK_MEMORY_MS, Limit, Order
from relay.stream_count.limits import message_of, most_of, stream_limits
from relay.stream_count.rules import NO_RULES, Asset, StreamRules
from tests.support.tokens import claims

RULES = StreamRules(
    everywhere=4,
    categories={"sport": 3, "football": 2, "all": None},
    assets={"game": Asset("5001", 1, "854", ("football", "sport", "all"))},
)


def limit(key: str, most: int, code: str) -> Limit:
    return Limit(key, most, Order.OLDEST_FIRST, code, 0, KICK_MEMORY_MS)


def test_asset_categories_and_everything_count() -> None:
    assert stream_limits(claims(), RULES) == (
        limit("asset:5001", 1, "ASSET_ERROR"),
        limit("category:football", 2, "CATEGORY_ERROR"),
        limit("category:sport", 3, "CATEGORY_ERROR"),
        limit("global", 4, "GLOBAL_ERROR"),
    )
    assert stream_limits(claims(event_id="other"), RULES) == (limit("global", 4, "GLOBAL_ERROR"),)
    assert stream_limits(claims(), NO_RULES) == ()


def test_what_an_account_has_overrides_the_rest() -> None:
    assert stream_limits(claims(streams=(("", 4),)), RULES) == (limit("user", 4, "USER_ERROR"),)
    # Entitlements are counted apart: under the one that the rules name, else under the best one.
    two = (("854", 1), ("478", 3))
    assert stream_limits(claims(streams=two), RULES) == (limit("ent:854", 1, "USER_ERROR"),)
    assert stream_limits(claims(streams=two, event_id="other"), RULES) == (limit("ent:478", 3, "USER_ERROR"),)
    assert stream_limits(claims(streams=(("478", 3), ("", 9))), RULES) == (limit("ent:478", 3, "USER_ERROR"),)
    together = RULES._replace(per_entitlement=False)
    assert stream_limits(claims(streams=two), together) == (limit("user", 3, "USER_ERROR"),)
    assert stream_limits(claims(streams=(("854", 0),)), NO_RULES) == (limit("ent:854", 0, "USER_ERROR"),)


def test_order_grace_and_what_is_too_much() -> None:
    lifo = StreamRules(lifo=True, grace_ms=5_000, everywhere=2)
    assert stream_limits(claims(), lifo) == (
        Limit("global", 2, Order.REJECT, "GLOBAL_ERROR", 5_000, KICK_MEMORY_MS),
    )  # fmt: skip
    assert stream_limits(claims(streams=(("", 1_000),)), RULES)[0].most == 64


def test_what_players_show() -> None:
    assert message_of("CATEGORY_ERROR", 3) == "Max number (3) active streams for this category is reached"
    assert message_of("GLOBAL_ERROR", 1) == "Max number (1) active streams is reached"
    assert most_of("category:sport", claims(), RULES) == 3
    assert most_of("category:gone", claims(), RULES) is None
