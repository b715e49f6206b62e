from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats
import sklearn.decomposition
import sklearn.preprocessing

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.reconstruction import (
    calm_range,
    calm_reconstruction,
    fit_axes,
    reconstruction_test,
)

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1901)


def together(rng: np.random.Generator, n: int, sign: float = 1.0) -> np.ndarray:
    """Six columns that follow two causes; with another sign one column follows backwards.

    Every column by itself is normal with the same variance either way.
    """
    causes = rng.normal(size=(n, 2))
    rows = np.concatenate([causes[:, :1]] * 3 + [causes[:, 1:]] * 3, axis=1)
    rows += 0.5 * rng.normal(size=(n, 6))
    rows[:, 0] *= sign
    return rows


def test_errors_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    r, c = together(rng, 400) * [1, 10, 100, 1, 1, 1] + 7, together(rng, 50)
    scaler = sklearn.preprocessing.StandardScaler().fit(r)
    pca = sklearn.decomposition.PCA(n_components=2).fit(scaler.transform(r))
    z = scaler.transform(c)
    expected = np.linalg.norm(z - pca.inverse_transform(pca.transform(z)), axis=1)
    axes = fit_axes(r, components=2)
    assert axes.errors(c) == pytest.approx(expected, rel=1e-9)
    assert axes.explained == pytest.approx(pca.explained_variance_ratio_, rel=1e-9)
    assert (fit_axes(r, variance=0.7).directions == axes.directions).all()


def test_a_null_is_filled_with_the_mean_of_the_reference(rng: np.random.Generator) -> None:
    r = together(rng, 300)
    axes = fit_axes(r, components=2)
    row = r[:1].copy()
    row[0, 4] = np.nan
    filled = row.copy()
    filled[0, 4] = r[:, 4].mean()
    assert axes.errors(row) == pytest.approx(axes.errors(filled), rel=1e-9)
    holes = r.copy()
    holes[::7, 2] = np.nan
    means = np.nanmean(holes, axis=0)
    assert fit_axes(holes, components=2).centre == pytest.approx(means)


def test_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(
        reconstruction_test(together(rng, 200), together(rng, 80)).p_value <= 0.05
        for _ in range(800)
    )
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    turned = measure(
        reconstruction_test(together(rng, 200), together(rng, 80, -1.0)).p_value <= 0.05
        for _ in range(100)
    )
    assert turned.low > 0.9, turned
    marginal = measure(
        scipy.stats.ks_2samp(together(rng, 200)[:, 0], together(rng, 80, -1.0)[:, 0]).pvalue <= 0.05
        for _ in range(200)
    )
    assert marginal.high < 0.12, marginal  # no column by itself shows it


def test_a_range_for_chunks_keeps_its_level_with_few_chunks(
    rng: np.random.Generator, measure: Measure
) -> None:
    for chunks in (5, 40):
        out = []
        for _ in range(2000):
            x = rng.normal(3.0, 0.1, size=chunks + 1)
            low, high = calm_range(x[1:], level=0.05)
            out.append(not low <= x[0] <= high)
        seen = measure(out)
        assert seen.low <= 0.05 <= seen.high, seen


def test_a_bound_from_chunks_of_the_reference(rng: np.random.Generator, measure: Measure) -> None:
    def outside(sign: float) -> bool:
        axes, calm = calm_reconstruction(together(rng, 1000), chunk_rows=50, level=0.05)
        return not calm.low <= float(axes.errors(together(rng, 50, sign)).mean()) <= calm.high

    calm = measure(outside(1.0) for _ in range(500))
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    turned = measure(outside(-1.0) for _ in range(100))
    assert turned.low > 0.9, turned


def test_what_has_no_axes_is_refused(rng: np.random.Generator) -> None:
    r = together(rng, 100)
    axes = fit_axes(r, components=2)
    with pytest.raises(InvalidInput):
        axes.errors(r[:, :3])
    with pytest.raises(InvalidInput):
        fit_axes(r[:, :1])
    with pytest.raises(InvalidInput, match="infinite"):
        fit_axes(np.where(r > 2, np.inf, r))
    with pytest.raises(InvalidInput):
        fit_axes(r, components=6)
    with pytest.raises(InvalidInput):
        fit_axes(r, variance=1.0)
    with pytest.raises(InvalidInput):
        fit_axes([["a", "b"]])
    for bad in (r[:3], np.ones((50, 3)), np.where(np.arange(6) == 2, np.nan, r)):
        with pytest.raises(TooFewValues):
            fit_axes(bad)
    empty = r.copy()
    empty[4] = np.nan
    with pytest.raises(TooFewValues, match="1 of 100 rows"):
        reconstruction_test(empty, r)
    with pytest.raises(TooFewValues):
        reconstruction_test(r, r[:19])
    with pytest.raises(TooFewValues, match="5 are needed"):
        calm_reconstruction(r, chunk_rows=20, level=0.05)
    with pytest.raises(InvalidInput):
        calm_reconstruction(r, chunk_rows=0, level=0.05)
    for values in ([1.0] * 4, [1.0] * 9):
        with pytest.raises(TooFewValues):
            calm_range(values, level=0.05)


def test_the_range_is_the_prediction_interval(rng: np.random.Generator) -> None:
    x = rng.normal(size=7)
    scale = x.std(ddof=1) * np.sqrt(1.0 + 1.0 / 7.0)
    expected = scipy.stats.t.interval(0.99, 6, loc=x.mean(), scale=scale)
    assert calm_range(x, level=0.01) == pytest.approx(expected, rel=1e-9)
