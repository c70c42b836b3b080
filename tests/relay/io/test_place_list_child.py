from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from array import array
from pathlib import Path

import pytest

from kernel.errors import DecodeError
from relay.io import place_list_child
from relay.io.place_list_child import main, read_list
from relay.place.networks import PACKED, Networks


def run(path: Path) -> tuple[dict[str, object], bytes]:
    command = [sys.executable, "-I", "-B", "-m", "relay.io.place_list_child", str(path)]
    head, _, rest = subprocess.run(command, capture_output=True, check=True).stdout.partition(b"\n")
    return json.loads(head), rest


def test_a_list_goes_over_as_its_digest_and_its_networks(tmp_path: Path) -> None:
    path = tmp_path / "vpn.txt"
    path.write_text("45.16.1.0/24\n2600::/32\n45.16.9.9\n", "utf-8")
    head, rest = run(path)
    digest, networks = read_list(path)
    assert head["digest"] == digest == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    sizes, parts = head["pieces"], []
    assert isinstance(sizes, list)
    for code, size in zip(PACKED, sizes, strict=True):
        parts.append(array(code, rest[:size]))
        rest = rest[size:]
    assert rest == b""
    assert list(Networks.unpack(parts).intervals()) == list(networks.intervals())


def test_what_is_wrong_goes_over_as_well(tmp_path: Path) -> None:
    path = tmp_path / "vpn.txt"
    path.write_text("45.16.1.0/24\n<html>\n", "utf-8")
    assert run(path) == ({"wrong": f"{path}, line 2: '<html>' is no network: write one such as 198.51.100.0/24, or an"
                                   " address"}, b"")  # fmt: skip
    assert run(tmp_path / "none.txt") == ({"failed": "No such file or directory"}, b"")


def test_a_list_has_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_list_child, "MAX_LIST_BYTES", 5)
    path = tmp_path / "vpn.txt"
    path.write_text("1.1.1.1\n", "utf-8")
    with pytest.raises(DecodeError, match="more than 5 bytes"):
        read_list(path)


def test_it_runs_in_this_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "vpn.txt"
    path.write_text("1.1.1.1\n", "utf-8")
    monkeypatch.setattr(sys, "argv", ["child", str(path)])
    nicer: list[int] = []
    monkeypatch.setattr(os, "nice", nicer.append)
    main()
    assert capfdbinary.readouterr().out.startswith(b'{"digest": ')
    assert nicer == [10]
