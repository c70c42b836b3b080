"""Put the corpus before the detector, and count what it finds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from relay.leaks.detector import Detector
from relay.leaks.model import Finding, Level
from relay.leaks.pages import foreign_page
from tests.support.leeches import Evening, evenings
from tests.support.viewers import Fetch, Stage

IN_TIME_S = 20.0


@dataclass
class Trial:
    """What was found: of how many of each kind ("" for viewers), how many in time, how many at all, and when."""

    total: Counter[str] = field(default_factory=Counter)
    in_time: Counter[str] = field(default_factory=Counter)
    ever: Counter[str] = field(default_factory=Counter)
    after_s: dict[str, list[float]] = field(default_factory=dict)
    blamed: Counter[str] = field(default_factory=Counter)
    n_fetches: int = 0

    @property
    def found(self) -> float:
        """Return which share of all leeches was found in time."""
        return sum(self.in_time.values()) / max(1, self.total.total() - self.total[""])

    @property
    def false_alarms(self) -> float:
        """Return which share of viewers was warned of, ever."""
        return self.ever[""] / max(1, self.total[""])

    def add(self, evening: Evening) -> None:
        """Put one showing's evening before a detector."""
        first = first_findings(evening)
        self.n_fetches += len(evening.fetches)
        for number, session in enumerate(evening.sessions):
            what = session.what
            self.total[what] += 1
            if number not in first:
                continue
            at, finding = first[number]
            self.ever[what] += 1
            if what:
                self.after_s.setdefault(what, []).append(at - session.began)
                self.in_time[what] += at - session.began <= IN_TIME_S
            else:
                self.blamed[finding.parts[0].signal] += 1


def trial(seed: int, n_sessions: int) -> Trial:
    """Judge a corpus, each showing by a detector of its own: what was seen at one says nothing of another."""
    done = Trial()
    for evening in evenings(seed, n_sessions):
        done.add(evening)
    return done


def first_findings(evening: Evening) -> dict[int, tuple[float, Finding]]:
    """Return of each session that was told of when that was first, and what was said."""
    detector, found = Detector(page_of=lambda page: page), dict[int, tuple[float, Finding]]()
    stage = evening.stage
    for number, fetch in evening.fetches:
        while (due := detector.next_deadline()) is not None and due <= fetch.at:
            detector.handle_timer(now=due)
        if fetch.share < 0.5:
            continue
        finding = note(detector, evening.sessions[number].name, stage, fetch)
        if finding is not None and finding.level >= Level.WARN:
            found.setdefault(number, (fetch.at, finding))
    return found


def note(detector: Detector, session: str, stage: Stage, fetch: Fetch) -> Finding | None:
    """Tell a detector of a fetch, as the relay does."""
    allowed = (f"https://{stage.page}",) if stage.page is not None else ()
    referer = f"https://{fetch.referer}/" if fetch.referer is not None else ""
    return detector.note(
        session, fetch.at, stage.event_id, fetch.rendition, fetch.msn, fetch.seconds, fetch.n_bytes, fetch.network,
        foreign_page(referer, allowed), picture=fetch.rendition != "a0",
    )  # fmt: skip
