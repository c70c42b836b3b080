"""What could not be measured on this machine, and why: said at once, and again when all benches have run."""

from __future__ import annotations

SKIPPED: list[str] = []


def skip(what: str, why: str) -> None:
    """Say that something is not measured here."""
    SKIPPED.append(f"{what}: {why}")
    print(f"skipped: {what}: {why}", flush=True)
