"""All settings: one TOML file, the environment (`LOCKSTEP_...`), and what the command line says, in rising order.

The environment names a setting by its path in capitals, nested by two underscores:
`LOCKSTEP_PORT=9090`, `LOCKSTEP_SHOWINGS__GAME__HOLD_S=2`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from feeds.lag import MAX_HOLD_S
from feeds.vendors.registry import ADAPTERS
from kernel.errors import SettingsError
from kernel.io.origin import FetchLimits, playlist_ref
from kernel.showings import Showing, Source
from lockstep.allowances import AddressLimits
from lockstep.leaks import LeakSettings
from lockstep.peers import MAX_HOPS, ProxyHeader, TrustedProxies
from lockstep.session_settings import SessionsSettings
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import RELOAD_S, PlaceFiles
from relay.issuer_verifier import ClaimNames, Issuer
from relay.place.model import NetworkClass
from relay.quota import QuotaLimits

_FETCH = FetchLimits()
_ADDRESS = AddressLimits()
_QUOTA = QuotaLimits()


class SourceSettings(BaseModel):
    """One vendor's feed."""

    model_config = ConfigDict(extra="forbid")

    vendor: str = Field(description="The adapter that reads its messages.")
    audience: Literal["public", "trading"] = Field(
        default="public", description="`trading` keeps its facts from everyone without that scope."
    )
    interval_s: float | None = Field(
        default=None,
        gt=0,
        le=3_600,
        description="How often it speaks at the latest, in seconds; unset: as it promises.",
    )
    down_after_s: float | None = Field(
        default=None,
        gt=0,
        le=7_200,
        description="Silence that its vendor calls down, in seconds; unset: two intervals.",
    )
    binds: Literal["all", "own"] = Field(
        default="all", description="Markets that close when it is down: all of the showing, or those it quotes."
    )
    latency_s: float = Field(
        default=3.0, ge=0, le=120, description="Least lag that is its slowness and not its clock's, in seconds."
    )


class ShowingOptions(BaseModel):
    """What a showing is beside where it comes from: the same in the settings and by API."""

    model_config = ConfigDict(extra="forbid")

    sources: dict[str, SourceSettings] = Field(default_factory=dict, description="Vendor feeds by source name.")
    hold_s: Annotated[float, Field(ge=0, le=60)] | Literal["auto"] = Field(
        default=0.0, description="Constant delay of the picture, in seconds; `auto` learns it from the vendors' lag."
    )
    max_hold_s: float = Field(
        default=15.0, gt=0, le=120, description="Seconds beyond the hold after which video goes out unsynchronised."
    )
    due_sigma: float = Field(
        default=1.0,
        ge=0,
        le=6,
        description="Standard deviations of the alignment that a fact waits beyond its picture.",
    )
    program_delay_ms: int | None = Field(
        default=None,
        ge=0,
        le=120_000,
        description="How long after the camera the encoder stamps, in ms; unset: uncalibrated.",
    )
    allowed_origins: list[str] = Field(
        default_factory=list, description="Browser origins that may read the video and open the socket; empty: any."
    )
    suspend_scope: Literal["event", "market"] = Field(
        default="event", description="How wide a suspend is sent: `event` hides which market closed."
    )
    price_invalidation: bool = Field(
        default=False, description="Whether a changed price kills bet slips at once, ahead of its picture."
    )
    place_policy: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name of the policy of place that governs it."
    )

    def to_showing(self, event_id: str, origin: str, *, local_dir: str | None = None) -> Showing:
        """Return the showing as the kernel knows it.

        Args:
            event_id: what it is called.
            origin: the reference of its playlist, resolved.
            local_dir: where segments are looked up before the origin is asked.

        Raises:
            SettingsError: a source names no known vendor.
        """
        for name, source in self.sources.items():
            if source.vendor not in ADAPTERS:
                raise SettingsError(
                    f"source {name!r}: no vendor {source.vendor!r}; there are {', '.join(sorted(ADAPTERS))}"
                )
        return Showing(
            event_id=event_id,
            origin=origin,
            local_dir=local_dir,
            sources=tuple(Source(name, **source.model_dump()) for name, source in self.sources.items()),
            hold_s=MAX_HOLD_S if self.hold_s == "auto" else self.hold_s,
            auto_hold=self.hold_s == "auto",
            suspend_scope=self.suspend_scope,
            price_invalidation=self.price_invalidation,
            max_hold_s=self.max_hold_s,
            due_sigma=self.due_sigma,
            program_delay_ms=self.program_delay_ms,
            allowed_origins=tuple(self.allowed_origins),
            place_policy=self.place_policy,
        )


