"""Every exception that Lockstep raises on purpose.

    LockstepError
    ├── SettingsError            a setting is wrong; the message names it and the remedy
    ├── DecodeError              a message from outside is not what it should be
    │   └── MessageTooLarge      it exceeds a size, depth or count limit
    ├── PlaylistError            a playlist breaks RFC 8216 where we cannot go on
    ├── MediaError               a segment cannot be read or timed
    ├── OriginError              the origin did not give what was asked for
    │   ├── OriginMissing        it answered 404 or 410, or the file is not there
    │   └── OriginRefused        we refuse to fetch it: outside the folder, a private address, too large
    ├── BookUnavailable          it cannot be known now who watches
    ├── BusUnavailable           what processes share cannot be reached, or does not answer in time
    ├── LogHeld                  another process writes this deployment's log
    └── JournalError             the journal cannot promise that what it was given is on disk

A refusal of a viewer or a subscriber is no exception: it is a `kernel.decisions.Decision`.
"""

from __future__ import annotations


class LockstepError(Exception):
    """Be the base of all exceptions raised on purpose."""


class SettingsError(LockstepError):
    """Say which setting is wrong, and what to write instead."""


class DecodeError(LockstepError):
    """Say what is wrong with a message from outside."""


class MessageTooLarge(DecodeError):
    """Say which size, depth or count limit a message exceeds."""


class PlaylistError(LockstepError):
    """Say why a playlist cannot be read."""


class MediaError(LockstepError):
    """Say why a segment cannot be timed."""


class OriginError(LockstepError):
    """Say what the origin did instead of answering."""


class OriginMissing(OriginError):
    """Say what the origin does not have."""


class OriginRefused(OriginError):
    """Say why we do not fetch a thing, or do not keep it."""


class JournalError(LockstepError):
    """Say why something could not be put on disk."""


class BusUnavailable(LockstepError):
    """Say why what processes share cannot be used now."""


class BookUnavailable(LockstepError):
    """Say why it cannot be known now who watches."""


class LogHeld(LockstepError):
    """Say who writes the log that we were to write, and what to do."""
