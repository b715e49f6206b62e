"""Rows that come after their window was judged: they re-open it, or are told as too late."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.workflows.house import DAY, FIRST, MODEL, ROWS, House

from trimtab.monitoring import late_store
from trimtab.workflows import watch

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
ALLOWED = timedelta(hours=336)
NOTHING = {"predictions": 0, "labels": 0, "predictions_too_late": 0, "labels_too_late": 0}


def window(house: House, day: int = 0) -> dict[str, Any]:
    start = (FIRST + day * DAY).isoformat().replace("+00:00", "Z")
    return next(w for w in house.windows() if w["start"] == start)


def to_close(house: House, day: int = 0) -> None:
    """A moment at which the window of a day is closed, and not settled."""
    house.step_to(FIRST + (day + 1) * DAY)


def to_settle(house: House, day: int = 0) -> None:
    """A moment at which the window of a day is settled."""
    to_close(house, day)
    house.step_to(FIRST + (day + 2) * DAY)


def counted(found: dict[str, Any]) -> dict[str, int]:
    return {name: found["late"][name] for name in NOTHING}


def revised(house: House) -> list[dict[str, Any]]:
    return [entry.data or {} for entry in house.entries("window.revised")]


def test_predictions_that_come_after_the_close_re_open_the_window(house: House) -> None:
    house.day(0)
    to_close(house)
    assert (window(house)["phase"], window(house)["rows"]) == ("closed", ROWS)
    assert counted(window(house)) == NOTHING
    before = window(house)
    house.predict(house.rows(0, 200, hour=23))
    assert window(house)["rows"] == ROWS  # it waits for what may come beside
    assert counted(window(house)) == NOTHING | {"predictions": 200}
    house.step_to(house.now + HOUR)
    after = window(house)
    assert (after["id"], after["phase"], after["rows"]) == (before["id"], "closed", ROWS + 200)
    assert (after["revisions"], after["late"]["due_at"]) == (1, None)
    (told,) = revised(house)
    assert (told["window"], told["revision"]) == (after["id"], 1)
    assert (told["rows_before"], told["rows"]) == (ROWS, ROWS + 200)
    assert (told["verdict_before"], told["verdict"]) == (None, None)
    assert (
        house.metric(
            f'trimtab_late_rows_total{{model="{MODEL}",outcome="late",what="predictions"}}'
        )
        == 200
    )


def test_labels_that_come_after_the_settling_revise_it(house: House) -> None:
    sent = house.day(0, labels=False)
    to_settle(house)
    assert (window(house)["phase"], window(house)["labels"]) == ("settled", 0)
    house.label(sent)
    house.step_to(house.now + HOUR)
    assert (window(house)["labels"], window(house)["revisions"]) == (ROWS, 1)
    (told,) = revised(house)
    assert (told["labels_before"], told["labels"]) == (0, ROWS)
    assert (told["verdict_before"], told["verdict"]) == ("inconclusive", "pass")
    assert told["rows_before"] == told["rows"] == ROWS


def test_labels_that_come_while_they_are_waited_for_are_not_late(house: House) -> None:
    sent = house.day(0, labels=False)
    to_close(house)
    house.label(sent)
    to_settle(house)
    house.step_to(house.now + 2 * HOUR)
    assert window(house)["labels"] == ROWS
    assert (window(house)["revisions"], counted(window(house))) == (0, NOTHING)


def test_many_late_batches_are_one_revision(house: House) -> None:
    sent = house.day(0, labels=False)
    to_settle(house)
    for n in range(0, ROWS, 100):
        house.label(type(sent)(sent.ids[n : n + 100], sent.labels[n : n + 100]))
        house.settle()
    house.step_to(house.now + HOUR)
    house.step_to(house.now + HOUR)
    assert [told["labels"] for told in revised(house)] == [ROWS]
    house.predict(house.rows(0, 50, hour=3))
    house.step_to(house.now + HOUR)
    assert [told["revision"] for told in revised(house)] == [1, 2]
    assert revised(house)[1]["rows_before"] == ROWS


def test_a_late_batch_that_repeats_what_is_known_changes_nothing(house: House) -> None:
    house.step_to(FIRST + timedelta(hours=12))
    sent = house.rows(0)
    house.predict(sent, batch="one")
    house.label(sent, batch="two")
    to_settle(house)
    size = len(house.entries())
    house.predict(sent, batch="one")  # a gateway that did not hear that it was heard
    house.label(sent, batch="two")
    assert counted(window(house)) == NOTHING
    house.predict(sent, batch="three")  # the same rows under another name
    house.label(sent, batch="four")
    assert counted(window(house)) == NOTHING | {"predictions": ROWS, "labels": ROWS}
    house.step_to(house.now + HOUR)
    assert (window(house)["revisions"], window(house)["late"]["due_at"]) == (0, None)
    assert window(house)["rows"] == window(house)["labels"] == ROWS
    assert len(house.entries()) == size


def test_what_comes_beyond_the_allowance_is_kept_and_told(house: House) -> None:
    sent = house.day(0, labels=False)
    to_settle(house)
    house.step_to(FIRST + DAY + ALLOWED)
    half = ROWS // 2
    house.label(type(sent)(sent.ids[:half], sent.labels[:half]))  # just in time
    house.step_to(house.now + timedelta(seconds=1))
    house.label(type(sent)(sent.ids[half:], sent.labels[half:]))
    house.predict(house.rows(0, 40))
    house.predict(house.rows(-3, 30))
    assert counted(window(house)) == {
        "predictions": 0,
        "labels": half,
        "predictions_too_late": 40,
        "labels_too_late": half,
    }
    house.step_to(house.now + HOUR)
    assert (window(house)["labels"], window(house)["rows"]) == (half, ROWS)
    assert [told["labels"] for told in revised(house)] == [half]
    line = f'trimtab_late_rows_total{{model="{MODEL}",outcome="too_late",what='
    assert house.metric(line + '"labels"}') == half
    assert house.metric(line + '"predictions"}') == 70  # with those from before the first window
    with house.application.parts.records.look() as reading:
        assert late_store.of_model(reading, MODEL).predictions_too_late == 70
        found = watch.rows_between(reading, MODEL, FIRST - 9 * DAY, FIRST + DAY)
    assert found is not None
    assert len(found) == ROWS + 70  # kept


def test_rows_that_come_at_the_moment_of_the_close_are_not_lost(house: House) -> None:
    house.day(0)
    late = house.rows(0, 200, hour=23)
    house.instants.between("watch.window", lambda: house.predict(late))
    to_close(house)
    assert (window(house)["rows"], counted(window(house))["predictions"]) == (ROWS, 200)
    house.step_to(house.now + HOUR)
    assert (window(house)["rows"], window(house)["revisions"]) == (ROWS + 200, 1)


def test_labels_that_come_at_the_moment_of_the_settling_are_not_lost(house: House) -> None:
    sent = house.day(0, labels=False)
    to_close(house)
    house.instants.between("watch.window", lambda: house.label(sent))
    to_settle(house)
    assert (window(house)["labels"], counted(window(house))["labels"]) == (0, ROWS)
    house.step_to(house.now + HOUR)
    assert (window(house)["labels"], window(house)["revisions"]) == (ROWS, 1)


def test_labels_that_come_at_the_moment_of_a_revision_make_another_one(house: House) -> None:
    sent = house.day(0, labels=False)
    half = ROWS // 2
    to_settle(house)
    house.label(type(sent)(sent.ids[:half], sent.labels[:half]))
    rest = type(sent)(sent.ids[half:], sent.labels[half:])
    house.instants.between("watch.again", lambda: house.label(rest))
    house.step_to(house.now + HOUR)
    assert window(house)["labels"] == half
    house.step_to(house.now + HOUR)
    assert [told["labels"] for told in revised(house)] == [half, ROWS]


def test_a_revision_that_is_run_twice_is_one(house: House) -> None:
    sent = house.day(0, labels=False)
    to_settle(house)
    house.label(sent)
    house.instants.fail_once("after:watch.again")  # as a kill would, right after the commit
    house.step_to(house.now + HOUR)
    assert house.instants.failed == ["after:watch.again"]
    assert [told["labels"] for told in revised(house)] == [ROWS]


def test_late_harm_opens_one_incident_however_often_it_is_revised(house: House) -> None:
    days = [house.day(n, flagged=120, labels=False) for n in range(3)]
    to_settle(house, 2)
    assert house.entries("incident.opened") == []
    for sent in days:
        house.label(sent)
    house.step_to(house.now + HOUR)
    assert len(house.entries("performance.degraded")) == 1
    assert len(house.entries("incident.opened")) == 1
    for day in range(3):
        extra = house.rows(day, 60, flagged=20, hour=3)
        house.predict(extra)
        house.label(extra)
    house.step_to(house.now + HOUR)
    assert [told["revision"] for told in revised(house)] == [1, 1, 1, 2, 2, 2]
    assert len(house.entries("performance.degraded")) == 1
    assert len(house.entries("incident.opened")) == 1


def test_recovery_is_measured_by_what_a_revision_says(house: House) -> None:
    for n in range(8):
        house.day(n)
    for n in range(8, 10):
        house.day(n, flagged=120)
    healed = [house.day(n, labels=False) for n in range(10, 14)]
    to_settle(house, 13)
    assert len(house.entries("incident.opened")) == 1
    assert house.entries("incident.resolved") == []
    for sent in healed:
        house.label(sent)
    house.step_to(house.now + HOUR)
    (told,) = house.entries("performance.recovered")
    (over,) = house.entries("incident.resolved")
    assert told.sequence < over.sequence