class ShowingSettings(ShowingOptions):
    """One showing."""

    origin: str = Field(description="A folder that holds one playlist, or the http(s) URL of one.")
    local_dir: str | None = Field(
        default=None, description="Folder where segments of an http(s) origin are looked up before it is asked."
    )


class ShowingsApiSettings(BaseModel):
    """What showings may be that are made by API."""

    model_config = ConfigDict(extra="forbid")

    origin_dir: Path | None = Field(
        default=None, description="Folder below which origins in files may lie; unset: there are none by API."
    )
    origin_hosts: list[str] = Field(
        default_factory=list, description="HOST or HOST:PORT of http(s) origins that may be private; others are public."
    )
    max_showings: int = Field(default=200, ge=0, le=10_000, description="How many there may be.")


class LimitsSettings(BaseModel):
    """What is taken from origins, and what is kept of it; FetchLimits says where the figures come from."""

    model_config = ConfigDict(extra="forbid")

    max_playlist_bytes: int = Field(
        default=_FETCH.max_playlist_bytes, ge=1024, description="Largest playlist taken from an origin."
    )
    max_playlist_segments: int = Field(
        default=_FETCH.max_playlist_segments, ge=1, le=100_000, description="Most segments in one playlist."
    )
    max_segment_bytes: int = Field(
        default=_FETCH.max_segment_bytes, ge=1024, description="Largest segment taken from an origin."
    )
    max_key_bytes: int = Field(default=_FETCH.max_key_bytes, ge=16, description="Largest key taken from an origin.")
    connect_timeout_s: float = Field(
        default=_FETCH.connect_timeout_s, gt=0, le=60, description="Seconds to connect, with TLS."
    )
    read_timeout_s: float = Field(
        default=_FETCH.read_timeout_s, gt=0, le=60, description="Seconds that an origin may be silent."
    )
    total_timeout_s: float = Field(
        default=_FETCH.total_timeout_s, gt=0, le=300, description="Seconds for an answer, redirects included."
    )
    max_redirects: int = Field(
        default=_FETCH.max_redirects, ge=0, le=20, description="Redirects that are followed, one after another."
    )
    cache_bytes: int = Field(
        default=_FETCH.cache_bytes,
        ge=0,
        description="Memory for what was fetched, with all that keeping it costs.",
    )
    negative_s: float = Field(
        default=_FETCH.negative_s, ge=0, le=60, description="Seconds for which a segment's failure is remembered."
    )

    def to_fetch_limits(self) -> FetchLimits:
        """Return the limits as the fetcher knows them."""
        return FetchLimits(**self.model_dump())


class AddressSettings(BaseModel):
    """What one client address may do; AddressLimits says where the figures come from."""

    model_config = ConfigDict(extra="forbid")

    max_connections: int = Field(
        default=_ADDRESS.max_connections, ge=1, description="Connections open at once, sockets included."
    )
    max_half_open: int = Field(
        default=_ADDRESS.max_half_open, ge=1, description="Connections open at once without a first request."
    )
    requests_per_s: float = Field(default=_ADDRESS.requests_per_s, gt=0, description="Sustained requests a second.")
    request_burst: int = Field(default=_ADDRESS.request_burst, ge=1, description="Requests at once.")
    refused_tokens_per_s: float = Field(
        default=_ADDRESS.refused_tokens_per_s, gt=0, description="Sustained forged or missing tokens a second."
    )
    refused_token_burst: int = Field(
        default=_ADDRESS.refused_token_burst, ge=1, description="Forged or missing tokens at once."
    )

    def to_address_limits(self) -> AddressLimits:
        """Return the limits as the front door knows them."""
        return AddressLimits(**self.model_dump())


class OperatorSettings(BaseModel):
    """What one operator may ask; QuotaLimits says where the figures come from."""

    model_config = ConfigDict(extra="forbid")

    requests_per_s: float = Field(default=_QUOTA.requests_per_s, gt=0, description="Sustained requests a second.")
    request_burst: int = Field(default=_QUOTA.request_burst, ge=1, description="Requests at once.")

    def to_quota_limits(self) -> QuotaLimits:
        """Return the limits as the operators' door knows them."""
        return QuotaLimits(**self.model_dump())


