from __future__ import annotations

import json

from feeds.status import stream_status
from feeds.stream import StreamFeed
from feeds.vendors.contract import Alive
from feeds.watch import FeedWatch
from kernel.showings import Showing, Source


def test_it_is_plain_json_and_names_every_source() -> None:
    showing = Showing("game", "folder", (Source("desk", "lockstep"), Source("odds", "lockstep")), auto_hold=True)
    feed = StreamFeed(showing)
    watch = FeedWatch(showing, feed.sequencer.skews, now=10.0)
    watch.heard("desk", Alive(2.0, 1_800_000_000.0), now=11.0)
    feed.sequencer.lags["desk"] = feed.sequencer.lag
    feed.sequencer.lag.add(1.25)
    feed.sequencer.lag.needed(0.0, late=False)
    told = stream_status(feed, watch, journal_faults=3, now=15.0)
    assert json.loads(json.dumps(told)) == told
    assert (told["event_id"], told["hold"], told["hold_s"], told["journal_faults"]) == ("game", "auto", 0.0, 3)
    desk, odds = told["sources"]
    assert (desk["state"], desk["since_s"], desk["lag_p50_s"], desk["lag_p99_s"]) == ("recovering", 4.0, 1.25, 1.25)
    assert (desk["skew_s"], desk["late_share"], desk["complete_to_ms"]) == (0.0, 0.0, 1_800_000_000_000)
    assert (odds["state"], odds["facts"], odds["lag_p99_s"], odds["late_share"]) == ("unmonitored", 0, None, None)
