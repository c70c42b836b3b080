from __future__ import annotations

import inspect
from dataclasses import fields

from hub import settings
from hub.settings import HubSettings


def test_every_setting_is_documented_and_positive() -> None:
    source = inspect.getsource(settings)
    for field in fields(HubSettings):
        assert getattr(HubSettings(), field.name) > 0
        assert source.partition(f"    {field.name}:")[2].partition("\n")[2].lstrip().startswith('"""')


def test_a_silent_client_has_time_for_one_more_heartbeat() -> None:
    assert HubSettings().heartbeat_ms < 3_000