class IssuerSettings(BaseModel):
    """Who else issues entitlement tokens."""

    model_config = ConfigDict(extra="forbid")

    jwks: Path | None = Field(default=None, description="File with its public keys (JSON Web Key Set); unset: nobody.")
    name: str = Field(default="", max_length=1_024, description="The claim `iss` of its tokens.")
    audience: str = Field(default="", max_length=1_024, description="The claim `aud`: what it calls this deployment.")
    algorithms: list[Literal["RS256", "ES256", "EdDSA"]] = Field(
        default=["RS256", "ES256", "EdDSA"], min_length=1, description="What its tokens may be signed by."
    )
    account_claim: str = Field(default="sub", min_length=1, description="The claim that holds the account.")
    event_claim: str = Field(default="evt", min_length=1, description="The claim that holds the event id.")
    window_claim: str = Field(default="win", min_length=1, description="The claim that holds [start, end].")
    scopes_claim: str = Field(default="scp", min_length=1, description="The claim that holds the scopes.")
    plan_claim: str = Field(default="pln", min_length=1, description="The claim that holds the plan.")


class AuditSettings(BaseModel):
    """The record of decisions."""

    model_config = ConfigDict(extra="forbid")

    retention_days: int = Field(
        default=30, ge=1, le=3_650, description="Days after theirs that what is personal in records can be read."
    )


class PlaceSettings(BaseModel):
    """What says where addresses are."""

    model_config = ConfigDict(extra="forbid")

    city_database: Path | None = Field(
        default=None, description="City database (.mmdb) of MaxMind or DB-IP; unset: addresses have no place."
    )
    asn_database: Path | None = Field(default=None, description="Database of autonomous systems (.mmdb).")
    anonymous_database: Path | None = Field(
        default=None, description="Database of networks that hide their users (.mmdb): MaxMind's Anonymous-IP or -Plus."
    )
    lists: dict[NetworkClass, list[Path]] = Field(
        default_factory=dict, description="Lists of networks (CIDR) by the class whose members they name."
    )
    reload_s: float = Field(
        default=RELOAD_S, ge=0.05, le=3_600, description="Seconds between two looks at these files."
    )

    def to_files(self) -> PlaceFiles:
        """Return the files as the locator knows them."""
        paths = {
            DatabaseKind.CITY: self.city_database,
            DatabaseKind.ASN: self.asn_database,
            DatabaseKind.ANONYMOUS: self.anonymous_database,
        }
        return PlaceFiles({kind: path for kind, path in paths.items() if path is not None}, self.lists)


