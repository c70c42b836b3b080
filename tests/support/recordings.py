"""The recordings that `make setup` made, for tests that read them and need not see them made."""

from __future__ import annotations

from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "out"
"""A folder for each, by the names of `fixtures/generate.py`. Whoever wants to change one makes a copy."""

assert RECORDINGS.exists(), "run `make setup`: it makes the recordings"
