"""Documents of SCTE 224 for the tests, and what is found in them."""

from __future__ import annotations

from collections.abc import Iterable

from relay.esni.findings import Finding, FindingKind, Findings
from relay.esni.model import ACTION, AUDIENCE, CORE, XLINK

HEAD = f'xmlns="{CORE}" xmlns:action="{ACTION}" xmlns:audience="{AUDIENCE}" xmlns:xlink="{XLINK}"'


def document(inside: str) -> str:
    """Return a document whose content begins on line 2."""
    return f"<Results {HEAD}>\n{inside}</Results>"


def findings_of(findings: Findings | Iterable[Finding]) -> list[tuple[FindingKind, str, int]]:
    """Return what was found: kind, path, line."""
    found = findings.all() if isinstance(findings, Findings) else findings
    return [(one.kind, one.at.path, one.at.line) for one in found]
