from __future__ import annotations

import io
import os
import sys
from array import array
from pathlib import Path

import pytest

from kernel.errors import DecodeError
from relay.io.packed_child import child_of, packed, write_packed


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


WRITES = (
    "import sys; from array import array; from relay.io.packed_child import write_packed;"
    "pieces = [array('I', range(200_000)).tobytes(), array('Q', [1 << 40]).tobytes()];"
    "write_packed(sys.stdout.buffer, {'digest': 'x'}, pieces)"
)


async def test_arrays_of_any_size_come_over() -> None:
    head, parts = await packed(program(WRITES), "IQ")
    assert head["digest"] == "x"
    assert parts == [array("I", range(200_000)), array("Q", [1 << 40])]


def test_an_answer_is_a_line_and_its_pieces() -> None:
    out = io.BytesIO()
    write_packed(out, {"a": 1}, [b"xy", b""])
    assert out.getvalue() == b'{"a": 1, "pieces": [2, 0]}\nxy'


@pytest.mark.parametrize(
    "text",
    [
        "pass", "print('no json')", "print('{}')", "print('[]')", "print('{\"pieces\": [8, 8]}')",
        "import os; os.kill(os.getpid(), 9)", "print('{\"failed\": \"Permission denied\"}')",
        "print('{\"pieces\": [0, 0, 0]}')", "print('x' * 1_000_000)", "print('{\"pieces\": [3, 0]}'); print('abc')",
    ],
)  # fmt: skip
async def test_a_child_that_dies_or_talks_nonsense_is_a_fault(text: str) -> None:
    with pytest.raises(OSError, match=r"has died|Permission denied"):
        await packed(program(text), "II")


async def test_what_it_finds_wrong_is_said() -> None:
    with pytest.raises(DecodeError, match="line 7"):
        await packed(program('print(\'{"wrong": "line 7"}\')'), "I")


async def test_a_child_that_hangs_is_ended() -> None:
    with pytest.raises(OSError, match="took more than"):
        await packed(program("import time; time.sleep(3600)"), "I", timeout_s=0.01)


async def test_it_inherits_what_it_is_given(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, b"\1\0\0\0")
        text = f"import os, sys; sys.stdout.buffer.write(b'{{\"pieces\": [4]}}\\n' + os.read({read_end}, 4))"
        _, parts = await packed(program(text), "I", pass_fds=(read_end,))
        assert parts == [array("I", [1])]
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_a_module_is_run_apart_from_its_surroundings() -> None:
    command = child_of("relay.io.place_list_child")
    assert command[0] == sys.executable
    assert "-I" in command
    with pytest.raises(OSError, match="No such file"):
        await packed((*command, "/nowhere/at/all"), "II")
