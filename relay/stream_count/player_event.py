"""The player event: the template that a player is given, and what it posts, filled in, again and again.

What the player may not change is in `logData`, a token of ours for this purpose alone: whose session it is, and what
counts it. Everything else is for whoever looks at it later; here only the session's name must fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kernel.errors import DecodeError
from kernel.tokens import MAX_TOKEN_CHARS, Purpose

if TYPE_CHECKING:
    from kernel.tokens import Claims, Keyring
    from relay.stream_count.rules import StreamRules

PATH = "/api/v1/playback/events"

MAX_WORD_CHARS = 64

_LAST_WORDS = frozenset({"stop", "stopped", "end", "ended", "close", "closed"})


class PlayerEvent(NamedTuple):
    """What a player says.

    Args:
        session: the viewing session that it says it is.
        word: what happened, in small letters: `play`, `heartbeat`, `stop`.
        log_data: what it was given, unread.
    """

    session: str
    word: str
    log_data: str

    @property
    def is_last(self) -> bool:
        """Return whether the viewer has left."""
        return self.word in _LAST_WORDS


def template_of(claims: Claims, rules: StreamRules, keys: Keyring) -> dict[str, Any]:
    """Return the template of the player event for the session of `claims`.

    `logData` says what the session's token says, for this purpose: nobody watches or wagers by it.
    """
    asset = rules.asset(claims.event_id)
    progress = {"assetId": asset.asset_id, "offset": "0", "duration": "0"}
    if asset.categories:
        progress["categoryId"] = asset.categories[0]
    return {
        "originator": "player",
        "client": {
            "viewingSession": claims.session,
            "playerEvent": "",
            "playerState": "",
            "envPlatform": "",
            "envVersion": "",
        },
        "progress": progress,
        "eventInterval": f"{rules.interval_s:.1f}",
        "uri": PATH,
        "logData": keys.issue(claims, Purpose.PLAYER_EVENT),
    }


def read_event(said: Any) -> PlayerEvent:
    """Return what a player posted.

    Raises:
        DecodeError: it is no player event; the text names what is missing.
    """
    client = said.get("client") if isinstance(said, dict) else None
    if not isinstance(client, dict):
        raise DecodeError("client: the object of the template is expected, with viewingSession and playerEvent")
    session, word, log_data = client.get("viewingSession"), client.get("playerEvent"), said.get("logData")
    if not isinstance(session, str) or not session:
        raise DecodeError("client.viewingSession: the session's id is expected, as in the template")
    if not isinstance(word, str) or not 1 <= len(word) <= MAX_WORD_CHARS:
        raise DecodeError(f"client.playerEvent: what happened is expected, in 1 to {MAX_WORD_CHARS} characters")
    if not isinstance(log_data, str) or not 1 <= len(log_data) <= MAX_TOKEN_CHARS:
        raise DecodeError("logData: the text of the template is expected, unchanged")
    return PlayerEvent(session, word.lower(), log_data)
