"""The same alarms as River 0.26, whose detectors these follow, and the same numbers on the way."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.detectors import Floats

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.adwin import ADWIN
from trimtab.stats.ddm import DDM
from trimtab.stats.page_hinkley import PageHinkley

drift: Any = importlib.import_module("river.drift")  # its functions have no types
Settings = dict[str, Any]
OURS: dict[str, Callable[..., Any]] = {"adwin": ADWIN, "ddm": DDM, "ph": PageHinkley}
THEIRS: dict[str, Callable[..., Any]] = {
    "adwin": drift.ADWIN,
    "ddm": drift.binary.DDM,
    "ph": drift.PageHinkley,
}
CASES: list[tuple[str, str, Settings]] = [
    ("adwin", "numeric", {}),
    ("adwin", "errors", {}),
    ("adwin", "numeric", {"delta": 0.3, "clock": 1, "min_window_length": 1, "grace_period": 0}),
    ("adwin", "errors", {"delta": 1e-6, "clock": 100, "max_buckets": 2, "grace_period": 500}),
    ("adwin", "numeric", {"max_buckets": 20, "min_window_length": 64}),
    ("ddm", "errors", {}),
    ("ddm", "rare", {}),
    ("ddm", "errors", {"warm_start": 0, "warning_threshold": 1.0, "drift_threshold": 2.0}),
    ("ddm", "errors", {"warm_start": 5000, "warning_threshold": 4.0, "drift_threshold": 3.0}),
    ("ph", "numeric", {}),
    ("ph", "errors", {}),
    ("ph", "numeric", {"mode": "up", "threshold": 5.0, "delta": 0.0, "alpha": 1.0}),
    ("ph", "numeric", {"mode": "down", "threshold": 2.0, "min_instances": 1}),
    ("ph", "numeric", {"mode": "both", "threshold": 0.5, "delta": 0.2, "min_instances": 300}),
]


def streams(n: int, seed: int = 7) -> dict[str, Floats]:
    """One abrupt change at 40 % of the values, one gradual from 70 % to 90 %."""
    rng = np.random.default_rng(seed)
    place = np.arange(n) / n
    abrupt, ramp = place >= 0.4, np.clip((place - 0.7) / 0.2, 0.0, 1.0)
    rate = 0.10 + 0.05 * abrupt + 0.10 * ramp
    return {
        "errors": (rng.random(n) < rate).astype(np.float64),
        "rare": (rng.random(n) < rate / 100.0).astype(np.float64),
        "numeric": rng.normal(0.3 + 0.1 * abrupt + 0.2 * ramp, 0.1),
    }


def theirs(name: str, given: Settings, values: Floats) -> tuple[list[int], list[int]]:
    """Indices of River's alarms and warnings."""
    detector, alarms, warnings = THEIRS[name](**given), [], []
    for index, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            alarms.append(index)
        elif getattr(detector, "warning_detected", False):
            warnings.append(index)
    return alarms, warnings


def ours(name: str, given: Settings, values: Floats) -> tuple[list[int], list[int]]:
    """Indices of our alarms and warnings."""
    detector = OURS[name](**given)
    if not isinstance(detector, DDM):
        return detector.update_many(values).tolist(), []
    levels = detector.levels(values)
    return np.flatnonzero(levels == 2).tolist(), np.flatnonzero(levels == 1).tolist()


def test_this_is_the_river_that_is_meant() -> None:
    assert importlib.metadata.version("river").split(".")[:2] == ["0", "26"]


@pytest.mark.parametrize(("name", "kind", "given"), CASES)
def test_two_hundred_thousand_values(name: str, kind: str, given: Settings) -> None:
    values = streams(200_000)[kind]
    wanted = theirs(name, given, values)
    assert ours(name, given, values) == wanted
    assert wanted[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [("adwin", "numeric"), ("adwin", "errors"), ("ddm", "errors"), ("ph", "numeric")],
)
def test_a_million_values(name: str, kind: str) -> None:
    values = streams(1_000_000)[kind]
    wanted = theirs(name, {}, values)
    assert ours(name, {}, values) == wanted
    assert len(wanted[0]) >= 3


NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0]),
    st.integers(-3, 3).map(float),
    st.floats(-1e3, 1e3, allow_nan=False),
)


@given(
    drawn=st.lists(st.tuples(NUMBERS, st.integers(1, 40)), min_size=1, max_size=25),
    delta=st.sampled_from([1e-9, 0.002, 0.3, 0.99]),
    clock=st.integers(1, 40),
    max_buckets=st.integers(2, 8),
    min_window_length=st.integers(1, 12),
    grace_period=st.integers(0, 40),
)
@settings(max_examples=150, deadline=None)
def test_adwin_holds_the_same_window_after_each_value(
    drawn: list[tuple[float, int]], **given: Any
) -> None:
    """Width, total and sum of squares to the last bit: also what is left after an alarm."""
    one, other = ADWIN(**given), drift.ADWIN(**given)
    for value in [value for value, times in drawn for _ in range(times)]:
        other.update(value)
        assert one.update(value) is bool(other.drift_detected)
        assert (one.width, one.total, one.squares) == (other.width, other.total, other.variance)


@given(
    drawn=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0]), max_size=300),
    warm_start=st.integers(0, 40),
    warning_threshold=st.floats(0, 5),
    drift_threshold=st.floats(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_ddm_on_short_streams(drawn: list[float], **given: Any) -> None:
    values = np.array(drawn)
    wanted = theirs("ddm", given, values)
    assert ours("ddm", given, values) == wanted
    single = DDM(**given)
    assert [i for i, value in enumerate(drawn) if single.update(value)] == wanted[0]


@given(
    drawn=st.lists(NUMBERS, max_size=300),
    min_instances=st.integers(0, 40),
    delta=st.floats(0, 5),
    threshold=st.floats(0, 100),
    alpha=st.floats(0.01, 1),
    mode=st.sampled_from(["both", "up", "down"]),
)
@settings(max_examples=150, deadline=None)
def test_page_hinkley_on_short_streams(drawn: list[float], **given: Any) -> None:
    values = np.array(drawn)
    wanted = theirs("ph", given, values)
    assert ours("ph", given, values) == wanted
    single = PageHinkley(**given)
    assert [i for i, value in enumerate(drawn) if single.update(value)] == wanted[0]


@pytest.mark.parametrize("name", ["adwin", "ddm", "ph"])
def test_what_one_nan_does_there_it_does_not_here(name: str) -> None:
    """Ours finds the later change as if the value had not come."""
    kind = "errors" if name == "ddm" else "numeric"
    values = streams(20_000)[kind] * (1.0 if name != "ph" else 10.0)
    holed = np.insert(values, 5000, np.nan)
    wanted = ours(name, {}, values)[0]
    assert [index - (index > 5000) for index in ours(name, {}, holed)[0]] == wanted != []


BAD: list[tuple[str, Settings]] = [
    *(("adwin", {"delta": value}) for value in (0.0, 1.0, -1.0, np.nan)),
    *(("adwin", {name: 0}) for name in ("clock", "max_buckets", "min_window_length")),
    ("adwin", {"max_buckets": 1}),
    ("adwin", {"grace_period": -1}),
    ("ddm", {"warm_start": -1}),
    *(("ddm", {"drift_threshold": value}) for value in (-1.0, np.nan, np.inf)),
    ("ddm", {"warning_threshold": -1.0}),
    ("ph", {"min_instances": -1}),
    *(("ph", {"delta": value}) for value in (-0.1, np.nan, np.inf)),
    *(("ph", {"threshold": value}) for value in (-0.1, np.nan, np.inf)),
    *(("ph", {"alpha": value}) for value in (0.0, 1.1, np.nan)),
    ("ph", {"mode": "sideways"}),
]


@pytest.mark.parametrize(("name", "given"), BAD)
def test_settings_out_of_range_are_refused(name: str, given: Settings) -> None:
    with pytest.raises(InvalidInput) as caught:
        OURS[name](**given)
    assert caught.value.field in given
