"""What reads tokens in one process: set up by the settings, kept up to date with our keys and another issuer's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from kernel.io.system_time import new_id
from lockstep.keys import Keys
from lockstep.settings import Settings
from relay.entitlements import Entitlements
from relay.io.jwks_file import JwksFile, read_jwks
from relay.issuer_verifier import IssuerVerifier
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier


class Admission:
    """Hold what reads tokens.

    Args:
        settings: whether somebody else issues entitlements, and where the keys lie.
        keys: our own signing keys are among them.
        elsewhere: verifies what somebody else issues.
    """

    def __init__(self, settings: Settings, keys: Keys, elsewhere: IssuerVerifier | None = None) -> None:
        self._sessions = TokenVerifier(keys.signing)
        self.tokens = TokenCache(self._sessions)
        self.issuer_file: JwksFile | None = None
        if elsewhere is not None:
            assert settings.issuer.jwks is not None
            self.issuer_file = JwksFile(settings.issuer.jwks, settings.issuer.algorithms, elsewhere.rotate)
        self.entitlements = Entitlements(keys.signing, elsewhere, new_id=new_id)

    @classmethod
    async def open(cls, settings: Settings, keys: Keys) -> Admission:
        """Read the issuer's keys, if there is one, and set everything up.

        Raises:
            SettingsError: the issuer's settings or keys are not what they should be.
        """
        return cls(settings, keys, await asyncio.to_thread(issuer_verifier, settings))

    def rotate(self, keys: Mapping[str, bytes]) -> None:
        """Accept our own `keys` from now on, sign with the first.

        Raises:
            SettingsError: the keys are none that tokens may be signed with; the former ones stay.
        """
        self._sessions.rotate(keys)
        self.entitlements.rotate(keys)

    def parts(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Return what is to be kept running, by name."""
        return {"issuer keys": self.issuer_file.run} if self.issuer_file is not None else {}


def issuer_verifier(settings: Settings) -> IssuerVerifier | None:
    """Return what verifies the tokens of another issuer, None if there is none.

    Raises:
        SettingsError: its settings or keys are not what they should be.
    """
    issuer = settings.to_issuer()
    if issuer is None:
        return None
    assert settings.issuer.jwks is not None
    return IssuerVerifier(issuer, read_jwks(settings.issuer.jwks, issuer.algorithms))
