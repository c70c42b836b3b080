"""Small origins in a folder: segments of plain bytes, for tests that need no media."""

from __future__ import annotations

from pathlib import Path


def write_list(folder: Path, names: list[str], *, first: int = 0, ended: bool = False, size: int = 1000) -> str:
    """Write a playlist of 2 s segments and those segments, whose bytes are their names; return the playlist's path."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for name in names:
        lines += ["#EXTINF:2.0,", name]
        (folder / name).write_bytes((name.encode() * size)[:size])
    if ended:
        lines.append("#EXT-X-ENDLIST")
    path = folder / "index.m3u8"
    draft = folder / "index.new"
    draft.write_text("\n".join(lines) + "\n", "utf-8")
    draft.replace(path)
    return str(path)
