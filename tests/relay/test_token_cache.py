"""The cache: the verifier's answers, bounded, and gone with their tokens and keys."""

from __future__ import annotations

import gc
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from kernel.tokens import Binding, Claims, Keyring
from relay.token_cache import STEPS, TokenCache
from relay.token_verifier import Flaw, TokenVerifier, Verified
from tests.support.tokens import KEYS, NOW, claims, token

OLD = {"old": b"o" * 32}


class CountingVerifier(TokenVerifier):
    """Count what the cache did not know."""

    asked = 0

    def open(self, token: str) -> Verified | Flaw:
        self.asked += 1
        return super().open(token)


def made(**limits: int) -> tuple[TokenCache, CountingVerifier]:
    verifier = CountingVerifier({**KEYS, **OLD})
    return TokenCache(verifier, **limits), verifier


def numbered(n: int) -> str:
    return token(jti=f"t{n}")


def test_a_genuine_token_is_verified_once() -> None:
    cache, verifier = made()
    first = cache.verify(token(), now=NOW)
    assert first == claims()
    assert first is cache.verify(token(), now=NOW + 1)
    assert (verifier.asked, len(cache)) == (1, 1)


def test_forged_ones_are_not_remembered() -> None:
    cache, verifier = made()
    forged = [token()[:-1] + "-", token() + "=", "", "a.b.c", "x" * 5000, Keyring({"k1": b"o" * 32}).issue(claims())]
    for text in forged * 2:
        assert cache.verify(text, now=NOW) is None
    assert (verifier.asked, len(cache), cache.n_bytes) == (2 * len(forged), 0, 0)
    # Nor does one that is remembered vouch for what resembles it.
    cache.verify(token(), now=NOW)
    for text in forged:
        assert cache.verify(text, now=NOW) is None


def test_an_entry_ends_with_its_token() -> None:
    """Replay: what was good once, and is remembered, is answered by its claims, and those have ended."""
    cache, verifier = made()
    short = token(expires=NOW + 10)
    windowed = token(window=(NOW, NOW + 5))
    for text, ends in ((short, NOW + 10), (windowed, NOW + 5)):
        asked = verifier.asked
        assert cache.verify(text, now=NOW) is not None
        assert cache.verify(text, now=ends - 0.001) is not None
        assert verifier.asked == asked + 1
        late = cache.verify(text, now=ends)
        assert late is not None
        assert late.reason_at(ends, "game", "watch") is not None
        # It is judged anew each time, and the next to come takes its place.
        assert cache.verify(text, now=ends) == late
        assert verifier.asked == asked + 3
        cache.verify(token(jti=f"next to {ends}", expires=ends + 1), now=ends)
        assert len(cache) == 1
        cache, verifier = made()
        # One that has ended is not taken in.
        assert cache.verify(text, now=ends) == late
        assert (len(cache), cache.n_bytes) == (0, 0)


def test_a_wall_clock_that_steps_back_does_no_harm() -> None:
    cache, _ = made()
    text = token(expires=NOW + 10)
    assert cache.verify(text, now=NOW + 20) == cache.verify(text, now=NOW)
    assert len(cache) == 1


def test_what_a_dropped_key_signed_is_a_strangers() -> None:
    cache, verifier = made()
    old = Keyring(OLD).issue(claims())
    for text in (old, token()):
        assert cache.verify(text, now=NOW) is not None
    verifier.rotate(KEYS)
    assert cache.verify(old, now=NOW) is None
    assert verifier.asked == 3
    assert cache.verify(token(), now=NOW) == claims()
    assert verifier.asked == 3
    # The same id with another secret brings nothing back; the secret itself does.
    verifier.rotate({**KEYS, "old": b"x" * 32})
    assert cache.verify(old, now=NOW) is None
    verifier.rotate({**KEYS, **OLD})
    assert cache.verify(old, now=NOW) == claims()
    # It is remembered again, in the place that it had.
    asked, n_bytes = verifier.asked, cache.n_bytes
    assert cache.verify(old, now=NOW) == claims()
    assert (verifier.asked, len(cache), cache.n_bytes) == (asked, 2, n_bytes)
    for n in range(3):
        cache.verify(token(jti=f"t{n}"), now=NOW)
    assert (len(cache), len(cache._clock)) == (5, 5)


def test_a_key_that_stays_keeps_what_is_remembered() -> None:
    cache, verifier = made()
    cache.verify(token(), now=NOW)
    verifier.rotate({"new": b"n" * 32, **KEYS})
    assert cache.verify(token(), now=NOW) == claims()
    assert verifier.asked == 1


