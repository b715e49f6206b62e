"""The demo's traffic: real, repeatable, and wrong only where a fault says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from importlib.resources import files

import numpy as np
import pytest

from trimtab.demo import data
from trimtab.demo.story import MILES_TO_KILOMETRES, Fault, Story
from trimtab.kernel.errors import InvalidInput

DAY = date(2015, 5, 12)
KILOMETRES = Fault("distance_miles", MILES_TO_KILOMETRES, date(2015, 5, 11), date(2015, 5, 18))


def flights_on(day: date, story: Story, *faults: Fault, seed: int = 1) -> data.Traffic:
    return data.flight_traffic(day, story=story.flights, seed=seed, faults=faults)


def homes_on(day: date, story: Story, seed: int = 1) -> data.Traffic:
    return data.home_traffic(day, story=story.housing, seed=seed)


def test_the_credits_ship_beside_the_data() -> None:
    folder = files("trimtab.demo").joinpath("datasets")
    readme = folder.joinpath("README.md").read_text(encoding="utf-8")
    for name in ("flights_2015.parquet", "california_housing.parquet"):
        assert folder.joinpath(name).is_file()
        assert name in readme
    notices = folder.joinpath("LICENSE").read_text(encoding="utf-8")
    assert "Copyright 2022 ING Wholesale Banking Advanced Analytics" in notices
    assert "Apache License" in folder.joinpath("LICENSE-Apache-2.0").read_text(encoding="utf-8")


def test_flights_without_an_air_time_are_left_out() -> None:
    rows = data.flights()
    assert len(rows) == 100_000 - 1_829
    assert all(np.isfinite(v).all() for v in rows.features.values() if v.dtype.kind == "f")


def test_no_model_input_tells_the_air_time(story: Story) -> None:
    table = data.flight_training(date(2015, 1, 1), date(2015, 2, 1), story=story.flights)
    assert table.column_names == [data.DAY, *story.flights.features, data.LONG_FLIGHT]


def test_a_day_depends_on_day_and_seed_only(story: Story) -> None:
    first = flights_on(DAY, story)
    flights_on(DAY + timedelta(1), story)
    again, other = flights_on(DAY, story), flights_on(DAY, story, seed=2)
    for name, column in first.features.items():
        np.testing.assert_array_equal(column, again.features[name])
    np.testing.assert_array_equal(first.endpoints, again.endpoints)
    assert not np.array_equal(first.features["distance_miles"], other.features["distance_miles"])


def test_each_airline_sends_its_own_number_of_that_day(story: Story) -> None:
    traffic, rows = flights_on(DAY, story), data.flights(story.flights.tenants)
    assert traffic.tenants is not None
    assert rows.tenant is not None
    for tenant in story.flights.tenants:
        flown = ((rows.day == np.datetime64(DAY)) & (rows.tenant == tenant)).sum()
        assert (traffic.tenants == tenant).sum() == flown * story.flights.replay
    np.testing.assert_array_equal(traffic.features["airline"], traffic.tenants)


def test_rows_come_from_the_last_days_and_never_from_tomorrow(story: Story) -> None:
    one_day = replace(story, flights=replace(story.flights, pool_days=1))
    rows = data.flights(story.flights.tenants)
    today = rows.day == np.datetime64(DAY)
    known = set(zip(*(v[today].tolist() for v in rows.features.values()), strict=True))
    drawn = flights_on(DAY, one_day).features
    assert set(zip(*(v.tolist() for v in drawn.values()), strict=True)) <= known
    week = (rows.day <= np.datetime64(DAY)) & (rows.day > np.datetime64(DAY - timedelta(7)))
    known = set(zip(*(v[week].tolist() for v in rows.features.values()), strict=True))
    drawn = flights_on(DAY, story).features
    assert set(zip(*(v.tolist() for v in drawn.values()), strict=True)) <= known


def test_ids_are_unique_over_days_and_times_lie_in_the_day(story: Story) -> None:
    days = [DAY, DAY + timedelta(1)]
    ids = np.concatenate([flights_on(day, story).ids for day in days])
    assert np.unique(ids).size == ids.size
    traffic = flights_on(DAY, story)
    assert (traffic.at.astype("datetime64[D]") == np.datetime64(DAY)).all()
    assert (np.diff(traffic.at) >= np.timedelta64(0)).all()
    assert (traffic.labels_at - traffic.at == np.timedelta64(story.flights.label_delay)).all()


def test_an_endpoint_belongs_to_one_airline(story: Story) -> None:
    traffic = flights_on(DAY, story)
    assert traffic.tenants is not None
    owners = np.char.partition(traffic.endpoints, "-")[:, 0]
    np.testing.assert_array_equal(owners, traffic.tenants)


def test_us_airways_vanishes_when_the_story_says(story: Story) -> None:
    gone = story.flights.vanishes_on
    before, after = flights_on(gone - timedelta(1), story), flights_on(gone, story)
    assert story.flights.vanishing_tenant in before.features["airline"]
    assert story.flights.vanishing_tenant not in after.features["airline"]


def test_a_fault_changes_its_feature_and_nothing_else(story: Story) -> None:
    true, sent = flights_on(DAY, story), flights_on(DAY, story, KILOMETRES)
    factor = np.float64(MILES_TO_KILOMETRES)
    np.testing.assert_allclose(
        sent.features["distance_miles"], true.features["distance_miles"] * factor, rtol=1e-6
    )
    for name in ("departure_delay_min", "taxi_out_min", "airline"):
        np.testing.assert_array_equal(sent.features[name], true.features[name])
    np.testing.assert_array_equal(sent.labels, true.labels)
    np.testing.assert_array_equal(sent.ids, true.ids)


@pytest.mark.parametrize(("day", "wrong"), [(10, False), (11, True), (17, True), (18, False)])
def test_a_fault_holds_from_its_start_until_before_its_end(
    story: Story, day: int, wrong: bool
) -> None:
    moment = date(2015, 5, day)
    true, sent = flights_on(moment, story), flights_on(moment, story, KILOMETRES)
    same = np.array_equal(true.features["distance_miles"], sent.features["distance_miles"])
    assert same is not wrong


def test_a_fault_leaves_the_shipped_rows_alone(story: Story) -> None:
    before = data.flights(story.flights.tenants).features["distance_miles"].copy()
    flights_on(DAY, story, KILOMETRES)
    after = data.flights(story.flights.tenants).features["distance_miles"]
    np.testing.assert_array_equal(before, after)


def test_the_columns_handed_in_are_left_alone() -> None:
    true = {"distance_miles": np.array([100.0, 200.0], dtype=np.float32)}
    day = np.array([DAY, DAY], dtype="datetime64[D]")
    sent = data.faulted(true, day, [KILOMETRES])
    assert true["distance_miles"].tolist() == [100.0, 200.0]
    assert sent["distance_miles"][0] > 160


@pytest.mark.parametrize("feature", ["airline", "altitude"])
def test_a_fault_needs_a_numeric_feature(story: Story, feature: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        flights_on(DAY, story, Fault(feature, 2.0))
    assert caught.value.field == "faults.feature"


def test_a_training_export_can_be_broken_too(story: Story) -> None:
    start, end = date(2015, 1, 1), date(2015, 2, 1)
    right = data.flight_training(start, end, story=story.flights)
    export = story.flights.broken_export
    wrong = data.flight_training(start, end, story=story.flights, faults=[export])
    ratio = wrong["distance_miles"].to_numpy() / right["distance_miles"].to_numpy()
    np.testing.assert_allclose(ratio, export.factor, rtol=1e-6)
    assert wrong[data.LONG_FLIGHT].equals(right[data.LONG_FLIGHT])


def test_homes_stay_in_known_places_until_they_move_on(story: Story) -> None:
    housing, rows = story.housing, data.homes(story.housing)
    known = set(rows.features["longitude"][: housing.known_rows].tolist())
    before = homes_on(housing.moves_on - timedelta(1), story)
    assert set(before.features["longitude"].tolist()) <= known
    later = homes_on(housing.moves_on + timedelta(housing.pool_days), story)
    met = data.home_rows_before(housing.moves_on + timedelta(housing.pool_days + 1), story=housing)
    recent = rows.features["longitude"][housing.known_rows : met]
    assert set(later.features["longitude"].tolist()) <= set(recent.tolist())
    assert later.tenants is None
    assert len(later) == housing.rows_a_day * housing.replay


def test_homes_elsewhere_come_from_everywhere_at_once(story: Story) -> None:
    housing, rows = story.housing, data.homes(story.housing)
    elsewhere = rows.features["latitude"][housing.known_rows :]
    first_month = elsewhere[: 30 * housing.rows_a_day]
    shares = [np.mean(part < np.median(elsewhere)) for part in np.array_split(first_month, 4)]
    assert max(abs(share - 0.5) for share in shares) < 0.1


def test_a_retraining_sees_only_the_homes_met_before_its_day(story: Story) -> None:
    housing = story.housing
    assert data.home_rows_before(housing.moves_on, story=housing) == housing.known_rows
    a_week_on = housing.moves_on + timedelta(7)
    met = data.home_rows_before(a_week_on, story=housing)
    assert met == housing.known_rows + 7 * housing.rows_a_day
    table = data.home_training(0, met, story=housing)
    assert table[data.DAY].to_numpy().max() < np.datetime64(a_week_on)


def test_no_homes_left_is_said(story: Story) -> None:
    with pytest.raises(InvalidInput, match="no homes are left"):
        homes_on(date(2017, 1, 1), story)
