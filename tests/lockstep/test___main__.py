from __future__ import annotations

import subprocess
import sys


def test_python_m_is_the_command() -> None:
    answer = subprocess.run([sys.executable, "-m", "lockstep", "--help"], capture_output=True, text=True, check=True)
    assert "serve" in answer.stdout
