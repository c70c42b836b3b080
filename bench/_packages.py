"""Yardsticks that are installed on demand: Debian's packages where we are root, npm's into a folder of the bench.

Nobody's machine is changed behind his back: who is not root is told what to install.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

PEERS = Path(__file__).with_name("peers")
"""Has the package.json of all that comes from npm."""


class Absent(Exception):
    """What a yardstick needs cannot be had on this machine; the text says what, and how to get it."""


def program(name: str, *packages: str) -> str:
    """Return where a program is, after installing the Debian packages that bring it if it is not there.

    Raises:
        Absent: it is not there, and cannot be installed.
    """

    def find() -> str | None:
        # Servers are in folders that only root has on its path.
        return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")

    return _found(name, find, packages)


def file(path: Path, *packages: str) -> str:
    """Return a file's path, after installing the Debian packages that bring it if it is not there.

    Raises:
        Absent: it is not there, and cannot be installed.
    """
    return _found(str(path), lambda: str(path) if path.exists() else None, packages)


def _found(what: str, find: Callable[[], str | None], packages: tuple[str, ...]) -> str:
    found = find()
    if found is not None:
        return found
    by_hand = f"apt-get install {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise Absent(f"{what} is not there, and neither is apt-get")
    if os.geteuid() != 0:
        raise Absent(f"{what} is not there: {by_hand}")
    # In runlevel 1 Debian's packages start no service when they are installed (invoke-rc.d).
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    said = ""
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        said = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
    found = find()
    if found is None:
        raise Absent(f"{by_hand} did not bring {what}: {said}")
    return found


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
