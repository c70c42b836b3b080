from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from feeds.lag import MAX_HOLD_S
from kernel.errors import SettingsError
from kernel.io.origin import FetchLimits
from kernel.showings import Source
from lockstep.allowances import AddressLimits
from lockstep.settings import AddressSettings, LimitsSettings, Settings, load_settings
from relay.io.geo_databases import DatabaseKind
from relay.io.locator import PlaceFiles
from relay.issuer_verifier import ClaimNames, Issuer
from relay.place.model import NetworkClass
from relay.sessions.model import Order
from relay.sessions.policy_text import FOR_EVENT, FOR_PLAN, SessionPolicy
from tests.support.origins import write_list

CONFIG = """
port = 9191
data_dir = "data"
[showings.game]
origin = "{origin}"
hold_s = 2.5
[showings.game.sources.nba]
vendor = "nba"
audience = "trading"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_list(tmp_path, ["a.ts"])
    path = tmp_path / "lockstep.toml"
    path.write_text(CONFIG.format(origin=tmp_path), "utf-8")
    return path


def test_without_anything_there_are_defaults() -> None:
    settings = load_settings(None)
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8080, Path("var"))
    assert settings.to_showings() == {}


def test_a_file_sets_what_it_names(config: Path) -> None:
    settings = load_settings(config)
    assert settings.port == 9191
    # Relative to the file, wherever the command is started.
    assert settings.data_dir == config.parent / "data"
    showing = settings.to_showings()["game"]
    assert showing.hold_s == 2.5
    assert showing.sources == (Source("nba", "nba", "trading"),)
    assert showing.origin == (config.parent / "index.m3u8").as_uri()


def test_the_environment_outranks_the_file_and_the_command_line_both(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_PORT", "9292")
    monkeypatch.setenv("LOCKSTEP_SHOWINGS__game__HOLD_S", "4")
    settings = load_settings(config)
    assert settings.port == 9292
    assert settings.showings["game"].hold_s == 4
    assert settings.showings["game"].sources["nba"].vendor == "nba"
    assert load_settings(config, {"port": 9393}).port == 9393


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = 99999", "port: Input should be less than or equal to 65535"),
        ("prot = 1", "prot: Extra inputs"),
        ("[showings.game]\norigin = 'x'\nhold_s = -1", r"showings\.game\.hold_s"),
        ("[showings.game]\nhold_s = 1", r"showings\.game\.origin: Field required"),
        ("= 3", "no valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=complaint):
        load_settings(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load_settings(tmp_path / "none.toml")


def test_a_source_serves_one_showing_and_has_a_known_vendor(tmp_path: Path) -> None:
    origin = write_list(tmp_path, ["a.ts"])
    nba = {"nba": {"vendor": "nba"}}
    showings = {"one": {"origin": origin, "sources": nba}, "two": {"origin": origin, "sources": nba}}
    with pytest.raises(SettingsError, match="a source serves one showing"):
        load_settings(None, {"showings": showings}).to_showings()
    unknown = {"one": {"origin": origin, "sources": {"x": {"vendor": "acme"}}}}
    with pytest.raises(SettingsError, match="no vendor 'acme'; there are lockstep, nba"):
        load_settings(None, {"showings": unknown}).to_showings()


def test_an_event_id_and_an_origin_are_checked(tmp_path: Path) -> None:
    origin = write_list(tmp_path, ["a.ts"])
    with pytest.raises(SettingsError, match="event id"):
        load_settings(None, {"showings": {"a b": {"origin": origin}}}).to_showings()
    with pytest.raises(SettingsError):
        load_settings(None, {"showings": {"a": {"origin": str(tmp_path / "none")}}}).to_showings()


def test_limits_are_the_fetchers_own_unless_set(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(None).limits.to_fetch_limits() == FetchLimits()
    config.write_text(config.read_text("utf-8") + "[limits]\nmax_redirects = 1\n", "utf-8")
    monkeypatch.setenv("LOCKSTEP_LIMITS__CACHE_BYTES", "1000")
    limits = load_settings(config).limits.to_fetch_limits()
    assert (limits.max_redirects, limits.cache_bytes, limits.negative_s) == (1, 1000, 1.0)
    assert {field.name for field in fields(FetchLimits)} == set(LimitsSettings.model_fields)
    with pytest.raises(SettingsError, match=r"limits\.read_timeout_s"):
        load_settings(None, {"limits": {"read_timeout_s": 0}})


def test_a_local_folder_goes_with_an_origin_elsewhere(tmp_path: Path) -> None:
    def local_dir(origin: str, folder: str) -> str | None:
        showings = {"game": {"origin": origin, "local_dir": folder}}
        return load_settings(None, {"showings": showings}).to_showings()["game"].local_dir

    assert local_dir("http://127.0.0.1/index.m3u8", str(tmp_path)) == str(tmp_path)
    with pytest.raises(SettingsError, match="is no folder"):
        local_dir("http://127.0.0.1/index.m3u8", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="local already"):
        local_dir(write_list(tmp_path, ["a.ts"]), str(tmp_path))


def test_a_learned_hold_and_watched_sources(tmp_path: Path) -> None:
    write_list(tmp_path, ["a.ts"])
    config = tmp_path / "lockstep.toml"
    config.write_text(
        f"""
