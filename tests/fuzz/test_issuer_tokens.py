"""The verifier of another issuer's tokens against PyJWT, on tokens that are nearly right."""

from __future__ import annotations

from relay.token_verifier import Flaw
from tests.fuzz.issuer_tokens import fuzz

EXAMPLES = 15_000


def test_nothing_is_taken_that_pyjwt_refuses() -> None:
    """RFC 7515, RFC 7519, RFC 8725; what both take they read alike."""
    seen = fuzz(EXAMPLES, seed=7517)
    assert seen.total() == EXAMPLES
    # It would say nothing if the tokens were all hopeless, or all good.
    assert seen["both take"] > EXAMPLES // 10, seen
    for flaw in (
        Flaw.MALFORMED,
        Flaw.BAD_HEADER,
        Flaw.UNKNOWN_KEY,
        Flaw.BAD_SIGNATURE,
        Flaw.BAD_CLAIMS,
        Flaw.WRONG_ISSUER,
    ):
        assert seen[f"both refuse: {flaw}"] > 10, seen
    for flaw in (Flaw.BAD_HEADER, Flaw.BAD_CLAIMS, Flaw.WRONG_PURPOSE):
        assert seen[f"we refuse: {flaw}"] > 10, seen
