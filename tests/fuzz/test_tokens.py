"""Our verifier against PyJWT, on tokens that are nearly right; `python -m bench.fuzz` goes on for longer."""

from __future__ import annotations

from relay.token_verifier import Flaw
from tests.fuzz.tokens import fuzz

EXAMPLES = 100_000


def test_the_verifier_takes_what_pyjwt_takes_less_the_rules() -> None:
    """RFC 7515, RFC 7519, RFC 8725: what PyJWT refuses we refuse; what only we refuse falls under a written rule."""
    seen = fuzz(EXAMPLES, seed=7519)
    assert seen.total() == EXAMPLES
    # It would say nothing if the tokens were all hopeless, or all good.
    assert seen["both take"] > EXAMPLES // 20
    for rule in range(1, 7):
        assert seen[f"we refuse by rule {rule}"] > 50, seen
    for flaw in (Flaw.MALFORMED, Flaw.BAD_HEADER, Flaw.UNKNOWN_KEY, Flaw.BAD_SIGNATURE, Flaw.BAD_CLAIMS):
        assert seen[f"both refuse: {flaw}"] > 10, seen
