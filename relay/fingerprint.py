"""What a device says of itself, as a hash that only this deployment can compute: a signal, and no identity.

Browser, system, screen and what its graphics draw are the same on thousands of devices, and another after an update. So
two that differ say that a link may have been handed on, and two that agree say nothing. The hash has 64 bits, keyed
with a secret that is derived from the key that signs the token it stands in: whoever reads a token learns nothing of
the device.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kernel.strict_json import encode_known
from kernel.tokens import checked_keys

if TYPE_CHECKING:
    from kernel.tokens import Claims

_DIGEST_BYTES = 8
_LABEL = b"lockstep: devices of sessions"


class Fingerprints:
    """Hash what devices say of themselves.

    Args:
        keys: secret by key id, as tokens are signed with; the first one signs.

    Raises:
        SettingsError: the keys are none that tokens may be signed with.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._secrets: dict[str, bytes] = {}
        self._signing = ""
        self.rotate(keys)

    def rotate(self, keys: Mapping[str, bytes]) -> None:
        """Go on with `keys`, as tokens do.

        Raises:
            SettingsError: the keys are none that tokens may be signed with; the former ones stay.
        """
        known = checked_keys(keys)
        self._secrets = {kid: hmac.digest(secret, _LABEL, "sha256") for kid, secret in known.items()}
        self._signing = next(iter(known))

    def of(self, device: Mapping[str, str]) -> str:
        """Return the claim `fph` of a session that is begun on a device, under the key that signs now."""
        return self._hash(self._signing, device)

    def agrees(self, claims: Claims, device: Mapping[str, str] | None) -> bool:
        """Tell whether a session's device is this one, by what it says; one that says nothing is another.

        Claims that name no device agree with any.
        """
        if claims.fingerprint is None:
            return True
        if device is None or claims.kid not in self._secrets:
            return False
        return hmac.compare_digest(claims.fingerprint, self._hash(claims.kid, device))

    def _hash(self, kid: str, device: Mapping[str, str]) -> str:
        said = encode_known({name: device[name] for name in sorted(device)})
        digest = hashlib.blake2b(said, key=self._secrets[kid], digest_size=_DIGEST_BYTES).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
