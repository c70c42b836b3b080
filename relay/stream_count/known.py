"""The rules of the stream count as they are known here, by what the bus says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.bus import Topic
from kernel.errors import DecodeError
from relay.stream_count.limits import stream_limits
from relay.stream_count.rules import NO_RULES, StreamRules, read_rules

if TYPE_CHECKING:
    from kernel.tokens import Claims
    from relay.sessions.model import Limit
    from relay.stream_count.kicks import Kick

STREAM_COUNT: Topic[list[Any]] = Topic("stream-count")
"""The rules, one record: `[text or null, made, by]`; null: there are none any more."""


class KnownRules:
    """Know the rules. `rules` are those that count now."""

    def __init__(self) -> None:
        self.rules: StreamRules = NO_RULES

    def heard(self, text: str | None) -> str | None:
        """Take note of what the bus says; return why it is not understood, None if it is.

        Rules that are not understood (a newer version made them) leave those before them in force.
        """
        try:
            self.rules = NO_RULES if text is None else read_rules(text)
        except DecodeError as error:
            return str(error)
        return None

    def limits(self, claims: Claims) -> tuple[Limit, ...]:
        """Return the limits of the stream count for the session of `claims`."""
        return stream_limits(claims, self.rules)

    def allowed(self, kick: Kick, claims: Claims) -> int | None:
        """Return how many streams the limit of a kick allows, as far as that is known by the claims of its account."""
        limits = self.limits(claims)
        by_key = next((limit.most for limit in limits if limit.key == kick.key), None)
        if by_key is not None:
            return by_key
        kind, _, name = kick.key.partition(":")
        if kind == "category":
            return self.rules.categories.get(name)
        if kind == "asset":
            return next((asset.most for asset in self.rules.assets.values() if asset.asset_id == name), None)
        # Whoever came last, and was kicked for that: its limit has no key on the way here.
        return next((limit.most for limit in limits if limit.code == kick.code), None)
