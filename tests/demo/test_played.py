"""The demo itself, shortened: whatever is put into the feed, the report follows the truth.

Real processes, real traffic; the story begins eleven days before the fault.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from rich.console import Console
from tests.databases import new_address

from trimtab.demo.show import Options, run
from trimtab.demo.story import Fault, FlightStory, HousingStory, Story

Report = dict[str, Any]
Play = Callable[[str, Story], Report]

DRAWN = re.compile(r"\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{16}\b")
OF_THIS_RUN = {"head", "root", "signer", "duration_s", "peak_memory_bytes"}
"""What cannot be the same in two runs of one seed: what is made of keys that are drawn at the
first start and of the ledger's salts, and what is measured on this machine."""

ROOT = re.compile(r"root [0-9a-f]+…")
FREE = re.compile(r"\d+ MiB free")


def shortened(start: date, *, feature: str = "", factor: float = 1.0, days: int = 4) -> Story:
    """Eleven days of calm, a fault on `feature`, a week of calm; no fault without a feature."""
    first = start - timedelta(11)
    end = start + timedelta(days)
    fault = Fault(feature, factor, start, end) if feature else None
    return Story(
        first_day=first,
        last_day=end + timedelta(6),
        flights=replace(
            FlightStory(),
            tenants=("AA", "DL", "EV", "OO", "UA", "WN"),
            history_start=first - timedelta(59),
            first_trained_until=first,
            max_fpr=0.01,  # far below the limit: the first release needs few days
            live_fault=fault,
        ),
        housing=replace(HousingStory(), last_day=first - timedelta(1)),
    )


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    played: dict[str, Report] = {}

    def once(name: str, story: Story) -> Report:
        if name not in played:
            target = tmp_path_factory.mktemp("played") / "report.json"
            lines = io.StringIO()
            code = run(
                Options(story, stay=False, report=target, database=new_address()),
                Console(file=lines),
            )
            assert code == 0, lines.getvalue()
            played[name] = json.loads(target.read_text())
        return played[name]

    return once


# Weeks that are calm by themselves. In August the recall of a model of June and July falls,
# fault or no fault, and is reported: that is the season, and no mistake.
SEPTEMBER = shortened(date(2015, 9, 9), feature="taxi_out_min", factor=2.5)
HOMES_MOVE = Story(
    first_day=date(2015, 3, 1),
    last_day=date(2015, 4, 5),
    flights=replace(FlightStory(), tenants=("UA",), replay=4, live_fault=None),
)
"""Until the homes' model has been trained anew from served rows, and signed for."""

OCTOBER = shortened(date(2015, 10, 14), feature="distance_miles", factor=0.3048)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "story", "unit"),
    [
        ("september", SEPTEMBER, "no step between units that we know"),
        ("october", OCTOBER, "step from"),
    ],
)
def test_the_report_names_the_fault_that_was_there(
    play: Play, name: str, story: Story, unit: str
) -> None:
    fault = story.flights.live_fault
    assert fault is not None
    assert fault.start is not None
    assert fault.end is not None
    report = play(name, story)
    named = [i for i in report["incidents"] if i["cause"] is not None]
    assert [i["cause"] for i in named] == ["data_quality_fault"]
    (incident,) = named
    assert (incident["feature"], incident["cause_feature"]) == (fault.feature, fault.feature)
    assert incident["values"]["factor"] == pytest.approx(fault.factor, rel=0.03)
    assert unit in " ".join(incident["evidence_for"] + incident["evidence_against"])
    found = date.fromisoformat(incident["detected_at"][:10])
    assert fault.start < found <= fault.start + timedelta(3)
    assert incident["resolved_at"] is not None
    assert date.fromisoformat(incident["resolved_at"][:10]) > fault.end
    decided = {r["action"]: r["gate_decision"] for r in report["remediations"]}
    assert decided["retrain_model"] == "refused"
    assert report["audit"]["verified"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_without_a_fault_nothing_is_reported(play: Play) -> None:
    report = play("clean", shortened(date(2015, 9, 9)))
    assert report["incidents"] == []
    assert report["remediations"] == []
    (version,) = report["versions"]
    assert (version["deployment"], version["signed"]) == ("stable", True)
    assert [(r["outcome"], bool(r["reason"])) for r in report["rollouts"]] == [("promoted", True)]
    assert report["predictions"] == report["labels"] > 50_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "story"),
    [
        ("september", SEPTEMBER),
        pytest.param("homes that move", HOMES_MOVE, marks=pytest.mark.chaos),
    ],
)
def test_the_same_seed_tells_the_same_story(play: Play, name: str, story: Story) -> None:
    """Every figure, every entry that a line is told from, in the same order."""
    first, second = play(name, story), play(f"{name}, again", story)
    assert first["incidents"]
    assert told(first) == told(second)


def told(report: Report) -> Report:
    """A report with ids that are numbered as they come, and without what no seed decides."""
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"{found[1]}_{len(names)}")

    def plain(value: Any) -> Any:
        match value:
            case {"name": "memory"}:  # how much is free is this machine's affair
                return {**value, "value": None, "reason": FREE.sub("free", value["reason"])}
            case dict():
                return {k: plain(v) for k, v in value.items() if k not in OF_THIS_RUN}
            case list():
                return [plain(v) for v in value]
            case str():
                return DRAWN.sub(named, ROOT.sub("root", value))
        return value

    found = plain(report)
    assert isinstance(found, dict)
    return found