class BusSettings(BaseModel):
    """What the houses share when they run apart."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr | None = Field(
        default=None, description="Redis between `ingest`, `relay` and `hub`; `serve` needs none."
    )
    prefix: str = Field(
        default="lockstep",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="Begins every key; deployments that share a database need one each.",
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="LOCKSTEP_", env_nested_delimiter="__", extra="forbid", case_sensitive=False
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    data_dir: Path = Field(default=Path("var"), description="Folder of the journal and of keys.toml.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    max_subscribers: int = Field(
        default=20_000, ge=1, description="Sockets the hub takes before it answers overloaded."
    )
    heartbeat_ms: int = Field(
        default=2_000, ge=500, le=30_000, description="Interval of heartbeats unless a client asks, in ms."
    )
    max_stale_running_s: float = Field(
        default=60.0,
        ge=5,
        le=86_400,
        description="Seconds that what runs may go on while it is not known what has been revoked.",
    )
    bus: BusSettings = Field(default_factory=BusSettings, description="What the houses share when they run apart.")
    limits: LimitsSettings = Field(
        default_factory=LimitsSettings, description="What is taken from origins, and what is kept of it."
    )
    trusted_proxies: list[str] = Field(
        default_factory=list, description="Networks (CIDR) whose forwarding header is believed; never everybody."
    )
    proxy_hops: int = Field(default=1, ge=1, le=MAX_HOPS, description="Proxies that stand in a row at most.")
    proxy_header: ProxyHeader = Field(
        default="x-forwarded-for", description="The one header to which those proxies add the client's address."
    )
    per_address: AddressSettings = Field(default_factory=AddressSettings, description="What one client address may do.")
    per_operator: OperatorSettings = Field(default_factory=OperatorSettings, description="What one operator may ask.")
    issuer: IssuerSettings = Field(default_factory=IssuerSettings, description="Who else issues entitlement tokens.")
    leaks: LeakSettings = Field(default_factory=LeakSettings, description="Sessions that no viewer makes.")
    audit: AuditSettings = Field(default_factory=AuditSettings, description="The record of decisions.")
    sessions: SessionsSettings = Field(
        default_factory=SessionsSettings, description="How many may watch at a time where no session policy says so."
    )
    place: PlaceSettings = Field(default_factory=PlaceSettings, description="What says where addresses are.")
    showings_api: ShowingsApiSettings = Field(
        default_factory=ShowingsApiSettings, description="What showings may be that are made by API."
    )
    showings: dict[str, ShowingSettings] = Field(default_factory=dict, description="What is shown, by event id.")

    def to_proxies(self) -> TrustedProxies:
        """Return the proxies as the front door knows them.

        Raises:
            SettingsError: a network is none, or is everybody.
        """
        return TrustedProxies(self.trusted_proxies, hops=self.proxy_hops, header=self.proxy_header)

    def to_issuer(self) -> Issuer | None:
        """Return who else issues entitlement tokens, None for nobody.

        Raises:
            SettingsError: there are keys, but not whose they are or for whom, or the other way round.
        """
        set_ = self.issuer
        if set_.jwks is None:
            if set_.name or set_.audience:
                raise SettingsError("issuer: without jwks, the file with its public keys, no token can be verified")
            return None
        if not set_.name or not set_.audience:
            raise SettingsError("issuer: name (its claim iss) and audience (its claim aud) are needed beside jwks")
        names = ClaimNames(
            set_.account_claim, set_.event_claim, set_.window_claim, set_.scopes_claim, set_.plan_claim
        )  # fmt: skip
        return Issuer(set_.name, set_.audience, tuple(set_.algorithms), names)

    def to_showings(self) -> dict[str, Showing]:
        """Return the showings as the kernel knows them, origins resolved.

        Raises:
            SettingsError: a source serves two showings, names no known vendor, or an origin or a folder is not there.
        """
        showings: dict[str, Showing] = {}
        owners: dict[str, str] = {}
        for event_id, wanted in self.showings.items():
            for name in wanted.sources:
                if name in owners:
                    raise SettingsError(
                        f"source {name!r} stands in {owners[name]!r} and {event_id!r}: a source serves one showing"
                    )
                owners[name] = event_id
            origin = playlist_ref(wanted.origin)
            local_dir = _local_dir(event_id, origin, wanted.local_dir)
            showings[event_id] = wanted.to_showing(event_id, origin, local_dir=local_dir)
        return showings


def _local_dir(event_id: str, origin: str, folder: str | None) -> str | None:
    if folder is None:
        return None
    if origin.startswith("file:"):
        raise SettingsError(f"showing {event_id!r}: local_dir goes with an http(s) origin; this one is local already")
    if not Path(folder).is_dir():
        raise SettingsError(
            f"showing {event_id!r}: local_dir {folder!r} is no folder: make it, or leave the setting out"
        )
    return str(Path(folder).absolute())


def _resolve(content: dict[str, Any], folder: Path) -> None:
    """Take paths from the file's folder, not from where the command happens to be started."""
    if isinstance(content.get("data_dir"), str):
        content["data_dir"] = folder / content["data_dir"]
    issuer = content.get("issuer")
    if isinstance(issuer, dict) and isinstance(issuer.get("jwks"), str):
        issuer["jwks"] = folder / issuer["jwks"]
    place = content.get("place")
    if not isinstance(place, dict):
        return
    for name in ("city_database", "asn_database", "anonymous_database"):
        if isinstance(place.get(name), str):
            place[name] = folder / place[name]
    lists = place.get("lists")
    if isinstance(lists, dict):
        for member, paths in lists.items():
            if isinstance(paths, list):
                lists[member] = [folder / path if isinstance(path, str) else path for path in paths]


def load_settings(config: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings of `config` (a TOML file), the environment, and `overrides` from the command line.

    Raises:
        SettingsError: the file cannot be read, or a setting is unknown or out of range; the message names each.
    """
    content: dict[str, Any] = {}
    if config is not None:
        try:
            content = tomllib.loads(config.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"settings file {config}: {error.strerror or error}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"settings file {config} is no valid TOML: {error}") from error
        _resolve(content, config.parent)

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, content)

    try:
        return Layered(**(overrides or {}))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise SettingsError(f"settings are wrong: {problems}") from error
