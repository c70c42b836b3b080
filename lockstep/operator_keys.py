"""Making, changing and ending operators' keys. What a key is is told once: only its hash is kept.

The operator of this machine's own commands (`keys.OWN_OPERATOR`) is the exception: its key stays in the file as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from kernel.dates import parse_date
from kernel.errors import PlaylistError, SettingsError
from lockstep.keys import OWN_OPERATOR, Keys, OperatorEntry, change_keys
from relay.operators import Operator, OperatorScope, digest_of

MAX_OPERATORS = 1_000
"""Each request is compared with all of them, in constant time: 0.2 us each."""

MAX_OVERLAP_S = 30 * 86_400

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def span_of(text: str) -> int:
    """Return the seconds of a span of time such as 90s, 15m, 24h or 30d.

    Raises:
        SettingsError: it is none.
    """
    if (found := _SPAN.fullmatch(text)) is None:
        raise SettingsError(f"{text!r:.40} is no span of time: write 90s, 15m, 24h or 30d")
    return int(found[1]) * _UNITS_S[found[2]]


def end_of(text: str | None, *, now: float) -> float | None:
    """Return when a key ends, in Unix seconds: a date with a zone, or a span from now on; None: never.

    Raises:
        SettingsError: it is neither, or lies behind.
    """
    if text is None:
        return None
    if _SPAN.fullmatch(text):
        at = now + span_of(text)
    else:
        if "T" not in text or not re.search(r"(Z|[+-][0-9:]+)$", text):
            raise SettingsError(f"{text!r:.40}: write a date with a zone such as 2027-01-31T09:00:00Z, or a span: 30d")
        try:
            at = parse_date(text)
        except PlaylistError as error:
            raise SettingsError(str(error)) from None
    if not now < at < 253_402_300_740:
        raise SettingsError(f"{text!r:.40} lies behind, or beyond the year 9999")
    return float(int(at))


def scopes_of(text: str) -> frozenset[OperatorScope]:
    """Return scopes that stand with commas between them.

    Raises:
        SettingsError: one is none, or there is none.
    """
    names = {part.strip() for part in text.split(",") if part.strip()}
    if not names or names - set(OperatorScope):
        raise SettingsError(f"{text!r:.80}: use one or more of {', '.join(OperatorScope)}, with commas between them")
    return frozenset(map(OperatorScope, names))


def create_operator(
    data_dir: Path, name: str, key: str, scopes: Iterable[OperatorScope], *, expires: float | None, now: float
) -> None:
    """Let somebody in by a new key.

    Args:
        data_dir: where `keys.toml` lies.
        name: how logs and records call them.
        key: only its hash is written.
        scopes: what they may do.
        expires: when it ends, in Unix seconds; None: never.
        now: Unix time in seconds.

    Raises:
        SettingsError: the name is none or taken, or the file cannot be changed.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r:.80}: a name has 1 to 64 letters, digits, '_' or '-'")
    operator = Operator(name, digest_of(key), frozenset(scopes), expires)

    def change(keys: Keys) -> Keys:
        if name in keys.operators:
            raise SettingsError(f"there is an operator {name!r}: rotate or revoke their key, or use another name")
        if len(keys.operators) >= MAX_OPERATORS:
            raise SettingsError(f"there are {MAX_OPERATORS} operators: revoke some first")
        return replace(keys, operators={**keys.operators, name: OperatorEntry(operator, None, float(int(now)))})

    change_keys(data_dir, change)


def rotate_operator(
    data_dir: Path, name: str, key: str, *, overlap_s: float, expires: float | None = None, now: float
) -> None:
    """Give an operator a new key; the one before counts for `overlap_s` seconds more, one before that no longer.

    Without `expires` the end stays what it was. Arguments else as for `create_operator`.

    Raises:
        SettingsError: there is no such operator, or the file cannot be changed.
    """

    def change(keys: Keys) -> Keys:
        entry = _entry(keys, name)
        former, until = entry.operator, now + overlap_s
        if former.expires is not None:
            until = min(until, former.expires)
        before = replace(former, expires=until) if overlap_s > 0 else None
        operator = replace(former, digest=digest_of(key), expires=former.expires if expires is None else expires)
        kept = key if entry.key is not None else None
        return replace(keys, operators={**keys.operators, name: OperatorEntry(operator, kept, float(int(now)), before)})

    change_keys(data_dir, change)


def revoke_operator(data_dir: Path, name: str) -> None:
    """Let an operator in no more.

    Raises:
        SettingsError: there is no such operator, it is this machine's own, or the file cannot be changed.
    """

    def change(keys: Keys) -> Keys:
        _entry(keys, name)
        if name == OWN_OPERATOR:
            raise SettingsError(f"{name!r} is who the commands on this machine are: rotate its key instead")
        return replace(keys, operators={other: entry for other, entry in keys.operators.items() if other != name})

    change_keys(data_dir, change)


def _entry(keys: Keys, name: str) -> OperatorEntry:
    entry = keys.operators.get(name)
    if entry is None:
        raise SettingsError(f"there is no operator {name!r:.80}: `lockstep key list` prints them")
    return entry
