"""Windows of real flights through the records: closed, settled, revised, watched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.demo.story import MILES_TO_KILOMETRES, Fault
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidMove, NotFound
from trimtab.kernel.ids import TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring import service, store
from trimtab.monitoring.model import Phase, Window
from trimtab.monitoring.performance import VersionFacts, outcomes
from trimtab.monitoring.reference import References
from trimtab.monitoring.revision import Anew, revise
from trimtab.monitoring.survey import survey
from trimtab.monitoring.watch import Subject, WatchPhase
from trimtab.observations.frame import Frame
from trimtab.platform.database import Database
from trimtab.policies.operation import Monitoring

Day = Callable[..., Frame]
MODEL = "flights"
FACTS = {"1.0.0": VersionFacts(0.5, {"accuracy": 0.92, "precision": 0.95, "recall": 0.78})}
KILOMETRES = Fault("distance_miles", MILES_TO_KILOMETRES)
WAIT = timedelta(hours=6)
FIRST = datetime(2015, 5, 9, 7, 30, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64


class World:
    """A model whose days are monitored one after the other."""

    def __init__(
        self, records: Records, clock: SteppedClock, references: References, demands: Monitoring
    ):
        self.records, self.clock = records, clock
        self.references, self.demands = references, demands

    def work(self, verb: Callable[..., Any], *args: Any, **named: Any) -> Any:
        with self.records.begin(system("watch"), reason="the window is over") as work:
            return verb(work, *args, **named)

    def read(self, query: Callable[..., Any], *args: Any, **named: Any) -> Any:
        with self.records.look() as reading:
            return query(reading, *args, **named)

    def schedule(self) -> list[Window]:
        made: list[Window] = self.work(service.schedule_windows, MODEL, FIRST, self.demands)
        return made

    def close(self, window: Window, frame: Frame | None) -> list[Window]:
        self.clock.step_to(window.end)
        seen = survey(frame, self.references, self.demands)
        closed: list[Window] = self.work(
            service.close_window,
            window.id,
            seen,
            self.demands,
            label_wait=WAIT,
            policy_digest=DIGEST,
        )
        return closed

    def settle(self, window: Window, frame: Frame | None) -> list[Window]:
        self.clock.step_to(window.end + WAIT)
        tallies = () if frame is None else outcomes(frame, {"1.0.0": 0.5})
        settled: list[Window] = self.work(
            service.settle_window, window.id, tallies, FACTS, self.demands, policy_digest=DIGEST
        )
        return settled

    def revise(self, window: Window, frame: Frame) -> list[Window]:
        """Judge a window again with these rows."""
        seen = survey(frame, self.references, self.demands)
        anew = Anew(seen, outcomes(frame, {"1.0.0": 0.5}), FACTS)
        revised: list[Window] = self.work(
            revise, window.id, anew, self.demands, policy_digest=DIGEST
        )
        return revised

    def day(self, when: date, frame: Frame | None) -> Window:
        """One day from its schedule to its settling; the fleet's window."""
        start = datetime(when.year, when.month, when.day, tzinfo=UTC)
        self.clock.step_to(start)
        self.schedule()
        window = next(w for w in self.all() if w.start == start)
        self.close(window, frame)
        return self.settle(window, frame)[0]

    def all(self) -> list[Window]:
        rows = self.read(lambda r: r.rows(store.WINDOWS.select()))
        return sorted(
            (store.from_row(row) for row in rows), key=lambda w: (w.start, w.tenant or "")
        )

    def events(self, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
        found = self.read(lambda r: ledger.entries(r.connection, kinds=kinds, limit=5000))
        return [(entry.kind, {**entry.data, "tenant": entry.tenant}) for entry in found]

    def of_fleet(self, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
        return [(kind, data) for kind, data in self.events(*kinds) if data["tenant"] is None]


@pytest.fixture
def world(
    either_database: Database, clock: SteppedClock, references: References, demands: Monitoring
) -> World:
    return World(Records(either_database, clock), clock, references, demands)


def test_windows_follow_one_another_from_the_first_prediction_on(world: World) -> None:
    world.clock.step_to(datetime(2015, 5, 11, 10, tzinfo=UTC))
    made = world.schedule()
    assert [w.start.day for w in made] == [9, 10, 11]
    assert {w.end - w.start for w in made} == {timedelta(days=1)}
    assert all(w.start.hour == 0 for w in made)
    assert world.schedule() == []
    assert world.read(store.next_due) == datetime(2015, 5, 10, tzinfo=UTC)
    assert world.read(store.due, world.clock.now()) == [w.id for w in made[:2]]


def test_a_window_goes_from_scheduled_to_closed_to_settled(world: World, day: Day) -> None:
    world.clock.step_to(FIRST)
    (window,) = world.schedule()
    closed, *tenants = world.close(window, day(date(2015, 5, 9)))
    assert (closed.phase, closed.due_at) == (Phase.CLOSED, closed.end + WAIT)
    assert closed.drift is not None
    assert closed.drift.verdict is Verdict.PASS
    assert closed.drift.reference == "sha256:ab"
    assert closed.policy_digest == DIGEST
    assert {w.phase for w in tenants} == {Phase.CLOSED}
    assert {w.due_at for w in tenants} == {None}
    settled, *others = world.settle(window, day(date(2015, 5, 9)))
    assert (settled.phase, settled.due_at) == (Phase.SETTLED, None)
    assert settled.performance is not None
    assert settled.performance.verdict is Verdict.PASS
    assert settled.performance.labels == settled.rows
    assert {w.phase for w in others} == {Phase.SETTLED}
    assert world.read(store.next_due) is None


def test_what_is_read_back_is_what_was_written(world: World, day: Day) -> None:
    window = world.day(date(2015, 5, 9), day(date(2015, 5, 9)))
    assert world.read(store.get, window.id) == window


def test_closing_and_settling_again_change_nothing(world: World, day: Day) -> None:
    frame = day(date(2015, 5, 9), KILOMETRES)
    window = world.day(date(2015, 5, 9), frame)
    before, size = world.all(), len(world.events())
    world.close(window, frame)
    world.settle(window, frame)
    assert (world.all(), len(world.events())) == (before, size)


def test_a_window_is_not_closed_before_it_is_over(world: World, day: Day) -> None:
    world.clock.step_to(FIRST)
    (window,) = world.schedule()
    seen = survey(day(date(2015, 5, 9)), world.references, world.demands)
    with pytest.raises(InvalidMove, match="not over"):
        world.work(
            service.close_window,
            window.id,
            seen,
            world.demands,
            label_wait=WAIT,
            policy_digest=DIGEST,
        )
    with pytest.raises(InvalidMove, match="cannot become settled"):
        world.settle(window, None)
    with pytest.raises(NotFound):
        world.settle(Window(**{**vars(window), "id": "win_none"}), None)


def test_a_stretch_has_one_window(world: World) -> None:
    world.clock.step_to(FIRST)
    (window,) = world.schedule()
    twin = Window(**{**vars(window), "id": "win_twin", "revision": 0})
    with pytest.raises(Conflict):
        world.work(store.add, twin, twin.scheduled())


def test_kilometres_are_announced_once_and_cleared_once(world: World, day: Day) -> None:
    days = [date(2015, 5, 9) + timedelta(n) for n in range(7)]
    for n, when in enumerate(days):
        faults = (KILOMETRES,) if n in (1, 2, 3) else ()
        world.day(when, day(when, *faults))
    announced = world.of_fleet("drift.confirmed", "drift.cleared")
    assert [kind for kind, _ in announced] == ["drift.confirmed", "drift.cleared"]
    confirmed, cleared = announced[0][1], announced[1][1]
    assert (confirmed["feature"], confirmed["drift_type"]) == ("distance_miles", "data_drift")
    assert (confirmed["direction"], confirmed["consecutive"]) == ("up", 2)
    assert confirmed["since"] == "2015-05-10T00:00:00.000000Z"
    assert confirmed["values"]["ks_d"] >= confirmed["thresholds"]["ks"] == 0.2
    assert {vote["detector"] for vote in confirmed["votes"] if vote["alarmed"]} >= {"ks", "psi"}
    assert (cleared["since"], cleared["until"]) == (
        confirmed["since"],
        "2015-05-14T00:00:00.000000Z",
    )
    harm = world.of_fleet("performance.degraded", "performance.recovered")
    metrics = {data["metric"] for _, data in harm}
    assert {"false_positive_rate", "precision"} <= metrics
    assert sorted(kind for kind, data in harm if data["metric"] == "false_positive_rate") == [
        "performance.degraded",
        "performance.recovered",
    ]
    assert {data["model"] for _, data in harm} == {MODEL}


def test_tenants_have_watches_of_their_own(world: World, day: Day) -> None:
    for n in range(2):
        when = date(2015, 5, 12) + timedelta(n)
        good, bad = day(when), day(when, KILOMETRES)
        mixed = np.where(
            good.tenant == "UA", bad.features["distance_miles"], good.features["distance_miles"]
        )
        world.day(when, day(when, columns={"distance_miles": lambda _, mixed=mixed: mixed}))
    confirmed = world.events("drift.confirmed")
    assert [(data["tenant"], data["feature"]) for _, data in confirmed] == [
        ("UA", "distance_miles")
    ]
    (watch,) = [
        w
        for w in world.read(store.watches, MODEL)
        if w.phase is WatchPhase.CONFIRMED and w.subject is Subject.DRIFT
    ]
    assert (watch.tenant, watch.name) == ("UA", "distance_miles")


def test_a_vanished_airline_is_named_and_no_harm_is_claimed(world: World, day: Day) -> None:
    for n in range(3):
        when = date(2015, 6, 30) + timedelta(n)
        world.day(when, day(when))
    (gone,) = [
        data
        for _, data in world.of_fleet("drift.confirmed")
        if data["finding"] == "vanished_category"
    ]
    assert (gone["items"], gone["drift_type"], gone["feature"]) == (["US"], "structural", "airline")
    assert world.events("performance.degraded") == []


def test_a_tenant_that_falls_silent_is_recorded_once(world: World, day: Day) -> None:
    for n in range(4):
        when = date(2015, 6, 30) + timedelta(n)
        world.day(when, day(when))
    of_us = world.read(store.windows, MODEL, TenantId("US"))
    assert [(w.start.day, w.start.month, w.rows) for w in of_us][1:] == [(1, 7, 0)]
    assert of_us[-1].drift.verdict is Verdict.INCONCLUSIVE
    assert of_us[-1].drift.reason == "no prediction was made"
    fleet = world.read(store.windows, MODEL)
    assert [w.skipped for w in fleet] == [(), ("US",), ("US",), ("US",)]


def test_a_schema_change_needs_no_second_window(world: World, day: Day) -> None:
    when = date(2015, 5, 9)
    frame = day(when)
    less = {name: c for name, c in frame.features.items() if name != "taxi_out_min"}
    world.day(when, Frame(**{**vars(frame), "features": less}))
    (lost,) = world.of_fleet("drift.confirmed")
    assert (lost[1]["finding"], lost[1]["consecutive"]) == ("missing_column", 1)


def test_an_empty_window_neither_confirms_nor_clears(world: World, day: Day) -> None:
    days = [date(2015, 5, 9) + timedelta(n) for n in range(5)]
    for when, frame in zip(
        days,
        [day(days[0], KILOMETRES), None, day(days[2], KILOMETRES), None, None],
        strict=True,
    ):
        window = world.day(when, frame)
    assert [kind for kind, _ in world.of_fleet("drift.confirmed", "drift.cleared")] == [
        "drift.confirmed"
    ]
    assert window.drift is not None
    assert window.performance is not None
    assert window.drift.verdict is Verdict.INCONCLUSIVE
    assert window.performance.verdict is Verdict.INCONCLUSIVE


def test_late_labels_revise_a_settled_window(world: World, day: Day) -> None:
    when = date(2015, 5, 9)
    window = world.day(when, day(when, KILOMETRES, labels=False))
    assert window.performance is not None
    assert window.performance.verdict is Verdict.INCONCLUSIVE
    assert "more labels needed" in window.performance.reason

    frame = day(when, KILOMETRES)
    revised = world.revise(window, frame)
    assert revised[0].performance is not None
    assert revised[0].performance.verdict is Verdict.FAIL
    (_, data), *_ = world.of_fleet("window.revised")
    assert (data["labels_before"], data["verdict_before"]) == (0, "inconclusive")
    assert data["labels"] == window.rows
    assert world.revise(window, frame) == []

    later = when + timedelta(1)
    world.day(later, day(later, KILOMETRES))
    degraded = [d for _, d in world.of_fleet("performance.degraded")]
    assert "false_positive_rate" in {d["metric"] for d in degraded}
    assert {d["since"] for d in degraded} == {"2015-05-09T00:00:00.000000Z"}


def test_a_revision_of_the_past_moves_no_watch(world: World, day: Day) -> None:
    when = date(2015, 5, 9)
    window = world.day(when, day(when, labels=False))
    world.day(when + timedelta(1), day(when + timedelta(1)))
    assert world.revise(window, day(when, KILOMETRES))
    assert world.of_fleet("performance.degraded", "drift.confirmed", "watch.moved") == []


def test_a_revision_counts_where_no_later_window_could_tell(world: World, day: Day) -> None:
    days = [date(2015, 5, 9) + timedelta(n) for n in range(2)]
    windows = [world.day(when, day(when, KILOMETRES, labels=False)) for when in days]
    assert world.of_fleet("performance.degraded") == []
    for when, window in zip(days, windows, strict=True):
        assert world.revise(window, day(when, KILOMETRES))
    degraded = [d for _, d in world.of_fleet("performance.degraded")]
    assert "false_positive_rate" in {d["metric"] for d in degraded}
    assert len(degraded) == len({d["metric"] for d in degraded})
    size = len(world.events())
    assert world.revise(windows[1], day(days[1], KILOMETRES)) == []
    assert len(world.events()) == size


def test_a_suspicion_falls_with_the_window_it_rests_on(world: World, day: Day) -> None:
    when = date(2015, 5, 9)
    window = world.day(when, day(when, KILOMETRES))
    suspected = [w for w in world.read(store.watches, MODEL) if w.tenant is None]
    assert {w.phase for w in suspected} == {WatchPhase.SUSPECTED}
    assert world.revise(window, day(when))
    cleared = [w for w in world.read(store.watches, MODEL) if w.tenant is None]
    assert {w.phase for w in cleared} == {WatchPhase.CALM}
    assert world.of_fleet("drift.confirmed", "drift.cleared") == []


def test_a_tenant_that_has_rows_enough_only_now_gets_its_window(world: World, day: Day) -> None:
    when = date(2015, 5, 9)
    whole = day(when)
    window = world.day(when, whole.where(whole.tenant != "WN"))
    assert world.read(store.windows, MODEL, TenantId("WN")) == []
    assert world.revise(window, whole)
    (made,) = world.read(store.windows, MODEL, TenantId("WN"))
    assert (made.phase, made.rows) == (Phase.SETTLED, int((whole.tenant == "WN").sum()))
    assert world.read(store.get, window.id).rows == len(whole)


def test_a_window_that_was_not_looked_at_is_visible(world: World, day: Day) -> None:
    world.clock.step_to(FIRST)
    (window,) = world.schedule()
    world.clock.step_to(datetime(2015, 5, 12, 6, tzinfo=UTC))
    now, grace = world.clock.now(), timedelta(hours=1)
    missed = world.read(store.missed_windows, MODEL, now, grace=grace)
    assert [start.day for start, _ in missed] == [9, 10, 11]
    world.schedule()
    assert world.read(store.missed_windows, MODEL, now, grace=grace) == missed
    world.close(window, day(date(2015, 5, 9)))
    missed = world.read(store.missed_windows, MODEL, now, grace=grace)
    assert [start.day for start, _ in missed] == [10, 11]


def test_the_series_holds_what_charts_draw(world: World, day: Day) -> None:
    days = [date(2015, 5, 9) + timedelta(n) for n in range(3)]
    for when in days:
        world.day(when, day(when))
    points = world.read(service.series, MODEL)
    assert [point.start.day for point in points] == [9, 10, 11]
    assert {f["feature"] for f in points[0].features} == {
        "distance_miles",
        "departure_delay_min",
        "taxi_out_min",
        "airline",
    }
    assert points[0].sides[0]["rates"]["false_positive_rate"]["high"] < 0.05
    since = points[1].start
    assert len(world.read(service.series, MODEL, TenantId("AA"), since=since, limit=1)) == 1
    newest = world.read(store.latest, MODEL)
    assert newest.start.day == 11
    assert world.read(store.latest, "homes") is None


def test_every_change_has_its_entry(world: World, day: Day) -> None:
    world.day(date(2015, 5, 9), day(date(2015, 5, 9)))
    kinds = [kind for kind, _ in world.events()]
    assert kinds.count("window.scheduled") == 1
    assert kinds.count("window.closed") == kinds.count("window.settled") == 8
    (_, data), *_ = world.of_fleet("window.closed")
    assert (data["model"], data["verdict"], data["policy_digest"]) == (MODEL, "pass", DIGEST)
    assert {f["feature"]: f["severity"] for f in data["drift"]}["distance_miles"] == "none"