[showings.game]
origin = "{tmp_path}"
hold_s = "auto"
suspend_scope = "market"
price_invalidation = true
[showings.game.sources.desk]
vendor = "lockstep"
interval_s = 2
down_after_s = 5
binds = "own"
latency_s = 8
""",
        "utf-8",
    )
    showing = load_settings(config).to_showings()["game"]
    # The relay waits for a mark as long as the hold may become.
    assert (showing.auto_hold, showing.hold_s) == (True, MAX_HOLD_S)
    assert (showing.suspend_scope, showing.price_invalidation) == ("market", True)
    assert showing.sources == (Source("desk", "lockstep", "public", 2.0, 5.0, "own", 8.0),)


def test_the_limits_of_an_address_are_the_front_doors() -> None:
    assert AddressSettings().to_address_limits() == AddressLimits()
    assert AddressSettings.model_fields.keys() == {field.name for field in fields(AddressLimits)}


def test_proxies_are_named_by_network(config: Path) -> None:
    config.write_text('trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]\nproxy_hops = 2\nproxy_header = "forwarded"\n')
    proxies = load_settings(config).to_proxies()
    assert proxies.trusts("10.9.9.9")
    assert proxies.client("192.0.2.1", [(b"forwarded", b"for=198.51.100.1, for=10.1.1.1")]) == "198.51.100.1"
    assert not load_settings(None).to_proxies().trusts("127.0.0.1")


@pytest.mark.parametrize("everybody", ["*", "0.0.0.0/0", "::/0"])
def test_nobody_can_trust_everybody(config: Path, everybody: str) -> None:
    config.write_text(f'trusted_proxies = ["{everybody}"]\n')
    with pytest.raises(SettingsError, match="could then claim any address"):
        load_settings(config).to_proxies()


def test_the_bus_keeps_its_password_to_itself(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_BUS__URL", "redis://:hunter2@h.test/0")
    settings = load_settings(config)
    assert settings.bus.url is not None
    assert settings.bus.url.get_secret_value() == "redis://:hunter2@h.test/0"
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert load_settings(config, {"bus": {"prefix": "two"}}).bus.prefix == "two"
    with pytest.raises(SettingsError, match=r"bus\.prefix"):
        load_settings(config, {"bus": {"prefix": "a:b"}})


def test_another_issuer_is_named_whole_or_not_at_all(tmp_path: Path) -> None:
    assert Settings().to_issuer() is None
    path = tmp_path / "lockstep.toml"
    path.write_text(
        '[issuer]\njwks = "keys/jwks.json"\nname = "https://shop.example"\naudience = "lockstep"\n'
        'algorithms = ["ES256"]\nevent_claim = "event"\nplan_claim = "plan"\n',
        "utf-8",
    )
    settings = load_settings(path)
    # Relative to the file, as the data folder is.
    assert settings.issuer.jwks == tmp_path / "keys" / "jwks.json"
    assert settings.to_issuer() == Issuer(
        "https://shop.example", "lockstep", ("ES256",), ClaimNames("sub", "event", "win", "scp", "plan")
    )
    for half in ({"name": "a", "audience": "b"}, {"jwks": "k", "name": "a"}, {"jwks": "k", "audience": "b"}):
        with pytest.raises(SettingsError, match="issuer: "):
            Settings.model_validate({"issuer": half}).to_issuer()


@pytest.mark.parametrize("algorithms", ['["HS256"]', '["none"]', "[]", '["RS512"]', '"RS256"'])
def test_only_signatures_with_public_keys_are_for_another_issuer(tmp_path: Path, algorithms: str) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text(f"[issuer]\nalgorithms = {algorithms}\n", "utf-8")
    with pytest.raises(SettingsError, match=r"issuer\.algorithms"):
        load_settings(path)


PLACE = """
[place]
city_database = "geo/city.mmdb"
asn_database = "/srv/asn.mmdb"
reload_s = 1.5
[place.lists]
vpn = ["vpn.txt", "/srv/own.txt"]
private_relay = ["egress.csv"]
"""


def test_what_says_where_addresses_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text(PLACE, "utf-8")
    monkeypatch.setenv("LOCKSTEP_PLACE__ANONYMOUS_DATABASE", "here.mmdb")
    place = load_settings(path).place
    assert place.reload_s == 1.5
    files = place.to_files()
    # Relative to the file where the file says so, and as it is written elsewhere.
    assert files.databases == {
        DatabaseKind.CITY: tmp_path / "geo" / "city.mmdb",
        DatabaseKind.ASN: Path("/srv/asn.mmdb"),
        DatabaseKind.ANONYMOUS: Path("here.mmdb"),
    }
    assert files.lists == {
        NetworkClass.VPN: [tmp_path / "vpn.txt", Path("/srv/own.txt")],
        NetworkClass.PRIVATE_RELAY: [tmp_path / "egress.csv"],
    }


def test_without_any_nothing_is_read() -> None:
    assert load_settings(None).place.to_files() == PlaceFiles()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[place]\ncity = 'x'", r"place\.city: "),
        ("[place.lists]\nmoon = ['x']", r"place\.lists\.moon"),
        ("[place.lists]\nvpn = 'x'", r"place\.lists\.vpn: "),
        ("[place.lists]\nvpn = [7]", r"place\.lists\.vpn\.0: "),
        ("[place]\nlists = 7", r"place\.lists: "),
        ("place = 7", r"place: "),
        ("[place]\nreload_s = 0", r"place\.reload_s: "),
    ],
)
def test_what_is_wrong_with_places_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=why):
        load_settings(path)


def test_showings_by_api_are_allowed_nothing_unless_it_is_set(tmp_path: Path) -> None:
    by_api = load_settings(None).showings_api
    assert (by_api.origin_dir, by_api.origin_hosts, by_api.max_showings) == (None, [], 200)
    path = tmp_path / "lockstep.toml"
    path.write_text('[showings_api]\norigin_dir = "/srv"\norigin_hosts = ["o.test"]\nmax_showings = 3\n', "utf-8")
    by_api = load_settings(path).showings_api
    assert (by_api.origin_dir, by_api.origin_hosts, by_api.max_showings) == (Path("/srv"), ["o.test"], 3)


def test_a_showing_names_its_policy_of_place(tmp_path: Path) -> None:
    (tmp_path / "index.m3u8").touch()
    showing = load_settings(
        None, {"showings": {"game": {"origin": str(tmp_path), "place_policy": "west"}}}
    ).to_showings()
    assert showing["game"].place_policy == "west"
    with pytest.raises(SettingsError, match="place_policy"):
        load_settings(None, {"showings": {"game": {"origin": str(tmp_path), "place_policy": "a b"}}})


def test_how_many_may_watch_where_no_policy_says_so(tmp_path: Path) -> None:
    assert load_settings(None).sessions.to_policies() == (FOR_EVENT, FOR_PLAN)
    config = tmp_path / "lockstep.toml"
    config.write_text('[sessions]\nppv_max = 2\nplan_max = 5\norder = "reject"\ngrace_s = 2\n', "utf-8")
    event, plan = load_settings(config).sessions.to_policies()
    assert event == SessionPolicy(2, Order.REJECT, 2_000)
    assert plan == SessionPolicy(5, Order.REJECT, 2_000)
    config.write_text("[sessions]\nppv_max = 0\n", "utf-8")
    with pytest.raises(SettingsError, match="ppv_max"):
        load_settings(config)
