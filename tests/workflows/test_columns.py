"""Columns of predictions: what they are called, and what follows where one does not come."""

from __future__ import annotations

import pytest
from tests.workflows.house import House

pytestmark = pytest.mark.slow

DAYS = 8


def test_a_model_that_names_no_columns_is_watched_by_the_registered_ones(house: House) -> None:
    house.column = "in.X"
    for day in range(DAYS):
        house.day(day)
    assert not house.entries("drift.confirmed", "incident.opened")
    looked_at = [feature for window in house.windows() for feature in window["drift"] or ()]
    assert {feature["feature"] for feature in looked_at} == {"weight_kg"}
    assert {feature["n_current"] > 0 for feature in looked_at} == {True}, looked_at


def test_a_feature_that_does_not_come_is_diagnosed(house: House) -> None:
    for day in range(DAYS):
        house.day(day)
    house.column = None
    for day in range(DAYS, 2 * DAYS):
        house.day(day)
    (opened,) = house.entries("incident.opened")
    assert opened.data is not None
    assert opened.data["feature"] == "weight_kg"
    diagnosed = house.entries("incident.diagnosed")
    assert diagnosed, "and no job has failed on the way: see `House.settle`"
    assert diagnosed[-1].data is not None
    assert "100.0% of weight_kg is missing" in diagnosed[-1].data["summary"]
