"""Sessions that have to go: their sockets are told when, and closed together with the video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hub.close_codes import Bye, code_of
from hub.io.dismissal import Host, dismiss
from hub.messages import reply_frame, session_map
from hub.subscriber import Phase

if TYPE_CHECKING:
    from kernel.decisions import Ending
    from kernel.grants import Grants
    from kernel.tokens import Reason


class Sockets(Host, Protocol):
    """Whose sockets they are, and by which claims they are here."""

    @property
    def grants(self) -> Grants[int]:
        """Return the numbers of those who are in, by their claims."""
        ...


class SessionEnds:
    """Warn and end sessions.

    Args:
        host: whose sockets they are.
    """

    def __init__(self, host: Sockets) -> None:
        self._host = host

    def warn_session(self, session: str, ending: Ending) -> None:
        """Say to all sockets of a session that it has to go; also to those whose client reads slowly."""
        for number in self._host.grants.of_session(session):
            socket = self._host.sockets.get(number)
            subscriber = socket.subscriber if socket is not None else None
            if subscriber is None or subscriber.phase is Phase.CLOSING:
                continue
            try:
                subscriber.write(reply_frame(session_map(ending), subscriber.format))
            except RuntimeError:  # uvloop, on a transport that died within this turn (TRAPS 16)
                self._host.cut(subscriber)

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        """Close all sockets of a session, and say why."""
        dismiss(self._host, self._host.grants.of_session(session), Bye(code_of(reason), code))
