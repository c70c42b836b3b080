"""The one owner of the clock and of randomness."""

from __future__ import annotations

import re
import time

from kernel.io.system_time import fraction, monotonic, new_id, new_key, wall


def test_wall_is_unix_time() -> None:
    before = time.time()
    assert before <= wall() <= time.time()


def test_monotonic_never_steps_back() -> None:
    times = [monotonic() for _ in range(100)]
    assert times == sorted(times)


def test_identifiers_are_url_safe_unpadded_and_never_the_same() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in made)
    assert len(new_id(12)) == 16


def test_keys_are_long_enough_to_sign_with() -> None:
    """RFC 7518, 3.2."""
    assert len(new_key()) == 32
    assert new_key() != new_key()
    assert len(new_key(64)) == 64


def test_fractions_lie_from_0_up_to_1() -> None:
    made = [fraction() for _ in range(1000)]
    assert all(0 <= one < 1 for one in made)
    assert len(set(made)) > 990
