from __future__ import annotations

from relay.stream_count.kicks import Kick
from relay.stream_count.known import KnownRules
from relay.stream_count.rules import NO_RULES
from tests.support.tokens import claims

TEXT = (
    '{"stream_count": {"global": 4, "categories": {"sport": {"max": 3}},'
    ' "assets": {"other": {"asset_id": "5001", "max": 2}}}}'
)


def test_rules_come_and_go() -> None:
    known = KnownRules()
    assert known.limits(claims()) == ()
    assert known.heard(TEXT) is None
    assert [limit.key for limit in known.limits(claims())] == ["global"]
    # What is not understood changes nothing.
    assert known.heard('{"moon": 1}') is not None
    assert known.rules.everywhere == 4
    assert known.heard(None) is None
    assert known.rules is NO_RULES


def test_how_many_the_limit_of_a_kick_allows() -> None:
    known = KnownRules()
    known.heard(TEXT)
    kick = Kick("ann", "s1", 0, "", "")
    allowed = {
        key: known.allowed(kick._replace(key=key), claims(event_id="other"))
        for key in ("asset:5001", "global", "category:sport", "category:gone", "asset:7", "user")
    }
    assert allowed == {
        "asset:5001": 2, "global": 4, "category:sport": 3, "category:gone": None, "asset:7": None, "user": None,
    }  # fmt: skip
    # The limits of what another session of the account watches.
    assert known.allowed(kick._replace(key="asset:5001"), claims()) == 2
    # Whoever came last was sent away by the keeper, which names the code alone.
    assert known.allowed(kick._replace(code="GLOBAL_ERROR"), claims()) == 4
