"""Which limits of the stream count are on a session: what its token says of its account, else the rules.

Four kinds (the codes are those that players know): over all, by category and all that lies above it, by asset, and by
account. The last one overrides the rest: whoever has bought four streams has four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.sessions.model import KICK_MEMORY_MS, MAX_SESSIONS, Limit, Order

if TYPE_CHECKING:
    from kernel.tokens import Claims
    from relay.stream_count.rules import StreamRules

GLOBAL_ERROR, CATEGORY_ERROR, ASSET_ERROR, USER_ERROR = "GLOBAL_ERROR", "CATEGORY_ERROR", "ASSET_ERROR", "USER_ERROR"
CODES = (GLOBAL_ERROR, CATEGORY_ERROR, ASSET_ERROR, USER_ERROR)

_WHAT = {
    GLOBAL_ERROR: "",
    CATEGORY_ERROR: " for this category",
    ASSET_ERROR: " for this asset",
    USER_ERROR: " for this user",
}


def stream_limits(claims: Claims, rules: StreamRules) -> tuple[Limit, ...]:
    """Return the limits of the stream count for the session of `claims`, in the order in which they are judged.

    With several entitlements in the token that are counted apart, the session counts under the one that the rules name
    for what it watches; where they name none that the token has, under the one that allows most.
    """
    asset = rules.asset(claims.event_id)
    if claims.streams:
        return (_of_account(dict(claims.streams), asset.entitlement, rules),)
    found: list[Limit] = []
    if asset.most is not None:
        found.append(_limit(f"asset:{asset.asset_id}", asset.most, ASSET_ERROR, rules))
    for category in asset.categories:
        most = rules.categories[category]
        if most is not None:
            found.append(_limit(f"category:{category}", most, CATEGORY_ERROR, rules))
    if rules.everywhere is not None:
        found.append(_limit("global", rules.everywhere, GLOBAL_ERROR, rules))
    return tuple(found)


def message_of(code: str, most: int) -> str:
    """Return what a player shows of a kick."""
    return f"Max number ({most}) active streams{_WHAT.get(code, '')} is reached"


def most_of(key: str, claims: Claims, rules: StreamRules) -> int | None:
    """Return how many a limit allows by now, by its key; None where there is no such limit any more."""
    return next((limit.most for limit in stream_limits(claims, rules) if limit.key == key), None)


def _of_account(streams: dict[str, int], entitlement: str | None, rules: StreamRules) -> Limit:
    named = {name: most for name, most in streams.items() if name}
    if named and rules.per_entitlement:
        chosen = entitlement if entitlement in named else max(named, key=lambda name: (named[name], name))
        assert chosen is not None  # there is at least one
        return _limit(f"ent:{chosen}", named[chosen], USER_ERROR, rules)
    return _limit("user", max(streams.values()), USER_ERROR, rules)


def _limit(key: str, most: int, code: str, rules: StreamRules) -> Limit:
    order = Order.REJECT if rules.lifo else Order.OLDEST_FIRST
    return Limit(key, min(most, MAX_SESSIONS), order, code, rules.grace_ms, KICK_MEMORY_MS)
