"""The secrets of a deployment, kept in `keys.toml` beside its data with mode 0600.

The file is made by the first `lockstep serve` and read by `token`, `replay` and `revoke`; a running server takes up a
change of the signing keys and of the operators (`lockstep/key_watch.py`):

    [signing]
    a1b2c3 = "<Base64 of 32 bytes>"        # key id = key; the first one signs, a second one is still accepted

    [webhooks]
    nba = "whsec_<Base64 of 32 bytes>"     # one secret per source

    [operators.cli]                        # one table per operator
    key = "lko_<Base64 of 32 bytes>"       # what `lockstep revoke` uses; of others `sha256 = "<hex>"` is enough
    scopes = ["read", "revoke"]
    made = 2026-11-27T09:00:00Z
    expires = 2027-11-27T09:00:00Z         # without it the key never ends
    before = "<hex>"                       # the SHA-256 of the key before the last rotation, good for a while
    before_expires = 2026-11-28T09:00:00Z
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from feeds.standard_webhooks import new_secret, parse_secret
from kernel.dates import format_date
from kernel.errors import SettingsError
from kernel.io.system_time import new_id, new_key
from kernel.tokens import Keyring
from relay.operators import Operator, OperatorScope, digest_of, operator_key

FILE_NAME = "keys.toml"


OWN_OPERATOR = "cli"
"""The operator that whoever can read the file is."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """An operator as the file has it: `key` is None where only its hash is known.

    `made` is when, in Unix seconds, None where nobody noted it; `before` the key that still counts after a rotation.
    """

    operator: Operator
    key: str | None
    made: float | None = None
    before: Operator | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """All secrets of a deployment: signing keys by key id, webhook secrets by source name, operators by name."""

    signing: Mapping[str, bytes]
    webhook_secrets: Mapping[str, str]
    operators: Mapping[str, OperatorEntry] = field(default_factory=dict)

    def known_operators(self) -> list[Operator]:
        """Return whose keys are taken, those that were rotated included."""
        return [one for entry in self.operators.values() for one in (entry.operator, entry.before) if one is not None]

    def operator_key(self) -> str:
        """Return the key by which commands on this machine act.

        Raises:
            SettingsError: the file holds none.
        """
        for entry in self.operators.values():
            if entry.key is not None:
                return entry.key
        raise SettingsError("keys.toml holds no operator's key, only hashes: start `lockstep serve` there once")

    def keyring(self) -> Keyring:
        """Return what issues session tokens."""
        return Keyring(self.signing)

    def __repr__(self) -> str:
        """Name what there is without showing any of it."""
        return (
            f"Keys(signing={sorted(self.signing)}, webhooks={sorted(self.webhook_secrets)}, "
            f"operators={sorted(self.operators)})"
        )


def read_keys(data_dir: Path) -> Keys:
    """Read the secrets of the deployment that keeps its data in `data_dir`.

    Raises:
        SettingsError: there is no such file, it is open to others, or it does not say what it should.
    """
    path = data_dir / FILE_NAME
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path} can be read by others: run `chmod 600 {path}`")
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"no keys at {path}: start `lockstep serve` or `lockstep ingest` there once, "
            "or name its folder with --data-dir"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    try:
        signing = {kid: base64.b64decode(text, validate=True) for kid, text in content["signing"].items()}
        webhooks = {str(name): str(secret) for name, secret in content.get("webhooks", {}).items()}
        for secret in webhooks.values():
            parse_secret(secret)
        operators = {str(name): _operator(str(name), entry) for name, entry in content.get("operators", {}).items()}
    except (KeyError, TypeError, AttributeError, binascii.Error, ValueError) as error:
        raise SettingsError(
            f"{path} is not a keys file ({error!r}): restore it, or remove it to make new keys"
        ) from error
    return Keys(signing, webhooks, operators)


def _operator(name: str, entry: Mapping[str, Any]) -> OperatorEntry:
    if not _NAME.fullmatch(name):
        raise ValueError(f"operator {name!r}: a name has 1 to 64 letters, digits, '_' or '-'")
    key = entry.get("key")
    digest = _digest(name, entry["sha256"]) if key is None else digest_of(key)
    scopes = frozenset(map(OperatorScope, entry["scopes"]))
    before = None
    if "before" in entry:
        before = Operator(name, _digest(name, entry["before"]), scopes, _time(name, entry["before_expires"]))
    operator = Operator(name, digest, scopes, _time(name, entry.get("expires")))
    return OperatorEntry(operator, key, _time(name, entry.get("made")), before)


def _digest(name: str, text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != 32:
        raise ValueError(f"operator {name!r}: a SHA-256 has 64 hexadecimal digits")
    return digest


def _time(name: str, at: object) -> float | None:
    if at is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ValueError(f"operator {name!r}: a time is a date with a zone, such as 2027-01-31T09:00:00Z")
    return at.timestamp()


def ensure_keys(data_dir: Path, sources: Iterable[str]) -> Keys:
    """Read the secrets, making the file and whatever it lacks: a signing key, an operator's key, a secret for each of
    `sources`.

    Raises:
        SettingsError: the file is there but wrong, or cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"data folder {data_dir} cannot be made: {error}") from error
    names = list(sources)
    known, keys = _completed(data_dir, names)
    if keys != known:
        with _alone(data_dir):
            # Another command may have written since.
            known, keys = _completed(data_dir, names)
            _write(data_dir / FILE_NAME, keys)
    return keys


