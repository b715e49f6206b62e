"""What holds for every detector on streams, one by one and in batches, compiled and plain."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.detectors import (
    DETECTORS,
    ON_ERRORS,
    RESTORE,
    STANDS,
    in_chunks,
    one_by_one,
    stream,
)

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import _kernels

MISSING = [math.nan, math.inf, -math.inf, 2e140, -1e300]


@pytest.fixture(params=["compiled", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Batches as they run with numba, and as they run where it is not installed."""
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "numba", None)
    _kernels.compiled_here.cache_clear()
    assert _kernels.compiled_here() is (request.param == "compiled")
    yield request.param
    monkeypatch.undo()
    _kernels.compiled_here.cache_clear()


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("sizes", [[5000], [1], [7, 1, 200, 32], [999, 1]])
def test_a_batch_is_one_by_one_in_any_chunks(name: str, sizes: list[int], way: str) -> None:
    values = stream(name, 5000, seed=3, at=2500)
    values[::11] = np.resize(MISSING, len(values[::11]))
    one, many = DETECTORS[name](), DETECTORS[name]()
    alarms = one_by_one(one, values)
    assert [i for i in alarms if i >= 2500]
    assert in_chunks(many, values, sizes) == alarms
    assert many.to_state() == one.to_state()
    assert many.refused == len(values[::11])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", DETECTORS)
def test_any_stream_in_any_chunks(name: str, data: st.DataObject) -> None:
    number = st.sampled_from([0.0, 1.0]) if name in ON_ERRORS else st.floats(-1e6, 1e6)
    odd = st.sampled_from(MISSING)
    drawn = data.draw(st.lists(st.one_of(number, number, number, odd), max_size=200))
    values = np.array(drawn * 3, dtype=np.float64)
    sizes = data.draw(st.lists(st.integers(1, 90), min_size=1, max_size=5))
    one, many = DETECTORS[name](), DETECTORS[name]()
    assert in_chunks(many, values, sizes) == one_by_one(one, values)
    assert many.to_state() == one.to_state()


@pytest.mark.parametrize("name", DETECTORS)
def test_nothing_that_is_missing_blinds(name: str, way: str) -> None:
    """Wherever it stands: before everything, around a look or an alarm, right at the change."""
    calm = stream(name, 3000, seed=4, at=1500)
    places = [0, 0, 1, 29, 31, 32, 33, 49, 50, 51, 75, 76, 1499, 1500, 1501, 1600, 2999]
    rows = np.insert(calm, places, np.resize(MISSING, len(places)))
    clean, holed, single = (DETECTORS[name]() for _ in range(3))
    alarms = [int(i) for i in clean.update_many(calm)]
    kept = np.flatnonzero(np.isfinite(rows) & (np.abs(rows) < 1e140))
    assert [i for i in alarms if 1500 <= i < 1600]
    assert holed.update_many(rows).tolist() == kept[alarms].tolist()
    assert one_by_one(single, rows) == kept[alarms].tolist()
    assert holed.refused == single.refused == len(places)
    assert holed.to_state() == single.to_state() == {**clean.to_state(), "refused": len(places)}


@pytest.mark.parametrize("name", DETECTORS)
def test_a_stream_of_nothing_is_not_ready(name: str) -> None:
    watch = DETECTORS[name]()
    assert watch.update_many(np.full(500, np.nan)).tolist() == []
    assert watch.update_many([]).tolist() == []
    assert not watch.ready
    assert watch.refused == 500


@pytest.mark.parametrize("name", DETECTORS)
def test_a_state_goes_on_where_it_stopped(name: str) -> None:
    values = stream(name, 1200, seed=5, at=700)
    values[100] = np.nan
    steady = DETECTORS[name]()
    alarms = one_by_one(steady, values)
    assert alarms
    for stop in (0, 1, 20, 21, 31, 49, 50, 51, 500, alarms[-1], alarms[-1] + 1, 1200):
        first = DETECTORS[name]()
        before = [int(i) for i in first.update_many(values[:stop])]
        written = json.dumps(first.to_state(), allow_nan=False)
        moved = RESTORE[name](json.loads(written))
        assert json.dumps(moved.to_state()) == written
        after = [stop + i for i in one_by_one(moved, values[stop:])]
        assert before + after == alarms, stop
        assert moved.to_state() == steady.to_state(), stop


