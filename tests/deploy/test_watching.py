"""The dashboard and the alerts name what `/metrics` prints, and ask of it what can be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lockstep.scraped import deployed, families, scrape

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "lockstep.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))

NAME = re.compile(r"\b(?:lockstep|process)_[a-z_]+\b")
RANGED = re.compile(r"\b(\w+)\(\s*([a-z_]+)(?:\{[^}]*\})?\[")
SELECTED = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
OF_COUNTERS = {"rate", "increase", "irate"}
OF_THE_SCRAPE = {"instance", "job"}


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


DASHED = [target["expr"] for panel in panels() for target in panel["targets"]]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
ALARMED = [rule["expr"] for rule in RULES]


@dataclass
class Printed:
    """What is printed: the labels of each sample's name, and which names only rise."""

    labels: dict[str, set[str]] = field(default_factory=dict)
    counters: set[str] = field(default_factory=set)


@pytest.fixture
async def printed(tmp_path: Path) -> Printed:
    async with deployed(tmp_path) as deployment:
        text = await scrape(deployment)
    found = Printed()
    for family in families(text).values():
        for sample in family.samples:
            found.labels.setdefault(sample.name, set()).update(sample.labels)
            if family.type in ("counter", "histogram"):
                found.counters.add(sample.name)
    return found


def faults_in(expr: str, printed: Printed) -> list[str]:
    """Return what is wrong with an expression."""
    bare = expr.replace("$__rate_interval", "5m")
    names = set(NAME.findall(bare))
    faults = [f"{name} is not printed" for name in names if name not in printed.labels]
    ranged = RANGED.findall(bare)
    faults += [f"{how}() over {name}, which falls" for how, name in ranged if name not in printed.counters]
    faults += [f"{how}() is not for counters" for how, _ in ranged if how not in OF_COUNTERS]
    asked = {name for _, name in ranged}
    faults += [f"{name} only rises: ask for its rate" for name in names & printed.counters if name not in asked]
    known = set().union(OF_THE_SCRAPE, *(printed.labels.get(name, set()) for name in names))
    faults += [
        f"no label {label} in {names}"
        for group in GROUPED.findall(bare)
        for label in map(str.strip, group.split(","))
        if label not in known
    ]
    faults += [
        f"{name} has no label {label}"
        for name, selectors in SELECTED.findall(bare)
        for label in MATCHER.findall(selectors)
        if label not in printed.labels.get(name, set()) | OF_THE_SCRAPE
    ]
    return faults


async def test_what_is_asked_can_be_answered(printed: Printed) -> None:
    assert len(DASHED) > 50
    assert len(ALARMED) >= 25
    faults = {expr: found for expr in (*DASHED, *ALARMED) if (found := faults_in(expr, printed))}
    assert faults == {}


async def test_every_measure_of_consequence_is_on_the_dashboard(printed: Printed) -> None:
    named = {name for expr in DASHED for name in NAME.findall(expr)}
    missing = {
        name.removesuffix("_bucket")
        for name in printed.labels
        if name.startswith("lockstep_") and not name.endswith(("_sum", "_count")) and name not in named
    }
    # What others say better, or what only an alert or a question of capacity looks at.
    assert missing == {
        "lockstep_build_info", "lockstep_door_addresses", "lockstep_feeds_late_total", "lockstep_feeds_segments_total",
        "lockstep_feeds_needed_hold_seconds", "lockstep_hub_entries", "lockstep_hub_flushes_total",
        "lockstep_hub_reporting", "lockstep_hub_sockets", "lockstep_origin_fetched_bytes_total",
        "lockstep_place_database_built_seconds", "lockstep_relay_picture",
    }  # fmt: skip


async def test_a_wrong_question_is_found(printed: Printed) -> None:
    for expr, fault in (
        ("lockstep_hub_socketz", "lockstep_hub_socketz is not printed"),
        ("rate(lockstep_hub_sockets[5m])", "rate() over lockstep_hub_sockets, which falls"),
        ("lockstep_hub_cut_total > 5", "lockstep_hub_cut_total only rises: ask for its rate"),
        ("delta(lockstep_hub_cut_total[5m])", "delta() is not for counters"),
        ("sum by (event) (lockstep_hub_held)", "no label event in {'lockstep_hub_held'}"),
        ('lockstep_hub_held{mode="edge"}', "lockstep_hub_held has no label mode"),
    ):
        assert faults_in(expr, printed) == [fault]


def test_the_dashboard_has_its_rows() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Viewers", "Delivery", "Feeds", "Relay", "Gates", "Sessions", "Loop"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    # No panel lies over another, or beyond the grid's 24 columns.
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Lockstep")
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    # Sentences that name something to look at, not a wish.
    assert len(rule["annotations"]["runbook"].split()) >= 12
    assert rule["annotations"]["runbook"].endswith((".", "?"))


def test_an_alert_that_is_spoken_of_is_there() -> None:
    names = {rule["alert"] for rule in RULES}
    assert len(names) == len(RULES)
    spoken = set(re.findall(r"\bLockstep[A-Z]\w+", (DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8")))
    assert spoken == names
