from __future__ import annotations

from kernel.playlist import MediaPlaylist
from kernel.timeline import SegmentKey
from relay.listing import Listing
from relay.playlist import listed
from tests.support.playlists import BASE, playlist


def grow(listing: Listing, copy: MediaPlaylist, upto: int) -> None:
    listing.take(copy)
    for segment in copy.segments:
        last = listing.last
        if (last is None or segment.msn > last.key.msn) and segment.msn <= upto:
            listing.append(
                listed(
                    segment, SegmentKey(0, segment.msn), BASE + segment.uri, lambda uri: BASE + uri,
                    discontinuities=0, discontinuity_sequence=0, broken=False, prefix="",
                )
            )  # fmt: skip


def test_it_is_empty_until_something_is_out() -> None:
    listing = Listing()
    assert listing.text(ended=False) is None
    listing.take(playlist(["a.ts"]))
    listing.trim()
    assert listing.text(ended=False) is None
    assert listing.last is None


def test_the_same_text_until_something_changes() -> None:
    listing = Listing()
    grow(listing, playlist(["a.ts", "b.ts"]), upto=0)
    first = listing.text(ended=False)
    assert first is listing.text(ended=False)
    grow(listing, playlist(["a.ts", "b.ts"]), upto=1)
    second = listing.text(ended=False)
    assert second is not None
    assert second.endswith("0-1.ts\n")
    assert (listing.text(ended=True) or "").endswith("#EXT-X-ENDLIST\n")


def test_the_target_duration_stays_unless_a_segment_is_longer() -> None:
    listing = Listing()
    grow(listing, playlist(["a.ts"], target_s=4), upto=0)
    grow(listing, playlist(["a.ts", "b.ts"], target_s=2), upto=1)
    assert "#EXT-X-TARGETDURATION:4\n" in (listing.text(ended=False) or "")
    grow(listing, playlist(["a.ts", "b.ts", "c.ts"], target_s=6), upto=2)
    assert "#EXT-X-TARGETDURATION:6\n" in (listing.text(ended=False) or "")


def test_lists_of_relays_that_saw_other_copies_begin_alike() -> None:
    names = [f"{n}.ts" for n in range(40)]
    early, late = Listing(), Listing()
    for upto in range(7, 40):
        # The origin's list breathes: it has six or seven segments.
        copy = playlist(names[upto - 5 - upto % 2 : upto + 1], first=upto - 5 - upto % 2)
        grow(early, copy, upto)
        if upto > 20:
            grow(late, copy, upto)
        if upto > 24:
            assert early.text(ended=False) == late.text(ended=False)
    assert early.length_s == 14.0


def test_a_companion_goes_by_the_length_of_the_lead() -> None:
    lead = Listing()
    other = Listing(lead)
    copy = playlist([f"{n}.ts" for n in range(8)])
    grow(other, copy, 0)
    assert other.length_s == 16.0
    grow(lead, copy, 0)
    # What lies beside the lead's, whichever segments begin and end in it.
    assert (lead.length_s, other.length_s) == (16.0, 14.0)
    short = Listing(lead)
    grow(short, playlist(["a.ts", "b.ts"]), 0)
    assert short.length_s == 6.0


def test_an_end_is_an_end() -> None:
    listing = Listing()
    grow(listing, playlist(["a.ts", "b.ts"]), upto=0)
    text = listing.text(ended=True)
    grow(listing, playlist(["a.ts", "b.ts"]), upto=1)
    assert listing.text(ended=False) == text
    assert listing.find((0, 1)) is None


def test_a_vod_that_is_not_all_out_at_once_is_an_event() -> None:
    whole = Listing()
    grow(whole, playlist(["a.ts"], kind="VOD", ended=True), upto=0)
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in (whole.text(ended=True) or "")
    part = Listing()
    grow(part, playlist(["a.ts", "b.ts"], kind="VOD", ended=True), upto=0)
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in (part.text(ended=False) or "")
    grow(part, playlist(["a.ts", "b.ts"], kind="VOD", ended=True), upto=1)
    # RFC 8216, 6.2.1: what it once was it stays.
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in (part.text(ended=True) or "")


def test_what_left_stays_available_for_a_while() -> None:
    listing = Listing()
    for head in range(3, 40):
        grow(listing, playlist([f"{msn}.ts" for msn in range(head - 3, head)], first=head - 3), upto=head - 1)
        listing.trim()
    assert listing.find((0, 38)) is not None
    assert listing.find((0, 32)) is not None
    assert listing.find((0, 20)) is None
    assert listing.asset("key-0000000000000000.bin") is None


def test_while_it_is_held_it_says_what_it_said() -> None:
    listing, copy = Listing(), playlist(["a.ts", "b.ts", "c.ts"], ended=True, kind="VOD")
    listing.hold(ended=False)
    grow(listing, copy, upto=1)
    assert listing.text(ended=False) is None
    assert not listing.is_out
    grow(listing, copy, upto=2)
    listing.release()
    assert listing.is_out
    whole = listing.text(ended=True)
    # Nobody has seen a part of it, so it is still a VOD.
    assert whole is not None
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in whole
    live, other = Listing(), Listing()
    for one in (live, other):
        grow(one, playlist(["a.ts", "b.ts", "c.ts"]), upto=0)
    live.hold(ended=False)
    grow(live, playlist(["a.ts", "b.ts", "c.ts"]), upto=2)
    assert live.is_out
    assert live.text(ended=True) == other.text(ended=False)
    live.release()
    grow(other, playlist(["a.ts", "b.ts", "c.ts"]), upto=2)
    assert live.text(ended=False) == other.text(ended=False)
