"""The demo's encoder, a process of its own: it draws a game, encodes it as it happens and writes live HLS to a folder.

    python -m lockstep.demo.encoder_child FOLDER KICKOFF_MS SEED RUN

It begins half a minute back, so that a player finds a whole window, and catches up before it shows anything. Killed and
started again it goes on with the list in the folder, behind a discontinuity, under timestamps of another beginning, as
a real one does. PyAV is used here, and only here in this package.
"""

from __future__ import annotations

import math
import os
import sys
import time
from array import array
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from kernel.io.system_time import wall
from lockstep.demo.drawing import Canvas
from lockstep.demo.game import RATE, Game
from lockstep.demo.live_list import PLAYLIST, SEGMENT_S, LiveList
from lockstep.demo.picture import PICTURE_HEIGHT, PICTURE_WIDTH, Painter
from lockstep.demo.sound import SAMPLE_RATE, SAMPLES_A_FRAME, Sounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import OutputContainer

HISTORY_S = 26
"""How far back the first run begins: what a viewer 17 s behind needs, and three target durations."""

MAX_BEHIND_S = HISTORY_S + 20
"""A machine that slept, or is far too busy: it is better to begin anew than to encode what nobody will see."""

FELL_BEHIND = 3
"""The exit code that says so."""

KEPT_S = 30
"""How long the file of a segment stays that is no longer listed: RFC 8216, 6.2.2, its duration and that of the list."""

_MS = 1000
_TICKS_PER_S = 90_000
_GOP = SEGMENT_S * RATE


def base_ticks(run: int) -> int:
    """Return the PTS of the first picture of a run, in ticks; each run has another one, half an hour apart."""
    return (10 + 1_800 * (run % 40)) * _TICKS_PER_S + 1_234 * run


class Encoder:
    """Encode one run.

    Args:
        folder: where segments and playlist go.
        kickoff_ms: when frame 0 happened, Unix milliseconds.
        game: what is played.
        run: how many runs there were before.
    """

    def __init__(self, folder: Path, kickoff_ms: int, game: Game, run: int) -> None:
        self._folder = folder
        self._kickoff_ms = kickoff_ms
        self._painter = Painter(game)
        self._sounds = Sounds(game)
        self._base = base_ticks(run)
        path = folder / PLAYLIST
        self._list = LiveList.read(path.read_text("utf-8") if path.exists() else "")
        self._gone: deque[tuple[int, str]] = deque()
        self._parent = os.getppid()

    def run(self) -> int:
        """Encode until this process or its parent is ended; return `FELL_BEHIND` if there is no catching up."""
        msn = self._list.next_msn
        goes_on = msn > 0
        first = max(0, self._now_frame() - (0 if goes_on else HISTORY_S * RATE))
        options = {
            "segment_time": str(SEGMENT_S),
            "segment_format": "mpegts",
            # Timestamps as given: without it the muxer adds twice its delay.
            "segment_format_options": "mpegts_copyts=1",
            "segment_start_number": str(msn),
        }
        with av.open(str(self._folder / "s%06d.ts"), "w", format="segment", options=options) as container:
            streams = _Streams(container, self._base)
            begun, frame, caught_up = first, first, goes_on
            while (behind := self._now_frame() - frame) < MAX_BEHIND_S * RATE:
                if os.getppid() != self._parent:
                    return 0  # whoever started it is gone
                if behind < 0:
                    time.sleep(max(0.0, self._at_ms(frame) / _MS - wall()))
                for packet in streams.encode(frame - first, self._painter.draw(frame), self._sounds.of(frame)):
                    container.mux(packet)
                frame += 1
                # The next file is there: so the one before it is whole.
                if (self._folder / _name(msn + 1)).exists():
                    caught_up = caught_up or behind < _GOP
                    self._add(msn, begun, discontinuity=goes_on and begun == first, show=caught_up)
                    msn, begun = msn + 1, begun + _GOP
        return FELL_BEHIND

    def _add(self, msn: int, frame: int, *, discontinuity: bool, show: bool) -> None:
        for name in self._list.add(_name(msn), self._at_ms(frame), discontinuity=discontinuity):
            self._gone.append((frame, name))
        while self._gone and self._gone[0][0] < frame - KEPT_S * RATE:
            (self._folder / self._gone.popleft()[1]).unlink(missing_ok=True)
        if show:
            # A new file under the old name: nobody ever reads half of it.
            fresh = self._folder / "index.new"
            fresh.write_text(self._list.text(), "utf-8")
            fresh.replace(self._folder / PLAYLIST)

    def _at_ms(self, frame: int) -> int:
        return self._kickoff_ms + frame * _MS // RATE

    def _now_frame(self) -> int:
        """Return the newest frame that has happened."""
        return math.floor((wall() * _MS - self._kickoff_ms) * RATE / _MS)


class _Streams:
    """The two encoders, and their packets in ticks."""

    def __init__(self, container: OutputContainer, base: int) -> None:
        self._base = base
        video = self._video = container.add_stream("libx264", rate=RATE)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = PICTURE_WIDTH, PICTURE_HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, RATE)
        # Key frames where segments begin and nowhere else; no picture waits for a later one.
        parameters = f"keyint={_GOP}:min-keyint={_GOP}:scenecut=0:open-gop=0:bframes=0"
        video.options = {
            "preset": "veryfast", "tune": "zerolatency", "crf": "23", "threads": "1", "x264-params": parameters
        }  # fmt: skip
        audio = self._audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 64_000

    def encode(self, index: int, picture: Canvas, samples: array[float]) -> Iterator[av.Packet[Any]]:
        """Encode the picture and the sound of one frame, counted from the run's first."""
        frame = av.VideoFrame(PICTURE_WIDTH, PICTURE_HEIGHT, "yuv420p")
        for plane, pixels, width in zip(
            frame.planes, (picture.y, picture.u, picture.v), (PICTURE_WIDTH, PICTURE_WIDTH // 2, PICTURE_WIDTH // 2),
            strict=True,
        ):  # fmt: skip
            plane.update(_padded(pixels, width, plane.line_size))
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        sound = av.AudioFrame(format="fltp", layout="mono", samples=SAMPLES_A_FRAME)
        sound.planes[0].update(samples.tobytes())
        sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, index * SAMPLES_A_FRAME, Fraction(1, SAMPLE_RATE)
        for packet in (*self._video.encode(frame), *self._audio.encode(sound)):
            assert packet.pts is not None
            assert packet.dts is not None
            pts, dts = (int(time * packet.time_base * _TICKS_PER_S) for time in (packet.pts, packet.dts))
            packet.time_base = Fraction(1, _TICKS_PER_S)
            packet.pts, packet.dts, packet.duration = pts + self._base, dts + self._base, 0
            yield packet


def _padded(pixels: bytearray, width: int, stride: int) -> bytes:
    if width == stride:
        return bytes(pixels)
    padding = bytes(stride - width)
    return b"".join(bytes(pixels[at : at + width]) + padding for at in range(0, len(pixels), width))


def _name(msn: int) -> str:
    return f"s{msn:06}.ts"


def main(arguments: list[str]) -> int:
    """Encode what the command line says."""
    folder, kickoff_ms, seed, run = arguments
    # On a busy machine the server's timing comes first, but a picture that stutters is worth nothing either.
    os.nice(1)
    return Encoder(Path(folder), int(kickoff_ms), Game(int(seed)), int(run)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