@pytest.mark.parametrize("name", DETECTORS)
def test_states_that_are_none_are_refused(name: str) -> None:
    watch = DETECTORS[name]()
    watch.update_many(stream(name, 300, seed=6, at=300))
    good = watch.to_state()
    some = "mean" if "mean" in good else "total" if "total" in good else "level"
    broken: list[dict[str, Any]] = [
        {},
        {**good, "more": 1},
        {key: value for key, value in good.items() if key != "refused"},
        {**good, some: math.nan},
        {**good, some: "high"},
        {**good, "count": 1.5},
        {**good, "count": -1},
        {**good, "count": True},
        {**good, "refused": math.inf},
    ]
    for state in broken:
        with pytest.raises(InvalidInput):
            RESTORE[name](state)
    assert RESTORE[name](good).to_state() == good


@pytest.mark.parametrize("name", DETECTORS)
def test_other_kinds_of_numbers_are_the_same_and_leave_plain_ones(name: str) -> None:
    values = np.round(stream(name, 900, seed=7, at=500))
    wanted, scalars, objects, whole = (DETECTORS[name]() for _ in range(4))
    alarms = wanted.update_many(values).tolist()
    assert [i for i, v in enumerate(values.astype(np.float32)) if scalars.update(v)][:1] == alarms[
        :1
    ]
    assert objects.update_many([None if v == 9 else float(v) for v in values]).tolist() == alarms
    assert whole.update_many(values.astype(np.int16)).tolist() == alarms
    kinds = {type(value) for value in scalars.to_state().values()}
    assert kinds <= {int, float, bool, str, list}
    assert scalars.to_state() == wanted.to_state() == objects.to_state() == whole.to_state()


@pytest.mark.parametrize("name", DETECTORS)
def test_none_and_masked_values_are_missing(name: str) -> None:
    values = stream(name, 600, seed=8, at=400)
    holes = np.arange(600) % 7 == 0
    wanted, listed, masked, singly = (DETECTORS[name]() for _ in range(4))
    wanted.update_many(np.where(holes, np.nan, values))
    with_none: list[float | None] = [
        None if h else v for h, v in zip(holes, values.tolist(), strict=True)
    ]
    listed.update_many(with_none)
    masked.update_many(np.ma.MaskedArray(values, mask=holes))
    for value in with_none:
        singly.update(value)  # type: ignore[arg-type]  # None is taken, and not advertised
    assert wanted.refused == int(holes.sum())
    assert wanted.to_state() == listed.to_state() == masked.to_state() == singly.to_state()


@pytest.mark.parametrize("name", DETECTORS)
def test_read_only_and_strided_arrays_are_taken_and_left(name: str, way: str) -> None:
    values = stream(name, 1000, seed=9, at=600)
    wide = np.stack([values, values + 1.0], axis=1)
    frozen = values.copy()
    frozen.setflags(write=False)
    first, second = DETECTORS[name](), DETECTORS[name]()
    assert first.update_many(frozen).tolist() == second.update_many(wide[:, 0]).tolist() != []
    assert first.to_state() == second.to_state()
    assert (wide[:, 0] == values).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_no_stream_is_refused_and_changes_nothing(name: str) -> None:
    watch = DETECTORS[name]()
    values = stream(name, 100, seed=10, at=100)
    watch.update_many(values)
    before = watch.to_state()
    bad: list[Any] = [values.reshape(10, 10), 0.5, ["a"], [1 + 2j], [object()]]
    bad += [np.append(values, 2.0)] if name in ON_ERRORS else []
    for one in bad:
        with pytest.raises(InvalidInput):
            watch.update_many(one)
    singles: list[Any] = ["1", 1j, [1.0], object(), *([0.5, -1, 2] if name in ON_ERRORS else [])]
    for single in singles:
        with pytest.raises(InvalidInput):
            watch.update(single)
    assert watch.to_state() == before


