"""Measures of what says where addresses are: how old it is, and whether changed files were taken up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.measures.measure import Reading, counter, gauge, measures_in, one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.io.locator import Locator

BUILT = gauge("lockstep_place_database_built_seconds", "When a database was made, in Unix seconds.", "file")
AGE = gauge("lockstep_place_database_age_seconds", "How long ago that is.", "file")
NETWORKS = gauge(
    "lockstep_place_networks", "Networks in the lists of a class, neighbouring ones counted as one.", "class"
)
RELOADS = counter(
    "lockstep_place_reloads_total", "Changed files that were taken up, and that were refused or had gone.",
    "source", "outcome",
)  # fmt: skip
FAULTS = counter("lockstep_place_faults_total", "Look-ups that found a database corrupt.")
LOOKUPS = counter("lockstep_place_lookups_total", "Look-ups of addresses: one for a session that stays where it is.")

MEASURES = measures_in(globals())


def place_readings(locator: Locator, now: float) -> Iterator[Reading]:
    """Read what the locator of this process has.

    Args:
        locator: it is open.
        now: in Unix seconds.
    """
    files = locator.databases.files
    yield Reading(BUILT, [((str(kind),), file.value.built_at) for kind, file in files.items()])
    yield Reading(AGE, [((str(kind),), now - file.value.built_at) for kind, file in files.items()])
    networks: dict[str, int] = {}
    outcomes = {str(kind): (file.taken, file.refused) for kind, file in files.items()}
    for member, listed in locator.lists.files:
        networks[str(member)] = networks.get(str(member), 0) + len(listed.value.networks)
        taken, refused = outcomes.get(str(member), (0, 0))
        outcomes[str(member)] = (taken + listed.taken, refused + listed.refused)
    yield Reading(NETWORKS, [((member,), count) for member, count in networks.items()])
    yield Reading(
        RELOADS,
        [
            row
            for source, (taken, refused) in outcomes.items()
            for row in (((source, "taken"), taken), ((source, "refused"), refused))
        ],
    )
    yield one(FAULTS, locator.databases.faults)
    yield one(LOOKUPS, locator.lookups)
