from __future__ import annotations

from relay.esni.findings import NOWHERE, At, Finding, FindingKind, Findings


def test_each_is_found_once_and_in_order() -> None:
    findings = Findings()
    late, early = At("/b", 9, "a.xml"), At("/a", 2, "a.xml")
    for at in (late, early, late):
        findings.add(FindingKind.SIGNAL, at, "x")
    findings.add(FindingKind.WIDENED, NOWHERE, "y")
    assert findings.all() == (
        Finding(FindingKind.WIDENED, NOWHERE, "y"),
        Finding(FindingKind.SIGNAL, early, "x"),
        Finding(FindingKind.SIGNAL, late, "x"),
    )
