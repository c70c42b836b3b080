"""What there is to say of the audit: which records are wanted, a line for each, a verdict on each chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernel.dates import DAY_S, format_date, parse_date
from kernel.errors import PlaylistError, SettingsError
from lockstep.operator_keys import span_of
from relay.audit_records import DecisionRecord, Gap, Inputs, PolicyText

if TYPE_CHECKING:
    from relay.audit_records import AuditRecord
    from relay.io.audit_reader import Entry, Verified
    from relay.place.model import Fix

_MS = 1000


def since_ms(text: str, now: float) -> int:
    """Return the time that `--since` names, in Unix ms.

    Args:
        text: a span before now, such as 90m, 24h or 7d, or an ISO 8601 date.
        now: Unix time in seconds.

    Raises:
        SettingsError: it is neither.
    """
    try:
        return round((now - span_of(text) if text[-1:] in {*"smhd"} else parse_date(text)) * _MS)
    except (PlaylistError, SettingsError):
        raise SettingsError(
            f"--since {text!r:.80}: use a span such as 90m, 24h or 7d, or a date such as 2026-03-27T19:30:00Z"
        ) from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are asked for: those of a session, an account or an event; of more than one, what is in all."""

    session: str | None = None
    account: str | None = None
    event_id: str | None = None

    def includes(self, record: AuditRecord) -> bool:
        """Return whether a record is among them."""
        return isinstance(record, DecisionRecord) and all(
            wanted in (None, there)
            for wanted, there in (
                (self.session, record.session),
                (self.account, record.account),
                (self.event_id, record.event_id),
            )
        )


def map_of(node: str, entry: Entry) -> dict[str, Any]:
    """Return a record as JSON has it; `inputs` is null where its key is destroyed, or it has none."""
    record, inputs = entry
    told: dict[str, Any] = {"node": node, "seq": record.seq, "at": record.at_ms}
    match record:
        case Gap():
            return told | {"kind": "gap", "lost": record.lost}
        case PolicyText():
            return told | {"kind": "policy", "policy_id": record.policy_id, "version": record.version}
    place = record.place
    return told | {
        "kind": "decision",
        "session": record.session,
        "account": record.account,
        "event_id": record.event_id,
        "scope": record.scope,
        "verdict": record.verdict,
        "reason": record.reason,
        "policy_id": record.policy_id,
        "version": record.version,
        "locator": record.locator,
        "watch": None if place is None else {"reason": place.watch, "rule": place.watch_rule},
        "wager": None if place is None else {"reason": place.wager, "rule": place.wager_rule},
        "warning": None if place is None else place.warning,
        "beside": None if record.beside is None else [record.beside.policy_id, record.beside.version],
        "blackouts": list(record.blackouts),
        "inputs": None if inputs is None else _inputs_map(inputs),
    }


def _inputs_map(inputs: Inputs) -> dict[str, Any]:
    told: dict[str, Any] = {"now": inputs.now, "address": inputs.address}
    place = inputs.place
    if place is not None:
        told["place"] = {
            "country": place.country,
            "region": place.region,
            "city": place.city,
            "postcode": place.postcode,
            "point": place.point,
            "accuracy_m": place.accuracy_m,
            "metro": place.metro,
            "asn": place.asn,
            "classes": sorted(place.classes),
            "is_public": place.is_public,
        }
        told |= {"fix": _fix_map(inputs.fix), "previous": _fix_map(inputs.previous)}
    return told


def _fix_map(fix: Fix | None) -> dict[str, Any] | None:
    return None if fix is None else {"point": fix.point, "accuracy_m": fix.accuracy_m, "at": fix.at}


def line_of(node: str, entry: Entry) -> str:
    """Return a decision in one line, for people."""
    record, inputs = entry
    assert isinstance(record, DecisionRecord)
    words = [
        format_date(record.at_ms / _MS),
        f"{node}#{record.seq}",
        f"{record.account} {record.session} {record.event_id} {record.scope}:",
        str(record.verdict) + (f" ({record.reason})" if record.reason else ""),
    ]
    place = record.place
    if place is not None and place.warning:
        words.append(f"warned of {place.warning},")
    if record.policy_id is not None:
        version = "not in force" if record.version is None else f"version {record.version}"
        words.append(f"by {record.policy_id} {version}")
    rule = "" if place is None else place.wager_rule if record.scope == "wager" else place.watch_rule
    if rule:
        words.append(f"rule {rule!r}")
    words.append(_whence(inputs))
    return " ".join(words)


def _whence(inputs: Inputs | None) -> str:
    if inputs is None:
        return "from where nobody can read any more"
    place = inputs.place
    names = [] if place is None else [place.city, place.region, place.country, *sorted(place.classes)]
    known = ", ".join(name for name in names if name)
    fix = inputs.fix
    at = "" if fix is None else f", device at {fix.point.lat:.5f},{fix.point.lon:.5f} within {fix.accuracy_m:g} m"
    return f"from {inputs.address or 'an unknown address'}" + (f" ({known})" if known else "") + at


def missing_keys(told: Verified, now: float, retention_days: int) -> list[str]:
    """Return the days whose keys are not there though their time is not up.

    Args:
        told: what came of verifying a chain.
        now: Unix time in seconds.
        retention_days: how long keys are kept after their day.
    """
    last_gone = int(now // DAY_S) - 1 - retention_days
    return [format_date(day * DAY_S)[:10] for day in sorted(told.sealed_days) if day > last_gone]


def verified_map(told: Verified, missing: list[str]) -> dict[str, Any]:
    """Return what came of verifying a chain as JSON has it; `missing` are days without a key before their time."""
    return {
        "node": told.node,
        "chain": told.chain,
        "records": told.records,
        "decisions": told.kinds["decisions"],
        "replayed": told.replayed,
        "sealed": told.sealed,
        "keys_missing": missing,
        "without_place": told.without_place,
        "lost": told.lost,
        "link": told.link.hex(),
        "n_faults": told.n_faults,
        "faults": told.faults,
    }


def verified_lines(told: Verified, missing: list[str]) -> list[str]:
    """Return it in lines, for people; `missing` are days without a key before their time."""
    lines = [
        f"{told.node}: {told.records:,} records, {told.kinds['decisions']:,} decisions: {told.replayed:,} replayed "
        f"to the same answer, {told.sealed:,} whose key is gone, {told.without_place:,} without a place"
    ]
    if missing:
        lines.append(
            f"  keys of {len(missing)} days are not here though their time is not up: {', '.join(missing[:5])}"
        )
    if told.lost:
        lines.append(f"  {told.lost:,} records were lost, as {told.kinds['gaps']:,} gaps in the chain say")
    if told.n_faults:
        lines.append(f"  {told.n_faults:,} faults, the first: {told.faults[0]}")
    else:
        lines.append(f"  whole up to {told.link.hex()}")
    return lines
