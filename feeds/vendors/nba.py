"""NBA live data: an action, a list of actions, or the whole polled document.

The feed has no operations: an action stands there, and stands there again with a later `edited`. So every fact is
`new` with that edit time as its stamp, and the sequencer, which knows what came before, tells amend from confirm.
`actionNumber` names an action and is not its order; `orderNumber` is. `timeActual` has tenths of a second,
`edited` whole seconds. Action types grow: one that is not known here is a play.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feeds.vendors.contract import Adapted
from feeds.vendors.times import parse_clock_ms, parse_stamp_ms, parse_time
from kernel.cues import CueType, Fact, Op
from kernel.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: Mapping[str, CueType] = {
    "period": CueType.PERIOD,
    "game": CueType.PERIOD,
    "substitution": CueType.LINEUP,
}

_TEXTS: Mapping[str, str] = {
    "txt": "description",
    "team": "teamTricode",
    "action": "actionType",
    "sub": "subType",
}
"""Body key by the vendor's: texts that are handed on as they are."""

_PLAYERS = ("playerNameI", "assistPlayerNameInitial")


def adapt(source: str, message: Any) -> Adapted:
    """Read the actions of a message.

    Raises:
        DecodeError: there are none, or one lacks its number or time; the text names its place in the list.
    """
    return Adapted([_fact(source, index, action) for index, action in enumerate(actions_of(message))])


def actions_of(message: Any) -> list[Any]:
    """Return the actions of an action, a list of actions, or a whole document, unread.

    Raises:
        DecodeError: the message is none of these.
    """
    if isinstance(message, list):
        return message
    if isinstance(message, dict):
        if "actionNumber" in message or "timeActual" in message:
            return [message]
        game = message.get("game")
        actions = game.get("actions") if isinstance(game, dict) else message.get("actions")
        if isinstance(actions, list):
            return actions
    raise DecodeError("an action, a list of actions, or a document with game.actions is expected")


def _fact(source: str, index: int, action: Any) -> Fact:
    where = f"action {index}: "
    if not isinstance(action, dict):
        raise DecodeError(f"{where}a JSON object is expected, not {action!a:.40}")
    number = action.get("actionNumber")
    if type(number) is not int:
        raise DecodeError(f"{where}actionNumber: an integer is expected, not {number!a:.40}")
    if action.get("timeActual") is None:
        raise DecodeError(f"{where}timeActual: the time of the action is missing")
    occurred_at, sigma_s = parse_time(action["timeActual"], f"{where}timeActual")
    edited = action.get("edited")
    return Fact(
        source=source,
        id=str(number),
        op=Op.NEW,
        type=_TYPES.get(str(action.get("actionType")), CueType.PLAY),
        occurred_at=occurred_at,
        body=_body(action, where),
        stamp=None if edited is None else parse_stamp_ms(edited, f"{where}edited"),
        sigma_s=sigma_s,
    )


def _body(action: Mapping[str, Any], where: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        key: action[theirs] for key, theirs in _TEXTS.items() if isinstance(action.get(theirs), str) and action[theirs]
    }
    players = [action[name] for name in _PLAYERS if isinstance(action.get(name), str) and action[name]]
    if players:
        body["players"] = players
    if action.get("scoreHome") and action.get("scoreAway"):
        body["score"] = {
            "home": _points(action["scoreHome"], f"{where}scoreHome"),
            "away": _points(action["scoreAway"], f"{where}scoreAway"),
        }
    clock = _clock(action, where)
    if clock:
        body["clock"] = clock
    if type(action.get("orderNumber")) is int:
        body["order"] = action["orderNumber"]
    return body


def _clock(action: Mapping[str, Any], where: str) -> dict[str, Any]:
    clock: dict[str, Any] = {}
    if type(action.get("period")) is int:
        clock["period"] = action["period"]
    if action.get("clock"):
        clock["ms"] = parse_clock_ms(action["clock"], f"{where}clock")
        clock["dir"] = "down"
    return clock


def _points(value: Any, field: str) -> int:
    # Points come as text; a number is taken as well.
    text = str(value)
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise DecodeError(f"{field}: points such as '12' are expected, not {value!a:.40}")
    return int(text)
