from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from kernel.errors import SettingsError
from relay.io import packed_child
from relay.io import place_lists as module
from relay.io.place_lists import PlaceLists
from relay.place.addresses import Address, read_address
from relay.place.model import NetworkClass


def address(text: str) -> Address:
    found = read_address(text)
    assert found is not None
    return found


def holds(lists: PlaceLists, member: NetworkClass, text: str) -> bool:
    return any(networks.holds(address(text)) for of, networks in lists.networks() if of is member)


@pytest.fixture
def vpn(tmp_path: Path) -> Path:
    path = tmp_path / "vpn.txt"
    path.write_text("45.16.1.0/24\n", "utf-8")
    return path


async def opened(*paths: Path) -> PlaceLists:
    lists = PlaceLists({NetworkClass.VPN: paths})
    assert lists.networks() == []
    await asyncio.to_thread(lists.open)
    return lists


async def test_a_class_may_have_several_lists(vpn: Path, tmp_path: Path) -> None:
    own, none = tmp_path / "own.txt", tmp_path / "none.txt"
    await asyncio.to_thread(own.write_text, "45.16.3.3\n", "utf-8")
    await asyncio.to_thread(none.write_text, "# nobody yet\n", "utf-8")
    lists = await opened(vpn, own, none)
    assert len(lists.networks()) == 2
    assert holds(lists, NetworkClass.VPN, "45.16.1.9")
    assert holds(lists, NetworkClass.VPN, "45.16.3.3")
    assert not holds(lists, NetworkClass.VPN, "45.16.2.9")
    assert not holds(lists, NetworkClass.TOR, "45.16.1.9")


async def test_one_of_several_may_change(vpn: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    await asyncio.to_thread(own.write_text, "45.16.3.3\n", "utf-8")
    lists = await opened(vpn, own)
    await asyncio.to_thread(own.write_text, "45.16.3.33\n", "utf-8")
    await lists.look()
    assert await lists.look()
    assert holds(lists, NetworkClass.VPN, "45.16.1.9")
    assert holds(lists, NetworkClass.VPN, "45.16.3.33")
    assert not holds(lists, NetworkClass.VPN, "45.16.3.3")


async def test_a_changed_list_is_read_by_a_child(vpn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = await opened(vpn)
    assert not await lists.look()
    # More than one slice of each half.
    text = "".join(f"9.{n >> 8}.{n & 255}.0/25\n2600:{n:x}::/64\n" for n in range(65_536))
    await asyncio.to_thread(vpn.write_text, text, "utf-8")
    assert not await lists.look()
    assert await lists.look()
    assert holds(lists, NetworkClass.VPN, "9.255.255.1")
    assert holds(lists, NetworkClass.VPN, "2600:ffff::1")
    assert not holds(lists, NetworkClass.VPN, "45.16.1.9")
    assert "131072 network(s)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"45.16.1.0/24\n503 Service Unavailable\n", "line 2: '503' is no network"),
        (b"\xff\xfe", "line 1: no UTF-8"),
        (b"0.0.0.0/0\n", "everybody"),
        (b"x" * 1_000_000, "characters"),
    ],
)
async def test_a_list_that_is_none_leaves_the_old_one_in_use(
    vpn: Path, body: bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = await opened(vpn)
    await asyncio.to_thread(vpn.write_bytes, body)
    for _ in range(3):
        assert not await lists.look()
    assert holds(lists, NetworkClass.VPN, "45.16.1.9")
    said = capsys.readouterr().out
    assert said.count("place.refused") == 1
    assert why in said


async def test_a_list_that_has_gone_leaves_the_old_one_in_use(vpn: Path) -> None:
    lists = await opened(vpn)
    await asyncio.to_thread(vpn.unlink)
    assert not await lists.look()
    assert holds(lists, NetworkClass.VPN, "45.16.1.9")


@pytest.mark.parametrize(
    "program",
    [
        "pass", "print('no json')", "print('{}')", "print('[]')", "print('{\"digest\": \"x\", \"pieces\": [8, 8]}')",
        "import os; os.kill(os.getpid(), 9)", "print('{\"failed\": \"Permission denied\"}')",
        "print('{\"digest\": \"x\", \"pieces\": [0, 0, 0]}')", "print('x' * 1_000_000)",
    ],
)  # fmt: skip
async def test_a_child_that_dies_changes_nothing(vpn: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = await opened(vpn)
    monkeypatch.setattr(module, "_CHILD", (sys.executable, "-c", program))
    await asyncio.to_thread(vpn.write_text, "9.9.9.9\n", "utf-8")
    for _ in range(2):
        assert not await lists.look()
    assert holds(lists, NetworkClass.VPN, "45.16.1.9")


async def test_a_child_that_hangs_is_ended(vpn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = await opened(vpn)
    monkeypatch.setattr(module, "_CHILD", (sys.executable, "-c", "import time; time.sleep(3600)"))
    monkeypatch.setattr(packed_child, "TIMEOUT_S", 0.01)
    await asyncio.to_thread(vpn.write_text, "9.9.9.9\n", "utf-8")
    for _ in range(2):
        assert not await lists.look()
    assert lists.files[0][1].refused == 1
    # When it can be read again, it is: the fault was not the list's.
    monkeypatch.undo()
    assert await lists.look()
    assert holds(lists, NetworkClass.VPN, "9.9.9.9")


def test_at_the_start_a_list_that_is_none_is_an_error(vpn: Path) -> None:
    vpn.write_text("45.16.1.0/24\n45.16.1\n", "utf-8")
    with pytest.raises(SettingsError, match=r"place: vpn .*vpn\.txt, line 2: '45\.16\.1' is no network"):
        PlaceLists({NetworkClass.VPN: [vpn]}).open()
    with pytest.raises(SettingsError, match=r"place: tor .*No such file"):
        PlaceLists({NetworkClass.TOR: [vpn.with_name("none.txt")]}).open()
