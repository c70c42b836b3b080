from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import DecodeError, SettingsError
from lockstep.showings.origins import AllowedOrigins, urls_of

LIST = "#EXTM3U\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in/one", "in/two", "out"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("in/one/index.m3u8", "in/two/a.m3u8", "in/two/b.m3u8", "out/index.m3u8"):
        (tmp_path / name).write_text(LIST)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    return tmp_path


async def ref(origin: str, *, folder: Path | None = None, trusted: tuple[str, ...] = ()) -> str:
    return await AllowedOrigins(trusted, folder).ref_of(origin)


async def test_files_lie_below_the_folder(folder: Path) -> None:
    inside = folder / "in"
    playlist = (inside / "one" / "index.m3u8").as_uri()
    for origin in ("one", "one/index.m3u8", str(inside / "one"), playlist, "two/../one"):
        assert await ref(origin, folder=inside) == playlist
    # One that a packager has yet to write.
    assert await ref("one/later.m3u8", folder=inside) == (inside / "one" / "later.m3u8").as_uri()


@pytest.mark.parametrize(
    "origin", ["../out", "/etc/passwd", "/", "link", "link/index.m3u8", "file:///etc/passwd", "one/../../out",
               "nowhere", "two", "one/none.ts", "a\0b", "file://%00", "~", "x" * 5_000],
)  # fmt: skip
async def test_what_lies_elsewhere_is_refused_and_nothing_is_said_of_it(folder: Path, origin: str) -> None:
    with pytest.raises(DecodeError) as raised:
        await ref(origin, folder=folder / "in")
    assert str(raised.value).startswith("origin: ")
    assert str(folder) not in str(raised.value)


async def test_without_a_folder_there_are_no_files(folder: Path) -> None:
    with pytest.raises(DecodeError, match="origin_dir"):
        await ref(str(folder / "in" / "one"))


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:8080/i.m3u8", "http://[::1]/i.m3u8", "http://10.1.2.3/i.m3u8", "http://192.168.0.1/i.m3u8",
     "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/i.m3u8", "http://[::ffff:127.0.0.1]/i.m3u8",
     "http://2130706433/i.m3u8", "http://localhost/i.m3u8", "http://100.64.0.1/i.m3u8", "http://224.0.0.1/i.m3u8",
     "http://[64:ff9b::7f00:1]/i.m3u8"],
)  # fmt: skip
async def test_private_addresses_are_refused(origin: str) -> None:
    with pytest.raises(DecodeError, match=r"not a public one|address is not known"):
        await ref(origin)


@pytest.mark.parametrize(
    "origin", ["ftp://93.184.216.34/i.m3u8", "http://", "http://:80/x", "http://u:p@93.184.216.34/i.m3u8",
               "http://93.184.216.34:99999/x", "http://93.184.216.34/\u00e4", "http://93.184.216.34/a b", "data://x"],
)  # fmt: skip
async def test_what_is_no_url_is_refused(origin: str) -> None:
    with pytest.raises(DecodeError, match="origin"):
        await ref(origin)


async def test_public_addresses_and_hosts_of_the_settings_are_taken() -> None:
    assert await ref("https://93.184.216.34/i.m3u8?token=x") == "https://93.184.216.34/i.m3u8?token=x"
    trusted = tuple(urls_of(["127.0.0.1:8080", "Origin.internal", "[::1]"]))
    for origin in ("http://127.0.0.1:8080/i.m3u8", "https://origin.INTERNAL/i.m3u8", "http://[::1]/i.m3u8"):
        assert await ref(origin, trusted=trusted) == origin
    with pytest.raises(DecodeError, match="not a public one"):
        await ref("http://127.0.0.1:8081/i.m3u8", trusted=trusted)


@pytest.mark.parametrize("host", ["http://a.test", "a.test/x", "a b", "", "a.test:0", "a.test:70000", "u@a.test"])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(SettingsError, match="origin_hosts"):
        urls_of([host])