def _completed(data_dir: Path, sources: Iterable[str]) -> tuple[Keys, Keys]:
    """Return the secrets that there are, and those with what they lack."""
    known = read_keys(data_dir) if (data_dir / FILE_NAME).exists() else Keys({}, {})
    signing = dict(known.signing) or {new_id(6): new_key()}
    webhooks = dict(known.webhook_secrets)
    for name in sources:
        webhooks.setdefault(name, new_secret(new_key()))
    operators = dict(known.operators)
    if not any(entry.key for entry in operators.values()):
        operators[OWN_OPERATOR] = _own(operator_key(new_key()))
    elif (own := operators.get(OWN_OPERATOR)) is not None and own.key is not None:
        # Whoever can read the file may do all that there is, also what an earlier version did not know.
        operators[OWN_OPERATOR] = replace(own, operator=replace(own.operator, scopes=frozenset(OperatorScope)))
    return known, replace(known, signing=signing, webhook_secrets=webhooks, operators=operators)


def _own(key: str) -> OperatorEntry:
    return OperatorEntry(Operator(OWN_OPERATOR, digest_of(key), frozenset(OperatorScope)), key)


def change_keys(data_dir: Path, change: Callable[[Keys], Keys]) -> None:
    """Write what `change` makes of the secrets that there are, while nobody else changes them.

    Raises:
        SettingsError: there are no keys, they are wrong or cannot be written, or somebody else changes them now.
    """
    with _alone(data_dir):
        known = read_keys(data_dir)
        changed = change(known)
        if changed != known:
            _write(data_dir / FILE_NAME, changed)


def new_webhooks(data_dir: Path, names: Iterable[str]) -> dict[str, str]:
    """Give sources new secrets, whatever they had before, and return them by name.

    Raises:
        SettingsError: as `change_keys`.
    """
    made = {name: new_secret(new_key()) for name in names}
    change_keys(data_dir, lambda keys: replace(keys, webhook_secrets={**keys.webhook_secrets, **made}))
    return made


def drop_webhooks(data_dir: Path, names: Iterable[str]) -> None:
    """Forget the secrets of sources.

    Raises:
        SettingsError: as `change_keys`.
    """
    gone = set(names)
    change_keys(
        data_dir,
        lambda keys: replace(
            keys, webhook_secrets={name: kept for name, kept in keys.webhook_secrets.items() if name not in gone}
        ),
    )


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of the signing keys, by key id.

    `signing` is the new one; `accepted` the one that signed before, whose tokens stay good; `dropped` are those whose
    tokens are a stranger's from now on.
    """

    signing: str
    accepted: str
    dropped: tuple[str, ...]


def rotate_keys(data_dir: Path, settle: Callable[[], None]) -> Rotation:
    """Make a new signing key, keep the one that signed until now as accepted, and drop any older one.

    Nobody's token is refused for it: first the new key is announced, while the old one goes on to sign; then `settle`
    is called, which waits until every running server has taken it up; only then does it sign. What is left when that is
    cut short is a file in which the old key signs, and the next rotation starts over.

    Raises:
        SettingsError: there are no keys, they are wrong or cannot be written, or another rotation is under way.
    """
    with _alone(data_dir):
        known = read_keys(data_dir)
        if not known.signing:
            raise SettingsError(f"{data_dir / FILE_NAME} has no signing key: start `lockstep serve` there once")
        before, *older = known.signing
        after = new_id(6)
        announced = {before: known.signing[before], after: new_key()}
        _write(data_dir / FILE_NAME, replace(known, signing=announced))
        settle()
        signing = {after: announced[after], before: announced[before]}
        _write(data_dir / FILE_NAME, replace(known, signing=signing))
    return Rotation(after, before, tuple(older))


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Keep whoever else changes the keys out; whoever reads them is not disturbed."""
    try:
        folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SettingsError(f"data folder {data_dir} cannot be opened: {error}") from error
    try:
        try:
            # flock(2): the folder itself is locked, so nothing is left behind.
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"the keys in {data_dir} are being changed by another command: try again") from None
        yield
    finally:
        os.close(folder)


def _operator_lines(entry: OperatorEntry) -> list[str]:
    operator, before = entry.operator, entry.before
    secret = f'sha256 = "{operator.digest.hex()}"' if entry.key is None else f'key = "{entry.key}"'
    scopes = ", ".join(f'"{scope}"' for scope in sorted(operator.scopes))
    lines = [secret, f"scopes = [{scopes}]"]
    if before is not None:
        lines.append(f'before = "{before.digest.hex()}"')
    times = {"made": entry.made, "expires": operator.expires, "before_expires": before.expires if before else None}
    return lines + [f"{name} = {format_date(at)}" for name, at in times.items() if at is not None]


def _write(path: Path, keys: Keys) -> None:
    lines = ["# Secrets of this deployment: keep them private.", "[signing]"]
    lines += [f'"{kid}" = "{base64.b64encode(key).decode()}"' for kid, key in keys.signing.items()]
    lines += ["", "[webhooks]"]
    lines += [f'"{name}" = "{secret}"' for name, secret in keys.webhook_secrets.items()]
    for name, entry in keys.operators.items():
        lines += ["", f"[operators.{name}]", *_operator_lines(entry)]
    draft = path.with_suffix(".new")
    try:
        # Opened with its final mode: there is no moment in which somebody else could read it.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error}") from error
