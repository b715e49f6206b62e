"""The fault can lie in another month, on another feature, and be of another size."""

from __future__ import annotations

from datetime import date

import pytest

from trimtab.demo.story import Fault, Story, with_fault
from trimtab.kernel.errors import InvalidInput


def test_what_is_not_named_stays(story: Story) -> None:
    moved = with_fault(story, month=8, feature="taxi_out_min", factor=2.5)
    assert moved.flights.live_fault == Fault(
        "taxi_out_min", 2.5, date(2015, 8, 11), date(2015, 8, 18)
    )
    assert moved.last_day > date(2015, 8, 18)
    assert with_fault(story, factor=2.5).flights.live_fault == Fault(
        "distance_miles", 2.5, date(2015, 5, 11), date(2015, 5, 18)
    )
    assert with_fault(story, factor=2.5).last_day == story.last_day


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"month": 2}, "fault_month"),
        ({"month": 13}, "fault_month"),
        ({"feature": "airline"}, "fault_feature"),
        ({"feature": "no such"}, "fault_feature"),
        ({"factor": 0.0}, "fault_factor"),
        ({"factor": -1.0}, "fault_factor"),
        ({"factor": 1.0}, "fault_factor"),
        ({"factor": float("nan")}, "fault_factor"),
        ({"factor": float("inf")}, "fault_factor"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    story: Story, change: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        with_fault(story, **change)  # type: ignore[arg-type] # one member of each kind
    assert refused.value.field == field
