from __future__ import annotations

import pytest

from kernel.multivariant import parse_multivariant
from kernel.playlist import parse_media_playlist
from relay.fitting import Make, make_of, misfit
from tests.relay.test_variants import TOP, resolve

LEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts?x=1\n"
ONE = Make({"main": ""}, 2, ".ts")


def test_what_a_showing_is_made_of() -> None:
    assert make_of(None, resolve, parse_media_playlist(LEAD)) == ONE
    made = make_of(parse_multivariant(TOP), resolve, parse_media_playlist(LEAD))
    assert made.renditions["v0"].startswith("CODECS ")
    assert "TYPE AUDIO" in made.renditions.values()
    assert len(made.renditions) == len(set(made.renditions)) > 4
    assert misfit(made, made) is None


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (ONE, None),
        # Shorter segments, and more renditions, disturb nobody.
        (Make({"main": "", "a0": "TYPE AUDIO"}, 1, ".ts"), None),
        (Make({"main": ""}, 2, ""), None),
        (Make({"v0": ""}, 2, ".ts"), "it has no rendition main; there are v0"),
        (Make({"main": "CODECS hvc1"}, 2, ".ts"), "its rendition main is CODECS hvc1, not without codecs"),
        (Make({"main": ""}, 3, ".ts"), "its segments last up to 3 s, not 2 s"),
        (Make({"main": ""}, 2, ".m4s"), "its segments are .m4s, not .ts"),
    ],
)
def test_what_does_not_fit_is_said(other: Make, why: str | None) -> None:
    assert misfit(ONE, other) == why