def test_what_is_used_stays() -> None:
    cache, verifier = made(max_entries=10)
    for n in range(10):
        cache.verify(numbered(n), now=NOW)
    for n in range(10, 200):
        # One viewer asks between any two newcomers.
        assert cache.verify(numbered(3), now=NOW) is not None
        cache.verify(numbered(n), now=NOW)
        assert len(cache) <= 10
    assert verifier.asked == 200


def test_eviction_takes_a_bounded_number_of_steps() -> None:
    """Everybody is in use: a newcomer still costs a few steps, and not a turn of the whole clock."""
    cache, _ = made(max_entries=50)
    texts = [numbered(n) for n in range(50)]
    for text in texts * 2:
        cache.verify(text, now=NOW)
    cache.verify(numbered(50), now=NOW)
    entries = cache._entries
    assert len(entries) == 50
    assert sum(not entry.used for entry in entries.values()) == STEPS + 1


def test_what_has_ended_makes_room_unasked() -> None:
    cache, _ = made()
    for n in range(8):
        cache.verify(token(jti=f"t{n}", expires=NOW + 10), now=NOW)
    for n in range(2):
        cache.verify(token(jti=f"late{n}"), now=NOW + 10)
    assert len(cache) == 2


def test_what_a_dropped_key_signed_makes_room_unasked() -> None:
    cache, verifier = made()
    for n in range(3):
        cache.verify(Keyring(OLD).issue(claims(jti=f"t{n}")), now=NOW)
    verifier.rotate(KEYS)
    cache.verify(token(), now=NOW)
    assert len(cache) == 1


def test_bytes_are_bounded() -> None:
    cache, _ = made(max_bytes=20_000)
    for n in range(200):
        cache.verify(token(jti=f"t{n}", account="a" * (n * 7 % 900)), now=NOW)
        assert cache.n_bytes <= 20_000
    assert len(cache) > 2
    tiny, verifier = made(max_bytes=500)
    for _ in range(2):
        assert tiny.verify(token(), now=NOW) == claims()
    assert (len(tiny), verifier.asked) == (0, 2)


def test_bytes_are_counted_honestly() -> None:
    """Never less than they take, for accounts in any script and for many scopes."""
    for change in (
        {},
        {"account": "é" * 300},
        {"account": "\N{SOCCER BALL}" * 200},
        {"scopes": frozenset(f"s{n}" for n in range(300))},
        {"purchase": "p" * 200, "geo": "g" * 200, "fingerprint": "f" * 200},
        {"purchase": "p", "geo": "g", "fingerprint": "f", "home": "U", "plan": "x"},
        {"purchase": "p", "geo": "g", "fingerprint": "f", "binding": Binding("n", "d", "e")},
        {"account": "\N{BILLIARDS}" + "a" * 800},
    ):
        texts = [token(jti=f"t{n}", expires=NOW + 3600 + n, **change).encode() for n in range(200)]
        cache, _ = made()
        gc.collect()
        tracemalloc.start()
        for text in texts:
            cache.verify(text.decode(), now=NOW)
        gc.collect()
        # Of what these files make alone: other threads of the process may be at work meanwhile.
        # ("<string>" is where named tuples are made.)
        files = ("*/relay/token_*.py", "*/tests/relay/test_token_cache.py", "<string>")
        ours = [tracemalloc.Filter(True, file) for file in files]
        made_here = tracemalloc.take_snapshot().filter_traces(ours).statistics("filename")
        taken = sum(one.size for one in made_here)
        tracemalloc.stop()
        assert taken <= cache.n_bytes <= 2 * taken, change


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 60), st.sampled_from(["ask", "forge", "with old", "without old"])),
        max_size=60,
    )
)
def test_it_never_answers_otherwise_than_the_verifier(steps: list[tuple[int, int, str]]) -> None:
    cache, verifier = made(max_entries=5, max_bytes=8_000)
    keys = {**KEYS, **OLD}
    for n, at, action in steps:
        ring = Keyring(OLD) if n % 2 else Keyring(KEYS)
        text = ring.issue(claims(jti=f"t{n}", expires=NOW + 4 * n))
        if action == "forge":
            text = text[:-2] + "AA"
        elif action != "ask":
            keys = {**KEYS, **OLD} if action == "with old" else dict(KEYS)
            verifier.rotate(keys)
        expected: Claims | None = TokenVerifier(keys).verify(text)
        assert cache.verify(text, now=NOW + at) == expected
        assert len(cache) <= 5
        assert 0 <= cache.n_bytes <= 8_000
        assert cache.n_bytes == sum(entry.n_bytes for entry in cache._entries.values())
        assert sorted(cache._clock) == sorted(cache._entries)
