"""Yardsticks that are installed on demand: Debian's packages where we are root, npm's into a folder of the bench.

Nobody's machine is changed behind his back: who is not root is told what to install.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path


class Absent(Exception):
    """What a yardstick needs cannot be had on this machine; the text says what, and how to get it."""


def debian(*packages: str, needs: Path) -> Path:
    """Return the file that is needed, after installing the packages that bring it if it is not there.

    Raises:
        Absent: it is not there, and cannot be installed.
    """
    if needs.exists():
        return needs
    by_hand = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0:
        raise Absent(f"{needs} is not there: {by_hand}")
    if shutil.which("apt-get") is None:
        raise Absent(f"{needs} is not there, and neither is apt-get")
    # In runlevel 1 Debian's packages start no service when they are installed (invoke-rc.d).
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "PATH": os.environ["PATH"]}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            break
    if not needs.exists():
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Absent(f"{by_hand} did not bring {needs}: {' '.join(last)}")
    return needs


@functools.cache
def node_modules(folder: Path) -> Path:
    """Install what a folder's package.json names, without a lock file, and return the folder of the packages.

    Raises:
        Absent: there is no node or npm, or npm cannot install.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Absent(f"there is no {program}: apt-get install nodejs npm")
    install = ["npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Absent(f"npm install in {folder.name} failed: {' '.join(done.stderr.split()[:20])}")
    return folder / "node_modules"
