"""The rules of the stream count as operators write them, and what they count.

    {"stream_count": {"order": "fifo", "grace_sec": 0, "event_interval_sec": 10, "per_entitlement": true, "global": 4,
      "categories": {"sport": {"max": 3}, "football": {"parent": "sport", "max": 2}},
      "assets": {"final": {"asset_id": "5001", "category": "football", "max": 2, "entitlement": "854"}}}}

An asset is a showing, under its event id; `asset_id` is what it is called in player events. A category's streams are
those of its assets and of all categories below it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from kernel.showings import EVENT_ID
from kernel.strict_json import Limits, decode, encode
from relay.api import Body, read_as
from relay.sessions.model import MAX_SESSIONS

NAME = r"[A-Za-z0-9_.-]{1,64}"
"""What categories, assets and entitlements may be called."""

MAX_CATEGORIES, MAX_ASSETS, MAX_DEPTH = 1_000, 10_000, 8
RULE_LIMITS = Limits(max_bytes=2 << 20, max_depth=8, max_nodes=100_000)

MAX_GRACE_S, MAX_INTERVAL_S = 3_600, 300


class CategoryFields(Body):
    """A category."""

    parent: str | None = Field(default=None, pattern=f"^{NAME}$", description="The category that it is part of.")
    max: int | None = Field(default=None, ge=0, le=MAX_SESSIONS, description="Streams at a time; unset: any number.")


class AssetFields(Body):
    """A showing that is counted."""

    asset_id: str | None = Field(
        default=None, pattern=f"^{NAME}$", description="What player events call it; unset: its event id."
    )
    category: str | None = Field(default=None, pattern=f"^{NAME}$", description="The category that it is in.")
    max: int | None = Field(default=None, ge=0, le=MAX_SESSIONS, description="Streams at a time; unset: any number.")
    entitlement: str | None = Field(
        default=None, pattern=f"^{NAME}$", description="The entitlement by which it is watched, where one is named."
    )


class StreamCountFields(Body):
    """What the rules say."""

    order: Literal["fifo", "lifo"] = Field(
        default="fifo", description="Who is kicked where there are too many: the oldest, or the one that came last."
    )
    grace_sec: int = Field(default=0, ge=0, le=MAX_GRACE_S, description="From the kick to the cut, in seconds.")
    event_interval_sec: int = Field(
        default=10, ge=1, le=MAX_INTERVAL_S, description="How often players are asked to speak, in seconds."
    )
    per_entitlement: bool = Field(
        default=True, description="Whether streams of different entitlements of a token are counted apart."
    )
    global_: int | None = Field(
        default=None, alias="global", ge=0, le=MAX_SESSIONS, description="Streams at a time, of everything."
    )
    categories: dict[str, CategoryFields] = Field(default_factory=dict, max_length=MAX_CATEGORIES)
    assets: dict[str, AssetFields] = Field(default_factory=dict, max_length=MAX_ASSETS)

    @model_validator(mode="after")
    def _hangs_together(self) -> StreamCountFields:
        for name in self.categories:
            if not _is_name(name):
                raise ValueError(f"categories: {name[:64]!r}: use 1 to 64 letters, digits, '_', '.' or '-'")
            self._check_ancestors(name)
        named: dict[str, str] = {}
        for event_id, asset in self.assets.items():
            if not EVENT_ID.fullmatch(event_id):
                raise ValueError(f"assets: {event_id[:64]!r}: an event id has 1 to 64 letters, digits, '_' or '-'")
            if asset.category is not None and asset.category not in self.categories:
                raise ValueError(f"assets.{event_id}.category: there is no category {asset.category}")
            asset_id = asset.asset_id or event_id
            if named.setdefault(asset_id, event_id) != event_id:
                raise ValueError(f"assets.{event_id}.asset_id: {asset_id} is {named[asset_id]} already")
        return self

    def _check_ancestors(self, name: str) -> None:
        above, one = [name], self.categories[name]
        while one.parent is not None:
            if one.parent not in self.categories:
                raise ValueError(f"categories.{above[-1]}.parent: there is no category {one.parent}")
            if one.parent in above or len(above) >= MAX_DEPTH:
                raise ValueError(f"categories.{name}: it lies in itself, or below more than {MAX_DEPTH} others")
            above.append(one.parent)
            one = self.categories[one.parent]


class StreamCountBody(Body):
    """The rules of the stream count: one set for all accounts."""

    stream_count: StreamCountFields


class Asset(NamedTuple):
    """A showing as the rules see it. `categories` are its own and all above it, the nearest first."""

    asset_id: str
    most: int | None
    entitlement: str | None
    categories: tuple[str, ...]


class StreamRules(NamedTuple):
    """What the rules mean.

    Args:
        lifo: whether the one that came last is kicked; else the oldest.
        grace_ms: from the kick to the cut.
        interval_s: how often players are asked to speak.
        per_entitlement: whether streams of different entitlements are counted apart.
        everywhere: streams at a time, of everything; None: any number.
        categories: the same, by category.
        assets: by event id.
    """

    lifo: bool = False
    grace_ms: int = 0
    interval_s: int = 10
    per_entitlement: bool = True
    everywhere: int | None = None
    categories: dict[str, int | None] = {}  # noqa: RUF012 - nobody writes into it
    assets: dict[str, Asset] = {}  # noqa: RUF012

    def asset(self, event_id: str) -> Asset:
        """Return a showing; one that is not named lies in no category."""
        return self.assets.get(event_id) or Asset(event_id, None, None, ())


NO_RULES = StreamRules()
"""Where nobody has made any: only what a token says counts."""


def rules_of(body: StreamCountBody) -> StreamRules:
    """Return what rules mean."""
    said = body.stream_count
    return StreamRules(
        lifo=said.order == "lifo",
        grace_ms=said.grace_sec * 1_000,
        interval_s=said.event_interval_sec,
        per_entitlement=said.per_entitlement,
        everywhere=said.global_,
        categories={name: one.max for name, one in said.categories.items()},
        assets={
            event_id: Asset(one.asset_id or event_id, one.max, one.entitlement, _lineage(one.category, said))
            for event_id, one in said.assets.items()
        },
    )


def text_of(body: StreamCountBody) -> str:
    """Return rules as text; `read_rules` returns what it means."""
    return encode(body.model_dump(exclude_unset=True, by_alias=True))


def read_rules(text: str) -> StreamRules:
    """Return what a text means.

    Raises:
        DecodeError: it is none: a newer version wrote it.
    """
    return rules_of(read_as(StreamCountBody, decode(text, RULE_LIMITS)))


def _lineage(category: str | None, said: StreamCountFields) -> tuple[str, ...]:
    found: list[str] = []
    while category is not None:
        found.append(category)
        category = said.categories[category].parent
    return tuple(found)


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= 64 and all(char.isascii() and (char.isalnum() or char in "_.-") for char in name)
