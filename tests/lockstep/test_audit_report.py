from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from kernel.decisions import Scope, Verdict
from kernel.errors import SettingsError
from kernel.tokens import Reason
from lockstep.audit_report import Wanted, line_of, map_of, missing_keys, since_ms, verified_lines, verified_map
from relay.audit_records import DecisionRecord, Gap, Inputs, PolicyText
from relay.io.audit_reader import Entry, Verified
from relay.place.model import PlaceVerdict
from tests.support.auditing import FIX, PLACE
from tests.support.tokens import NOW

SAID = PlaceVerdict(Reason.GEO_BLOCKED, None, Reason.VPN, "abroad", "home")
RECORD = DecisionRecord(
    7, NOW * 1000 + 5, "s1", "ann", "game", Scope.WATCH, Verdict.REFUSE, Reason.GEO_BLOCKED, "west", 3, "city 1", SAID
)
INPUTS = Inputs(float(NOW), PLACE.address, PLACE, FIX)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90m", (NOW - 5_400) * 1000), ("7d", (NOW - 7 * 86_400) * 1000), ("2027-01-15T08:00:00Z", NOW * 1000)],
)
def test_since(text: str, ms: int) -> None:
    assert since_ms(text, NOW) == ms


@pytest.mark.parametrize("text", ["", "d", "yesterday", "1w", "-1h", "2027-13-01T00:00:00Z"])
def test_since_what_is_no_time(text: str) -> None:
    with pytest.raises(SettingsError, match="--since"):
        since_ms(text, NOW)


def test_what_is_wanted() -> None:
    assert Wanted("s1").includes(RECORD)
    assert Wanted("s1", "ann", "game").includes(RECORD)
    for other in (Wanted("s2"), Wanted(account="bob"), Wanted("s1", event_id="other")):
        assert not other.includes(RECORD)
    assert not Wanted("s1").includes(Gap(1, 1, 1))


def test_a_line() -> None:
    assert line_of("relay-1", Entry(RECORD, INPUTS)) == (
        "2027-01-15T08:00:00.005Z relay-1#7 ann s1 game watch: refuse (geo_blocked) warned of vpn, by west version 3 "
        "rule 'abroad' from 203.0.113.77 (Pasadena, US-CA, US, vpn), device at 34.05000,-118.25000 within 12.5 m"
    )
    plain = replace(RECORD, scope=Scope.WAGER, reason=None, verdict=Verdict.ADMIT, version=None, place=None)
    line = line_of("hub-1", Entry(plain, Inputs(1.0, "")))
    assert line.endswith("wager: admit by west not in force from an unknown address")
    assert line_of("hub-1", Entry(RECORD, None)).endswith("from where nobody can read any more")
    assert "rule 'home'" in line_of("hub-1", Entry(replace(RECORD, scope=Scope.WAGER), None))


def test_as_json() -> None:
    told = map_of("relay-1", Entry(RECORD, INPUTS))
    assert (told["node"], told["seq"], told["at"], told["reason"]) == ("relay-1", 7, NOW * 1000 + 5, "geo_blocked")
    assert told["watch"] == {"reason": "geo_blocked", "rule": "abroad"}
    assert told["inputs"]["place"]["city"] == "Pasadena"
    assert told["inputs"]["fix"] == {"point": FIX.point, "accuracy_m": 12.5, "at": FIX.at}
    assert map_of("r", Entry(replace(RECORD, place=None), None))["inputs"] is None
    assert map_of("r", Entry(RECORD, Inputs(1.0, "::1")))["inputs"] == {"now": 1.0, "address": "::1"}
    assert map_of("r", Entry(Gap(1, 2, 3), None)) == {"node": "r", "seq": 1, "at": 2, "kind": "gap", "lost": 3}
    assert map_of("r", Entry(PolicyText(1, 2, "west", 3, "{}"), None))["kind"] == "policy"


def test_what_came_of_verifying() -> None:
    told = Verified(
        "serve-1", "abc", 1_234, Counter(decisions=1_200, gaps=1), 5, 1_000, 190, without_place=10, link=b"\x01\x02"
    )
    assert verified_lines(told, []) == [
        "serve-1: 1,234 records, 1,200 decisions: 1,000 replayed to the same answer, 190 whose key is gone, "
        "10 without a place",
        "  5 records were lost, as 1 gaps in the chain say",
        "  whole up to 0102",
    ]
    told.fault("record 7: it differs")
    assert verified_lines(told, [])[-1] == "  1 faults, the first: record 7: it differs"
    assert verified_map(told, [])["faults"] == ["record 7: it differs"]


def test_keys_that_are_missing_before_their_time() -> None:
    today = NOW // 86_400
    told = Verified("serve-1", sealed_days={today, today - 30, today - 31})
    assert missing_keys(told, NOW, 30) == ["2026-12-16", "2027-01-15"]
    told.sealed_days.clear()
    assert missing_keys(told, NOW, 30) == []
    line = verified_lines(told, ["2026-12-16", "2027-01-15"])[1]
    assert line == "  keys of 2 days are not here though their time is not up: 2026-12-16, 2027-01-15"
    assert verified_map(told, ["2027-01-15"])["keys_missing"] == ["2027-01-15"]
