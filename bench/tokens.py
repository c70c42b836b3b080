"""Time the verification of a token: `python -m bench.tokens`.

Cold is `TokenVerifier.verify`, warm is `TokenCache.verify` of a text that it has seen, each time a new string, as every
request brings one. Beside them in the same run, on the same tokens, PyJWT's `decode` with the same checks: the key
found by `kid`, HS256 only, all claims required, times judged, the same types looked at. It is CPU time that is taken:
how long others hold the processor is not the verifier's affair.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jwt

from bench._stage import machine, report
from kernel.tokens import Claims, Keyring
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

KEYS = {"bench-1": b"a key for the bench alone, no secret", "bench-0": b"another key, that signed before it.."}
NOW = 1_000
TOKENS = 200
ROUNDS = 11
PASSES = {"cold": 10, "warm": 100}
WARM_FIGURE_US, COLD_FIGURE = 0.3, 0.15
TEXTS = ("typ", "jti", "sub", "evt", "sid")
REQUIRED = [*TEXTS, "nbf", "exp", "win", "scp"]


def tokens() -> list[str]:
    """Return tokens such as `lockstep token` issues, all different."""
    ring, scopes = Keyring(KEYS), frozenset({"watch", "wager"})
    ends = 4_000_000_000
    return [
        ring.issue(Claims(f"{n:022d}", f"account-{n}", "game", NOW - 30, ends, (NOW - 30, ends), f"{n:022x}", scopes))
        for n in range(TOKENS)
    ]


def pyjwt(token: str) -> dict[str, Any] | None:
    """Verify with PyJWT what our verifier verifies."""
    key = KEYS.get(jwt.get_unverified_header(token)["kid"])
    if key is None:
        return None
    said: dict[str, Any] = jwt.decode(
        token, key, algorithms=["HS256"], options={"require": REQUIRED, "verify_aud": False, "verify_iat": False}
    )
    fits = (
        said["typ"] == "session"
        and all(isinstance(said[name], str) for name in TEXTS)
        and all(type(said[name]) is int for name in ("nbf", "exp"))
        and len(said["win"]) == 2
        and all(type(edge) is int for edge in said["win"])
        and all(isinstance(scope, str) for scope in said["scp"])
    )
    return said if fits else None


def pyjwt_alone(token: str) -> dict[str, Any]:
    """Decode with PyJWT and nothing else: the key is known, what the claims are is nobody's business."""
    said: dict[str, Any] = jwt.decode(token, KEYS["bench-1"], algorithms=["HS256"])
    return said


def each_us(verify: Callable[[str], object], texts: list[bytes], passes: int) -> float:
    """Return what one verification takes, in microseconds of CPU, over new strings with these texts."""
    taken = 0.0
    for _ in range(passes):
        fresh = [text.decode() for text in texts]
        begun = time.process_time()
        for token in fresh:
            verify(token)
        taken += time.process_time() - begun
    return 1e6 * taken / (passes * len(texts))


def warm_us(cache: TokenCache, texts: list[bytes], passes: int) -> float:
    """Return the same for the cache, which is called with the time as the gate calls it."""
    taken, verify = 0.0, cache.verify
    for _ in range(passes):
        fresh = [text.decode() for text in texts]
        begun = time.process_time()
        for token in fresh:
            verify(token, now=NOW)
        taken += time.process_time() - begun
    return 1e6 * taken / (passes * len(texts))


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/tokens.json`."""
    texts = [token.encode() for token in tokens()]
    verifier = TokenVerifier(KEYS)
    cache = TokenCache(verifier)
    ways: dict[str, Callable[[str], object]] = {
        "cold": verifier.verify,
        "pyjwt": pyjwt,
        "alone": pyjwt_alone,
    }
    for text in texts:
        assert cache.verify(text.decode(), now=NOW) is not None
        assert pyjwt(text.decode()) is not None
    taken: dict[str, list[float]] = {name: [] for name in (*ways, "warm")}
    for _ in range(ROUNDS):
        # In turns, so that a machine that slows down slows all of them down.
        for name, verify in ways.items():
            taken[name].append(each_us(verify, texts, PASSES.get(name, 1)))
        taken["warm"].append(warm_us(cache, texts, PASSES["warm"]))
    us = {name: statistics.median(times) for name, times in taken.items()}
    warm = us["warm"]
    beside = {"yardstick": round(us["pyjwt"], 2), "yardstick_what": "PyJWT with the same checks"}
    shared = {"unit": "us", "rounds": ROUNDS, "tokens": TOKENS, "chars": len(texts[0]), **machine()}
    return [
        {
            "what": "a token seen before (warm)",
            "ours": round(warm, 3),
            **beside,
            "ratio": round(warm / us["pyjwt"], 5),
            "figure": f"<= {WARM_FIGURE_US} us",
            "met": warm <= WARM_FIGURE_US,
            **shared,
        },
        {
            "what": "a token never seen (cold)",
            "ours": round(us["cold"], 2),
            **beside,
            "ratio": round(us["cold"] / us["pyjwt"], 4),
            "figure": f"<= {COLD_FIGURE} x",
            "met": us["cold"] <= COLD_FIGURE * us["pyjwt"],
            "pyjwt_decode_alone": round(us["alone"], 2),
            "ratio_to_decode_alone": round(us["cold"] / us["alone"], 4),
            **shared,
        },
    ]


def main() -> None:
    """Measure and report."""
    report("tokens", run())


if __name__ == "__main__":
    main()