@pytest.mark.parametrize("name", DETECTORS)
def test_a_reset_forgets_everything(name: str) -> None:
    watch = DETECTORS[name]()
    values = stream(name, 900, seed=11, at=500)
    values[3] = np.nan
    alarms = watch.update_many(values).tolist()
    assert alarms
    watch.reset()
    assert watch.to_state() == DETECTORS[name]().to_state()
    assert watch.update_many(values).tolist() == alarms


@pytest.mark.parametrize("name", sorted(set(DETECTORS) - set(STANDS)))
def test_the_value_after_an_alarm_begins_anew(name: str) -> None:
    watch, fresh = DETECTORS[name](), DETECTORS[name]()
    values = stream(name, 900, seed=12, at=500)
    first = int(watch.update_many(values)[0])
    watch.reset()
    assert watch.update_many(values[: first + 1]).tolist() == [first]
    assert watch.alarmed
    assert not watch.ready
    assert not watch.update(math.nan)
    assert watch.alarmed
    rest = watch.update_many(np.insert(values[first + 1 :], 0, np.nan)).tolist()
    assert [index - 1 for index in rest] == fresh.update_many(values[first + 1 :]).tolist()
    assert watch.to_state() == {**fresh.to_state(), "refused": 2}


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**30])
def test_the_unit_does_not_matter_to_the_self_starting_one(scale: float) -> None:
    values = stream("self-starting", 4000, seed=13, at=2000)
    plain, scaled = DETECTORS["self-starting"](), DETECTORS["self-starting"]()
    found = plain.update_many(values).tolist()
    assert found == scaled.update_many(values * scale).tolist() != []
    assert found[0] >= 2000


@pytest.mark.parametrize("name", ["adwin", "page-hinkley"])
def test_the_unit_matters_to_the_others_as_their_pages_say(name: str) -> None:
    values = stream(name, 4000, seed=13, at=2000)
    alarms = {
        scale: DETECTORS[name]().update_many(values * scale).tolist() for scale in (0.001, 1, 1e6)
    }
    assert alarms[0.001] == []
    assert [i for i in alarms[1] if 2000 <= i < 2100]
    assert [i for i in alarms[1e6] if 2000 <= i < 2100]
    assert (len(alarms[1e6]) > 100) is (name == "page-hinkley")


def test_a_detector_does_not_load_numba_until_a_batch() -> None:
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from tests.stats.detectors import DETECTORS, RESTORE
for name, make in DETECTORS.items():
    watch = make()
    for turn in range(200):
        watch.update(float(turn % 2))
    RESTORE[name](watch.to_state())
assert "numba" not in sys.modules
DETECTORS["ddm"]().update_many([0.0, 1.0])
assert "numba" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same() -> None:
    """A function without a file has no place for a cache, as an installation on a full disk."""
    numba = importlib.import_module("numba")
    made: dict[str, Any] = {}
    exec("def twice(values):\n    return (2.0 * values[0],)", made)
    takes = _kernels._signature(numba.types, "v")
    assert _kernels._kept(numba, made["twice"], takes)(np.array([21.0])) == (42.0,)
    exec("def broken(values):\n    return nothing_of_this_name", made)
    with pytest.raises(numba.errors.TypingError):
        _kernels._kept(numba, made["broken"], takes)


def test_buckets_that_do_not_add_up_to_the_window_are_refused() -> None:
    watch = DETECTORS["adwin"]()
    watch.update_many(stream("adwin", 50, seed=14, at=50))
    good: dict[str, Any] = watch.to_state()
    for broken in (
        {"width": good["width"] + 1.0},
        {"totals": good["totals"][:-1]},
        {"spreads": good["spreads"][:-1]},
        {"totals": [[0.0] * 50], "spreads": [[0.0] * 50]},
        {"totals": [], "spreads": [], "width": 0.0},
        {"totals": [["0"], *good["totals"][1:]]},
    ):
        with pytest.raises(InvalidInput):
            RESTORE["adwin"]({**good, **broken})
