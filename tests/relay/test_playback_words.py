from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.api import read_as
from relay.playback_words import OPERATIONS, BeginBody, DeviceBody, StopBody, TokenBody


def test_what_a_device_says() -> None:
    said = {"browser": "Firefox 150", "os": "Linux", "screen": "1920x1080", "webgl_hash": "ab12"}
    assert read_as(DeviceBody, said).said() == said
    assert read_as(DeviceBody, {}).said() is None


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [
        (BeginBody, {"device": {"browser": ""}}, "device.browser"),
        (BeginBody, {"device": {"browser": "x" * 257}}, "device.browser"),
        (BeginBody, {"device": {"user": "ann"}}, "device.user"),
        (BeginBody, {"gps": {"lat": 91, "lon": 0, "accuracy_m": 1, "at": 1}}, "gps.lat"),
        (BeginBody, {"token": "x" * 5_000}, "token"),
        (TokenBody, {"token": 7}, "token"),
        (TokenBody, {"account": "ann"}, "account"),
        (StopBody, {}, "code"),
    ],
)
def test_what_is_not_understood_is_named(model: Any, body: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        read_as(model, body)


def test_every_call_of_a_page_has_its_preflight() -> None:
    asked = {one.path for one in OPERATIONS if one.method != "OPTIONS"}
    assert asked == {one.path for one in OPERATIONS if one.method == "OPTIONS"}
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
