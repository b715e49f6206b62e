"""What is said of two profiles holds for the rows that they were made from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles.drawn import columns, finite, grids, profiled

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.profiles.category import CategoryProfile, of_counts
from trimtab.profiles.comparison import category_distance, numeric_distance
from trimtab.profiles.grid import LOGARITHMIC, Grid, fit
from trimtab.profiles.numeric import NumericProfile
from trimtab.stats.univariate import jensen_shannon_from_counts, psi_from_counts

Law = Callable[[np.random.Generator, int], np.ndarray]

LAWS: dict[str, Law] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal 1": lambda rng, n: rng.lognormal(0, 1, size=n),
    "lognormal 3": lambda rng, n: rng.lognormal(0, 3, size=n),
    "student 1.2": lambda rng, n: rng.standard_t(1.2, size=n),
    "student 2": lambda rng, n: rng.standard_t(2, size=n),
    "uniform": lambda rng, n: rng.uniform(-3, 5, size=n),
    "poisson": lambda rng, n: rng.poisson(4, size=n).astype(np.float64),
    "zero-inflated": lambda rng, n: np.where(rng.random(n) < 0.8, 0.0, rng.lognormal(size=n)),
    "offset": lambda rng, n: 1e9 + rng.normal(size=n),
    "subnormal": lambda rng, n: rng.normal(size=n) * 1e-310,
    "to 1e15": lambda rng, n: np.floor(rng.uniform(0, 1e15, size=n)),
    "constant": lambda rng, n: np.full(n, 7.25),
}
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "times 1000": lambda x: x * 1000,
    "wider": lambda x: (x - np.median(x)) * 1.3 + np.median(x),
    "beyond": lambda x: x + 10 * (x.max() - x.min() + 1.0),
    "negated": lambda x: -x,
}
WHOLE = ("poisson", "to 1e15")


def exact(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The largest gap and the area between the distribution functions of two columns."""
    x, y = np.sort(x), np.sort(y)
    at = np.unique(np.concatenate([x, y]))
    gap = np.searchsorted(x, at, "right") / x.size - np.searchsorted(y, at, "right") / y.size
    return float(np.abs(gap).max()), float((np.abs(gap[:-1]) * np.diff(at)).sum())


def bounds_hold(x: np.ndarray, y: np.ndarray, a: NumericProfile, b: NumericProfile) -> None:
    found = numeric_distance(a, b)
    d, w1 = exact(x, y)
    assert found.ks_d <= d + 1e-12
    assert d <= found.ks_d_high + 1e-12
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()))
    assert abs(found.wasserstein - w1) <= found.wasserstein_error + 1e-9 * w1 + 1e-13 * scale
    if found.bins is None:
        assert found.psi is None
        return
    edges = np.concatenate([[-np.inf], found.bins.edges, [np.inf]])
    before, now = np.histogram(x, edges)[0], np.histogram(y, edges)[0]
    assert before.tolist() == found.bins.reference.tolist()
    assert now.tolist() == found.bins.current.tolist()
    p, q = before + 0.5, now + 0.5
    psi = scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p)
    assert found.psi == pytest.approx(psi, rel=1e-9, abs=1e-12)
    apart = scipy.spatial.distance.jensenshannon(before, now, base=2)
    assert found.jensen_shannon == pytest.approx(apart, rel=1e-6, abs=1e-7)


# -- numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("law", LAWS)
def test_the_truth_is_within_the_bounds(law: str, change: str) -> None:
    rng = np.random.default_rng(5)
    whole = law in WHOLE and change != "wider"
    for n, m in ((2000, 700), (60, 2500)):
        x, y = LAWS[law](rng, n), CHANGES[change](LAWS[law](rng, m))
        a = profiled(fit(x), x, whole=whole)
        for grid in (fit(x), fit(y), LOGARITHMIC):
            bounds_hold(x, y, a, profiled(grid, y, whole=whole))


@given(columns(), columns(), grids(), grids())
@example(
    np.array([0.0]), np.array([-1e-13]), Grid(-1029, 0, 0), Grid(976, -128, 2176)
)  # as near to zero as cells of 2^976 can tell
@settings(max_examples=100)
def test_the_truth_is_within_the_bounds_for_any_columns(
    one: np.ndarray, other: np.ndarray, grid: Grid, its: Grid
) -> None:
    x, y = (v[np.abs(v) <= 1e300] for v in (finite(one), finite(other)))
    # nearer to zero, the quotient by the width of the window's cells may be no double
    tiny = max(1e-290, 2.0 ** max(-1022, max(grid.level, its.level) - 1022))
    x, y = (v[(v == 0.0) | (np.abs(v) > tiny)] for v in (x, y))
    if not x.size or not y.size:
        return
    a, b = profiled(grid, x), profiled(its, y)
    found, (d, w1) = numeric_distance(a, b), exact(x, y)
    assert found.ks_d <= d + 1e-12
    assert d <= found.ks_d_high + 1e-12
    scale = float(max(np.abs(x).max(), np.abs(y).max()))
    slack = 1e-9 * w1 + 1e-13 * scale
    assert abs(found.wasserstein - w1) <= found.wasserstein_error + slack


@pytest.mark.parametrize("law", LAWS)
def test_distances_are_the_same_from_either_side(law: str) -> None:
    rng = np.random.default_rng(6)
    x, y = LAWS[law](rng, 900), LAWS[law](rng, 400) * 1.1
    a, b = profiled(fit(x), x), profiled(fit(y), y)
    there, back = numeric_distance(a, b), numeric_distance(b, a)
    for name in ("ks_d", "ks_d_high", "p_value", "wasserstein", "wasserstein_error"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), rel=1e-12, abs=1e-300)
    assert there.mean_change == -back.mean_change


@pytest.mark.parametrize("law", LAWS)
def test_a_profile_is_at_no_distance_from_itself(law: str) -> None:
    x = LAWS[law](np.random.default_rng(0), 1000)
    found = numeric_distance(profiled(fit(x), x), profiled(fit(x), x))
    assert (found.ks_d, found.wasserstein, found.mean_change, found.p_value) == (0, 0, 0, 1)
    assert found.psi in (None, 0.0)


@pytest.mark.parametrize("law", LAWS)
def test_disjoint_supports_are_as_far_as_they_are(law: str) -> None:
    rng = np.random.default_rng(7)
    x, y = LAWS[law](rng, 500), LAWS[law](rng, 500)
    y = y + 3 * (max(x.max(), y.max()) - min(x.min(), y.min()) + 1.0)
    found = numeric_distance(profiled(fit(x), x), profiled(fit(x), y))
    assert found.ks_d == found.ks_d_high == 1.0
    assert found.p_value < 1e-100
    error = found.wasserstein_error
    assert found.wasserstein == pytest.approx(y.mean() - x.mean(), rel=1e-9, abs=error)
    assert error <= 0.01 * found.wasserstein


def test_within_a_cell_the_values_are_taken_to_lie_evenly() -> None:
    """Gaps of 0, -1/4, 1/4 and 0 at the edges 0, 1, 2 and 2.5: the middle one crosses zero."""
    grid = Grid(0, 0, 128)
    x, y = np.array([0.0, 1.2, 1.4, 1.6]), np.array([0.3, 0.4, 1.5, 2.5])
    found = numeric_distance(profiled(grid, x), profiled(grid, y))
    assert (found.ks_d, found.ks_d_high) == (0.25, 0.5)
    assert found.wasserstein == 1 / 8 + 1 / 8 + 1 / 16
    assert found.wasserstein_error == (3 / 4 + 1 + 1 / 8) / 2


def test_two_whole_numbers_in_a_cell_may_be_apart() -> None:
    grid = Grid(1, 0, 128)
    zeros, ones = np.zeros(50), np.ones(50)
    found = numeric_distance(profiled(grid, zeros, whole=True), profiled(grid, ones, whole=True))
    assert (found.ks_d, found.ks_d_high) == (0.0, 1.0)
    assert found.wasserstein_error >= 1.0
    fine = Grid(0, 0, 128)
    exact = numeric_distance(profiled(fine, zeros, whole=True), profiled(fine, ones, whole=True))
    assert (exact.ks_d, exact.ks_d_high, exact.wasserstein) == (1.0, 1.0, 1.0)
    assert exact.wasserstein_error == 0.0


def test_the_p_value_is_that_of_smirnov() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=3000), rng.normal(0.08, 1, size=2000)
    found = numeric_distance(profiled(fit(x), x), profiled(fit(x), y))
    expected = scipy.stats.ks_2samp(x, y, method="asymp")
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.2)
    assert found.p_value >= expected.pvalue * 0.9


@pytest.mark.parametrize("law", LAWS)
def test_what_is_said_of_one_column_is_within_a_cell(law: str) -> None:
    x = LAWS[law](np.random.default_rng(9), 4000)
    whole = law in WHOLE
    found = profiled(fit(x), x, whole=whole)
    width = found.cells.upper - found.cells.lower
    half = float((width / 2 * found.cells.count).sum() / x.size)
    tiny = 1e-12 * float(np.abs(x).max())
    assert abs(found.mean - x.mean()) <= half + tiny
    # The triangle inequality: no value is farther than half its cell from where it is taken.
    unit = float(np.abs(x).max())  # squares of 1e-310 are no doubles
    scaled = width / unit
    moved = unit * float(np.sqrt((scaled**2 / 4 * found.cells.count).sum() / x.size))
    assert abs(found.deviation - (x / unit).std() * unit) <= moved + 10 * tiny
    ordered = np.sort(x)
    for share in (0.0, 0.01, 0.25, 0.5, 0.75, 0.999, 1.0):
        true = ordered[max(0, int(np.ceil(share * x.size)) - 1)]
        place = int(np.searchsorted(found.cells.lower, true, side="right")) - 1
        assert abs(found.quantile(share) - true) <= width[max(0, place)] + tiny
    if law == "poisson":
        assert found.mean == pytest.approx(x.mean(), rel=1e-12)
        assert found.deviation == pytest.approx(x.std(), rel=1e-12)


def test_rows_near_a_value_are_at_least_its_own() -> None:
    rng = np.random.default_rng(1)
    x = LAWS["zero-inflated"](rng, 5000)
    found = profiled(fit(x), x)
    for value in (0.0, float(x.max()), -1e6, 1e6, float(np.median(x[x > 0]))):
        assert found.rows_near(value) >= int((x == value).sum())
    assert found.rows_near(-1e6) == 0
    assert found.rows_near(0.0) <= int((np.abs(x) < 0.05).sum())


def test_a_question_without_an_answer_is_refused() -> None:
    some = profiled(LOGARITHMIC, np.array([1.0, 2.0]))
    none = profiled(LOGARITHMIC, np.array([np.nan]))
    for pair in ((some, none), (none, some)):
        with pytest.raises(TooFewValues):
            numeric_distance(*pair)
    with pytest.raises(InvalidInput):
        numeric_distance(some, some, bins=1)
    asked: list[Callable[[], float]] = [
        lambda: none.mean,
        lambda: none.deviation,
        lambda: none.quantile(0.5),
    ]
    for ask in asked:
        with pytest.raises(TooFewValues):
            ask()
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidInput):
            some.quantile(share)


# -- categories -----------------------------------------------------------------------------


def of_names(counts: dict[str, int]) -> CategoryProfile:
    return of_counts(counts, rows=sum(counts.values()), nulls=0)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5000), min_size=1),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5000), min_size=1),
)
def test_categories_are_as_far_as_their_shares(a: dict[str, int], b: dict[str, int]) -> None:
    found = category_distance(of_names(a), of_names(b))
    back = category_distance(of_names(b), of_names(a))
    names = sorted({*a, *b})
    r = np.array([a.get(name, 0) for name in names])
    c = np.array([b.get(name, 0) for name in names])
    p, q = r / r.sum(), c / c.sum()
    assert found.categories == len(names)
    assert found.mass == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-12)
    assert back.mass == pytest.approx(found.mass, abs=1e-12)
    if len(names) == 1:
        assert found.p_value == 1.0
        return
    assert found.psi == pytest.approx(psi_from_counts(r, c), abs=1e-12)
    assert found.jensen_shannon == pytest.approx(
        scipy.spatial.distance.jensenshannon(p, q, base=2), rel=1e-6, abs=1e-7
    )
    assert found.jensen_shannon == pytest.approx(jensen_shannon_from_counts(r, c).distance)


def test_the_p_value_of_full_categories_is_that_of_pearson() -> None:
    r, c = {"a": 4000, "b": 3000, "c": 3000}, {"a": 2100, "b": 1440, "c": 1460}
    found = category_distance(of_names(r), of_names(c))
    table = [[r[name] for name in "abc"], [c[name] for name in "abc"]]
    expected = scipy.stats.chi2_contingency(table, correction=False).pvalue
    assert found.p_value == pytest.approx(expected, rel=0.02)
    assert found.mass_moved == max(0.0, found.mass - found.mass_by_chance)


def test_too_many_names_are_compared_by_digest() -> None:
    many = of_names({f"n{number}": 2 for number in range(12_000)})
    few = of_names({f"n{number}": 3 for number in range(9_000)})
    assert not many.named
    assert category_distance(many, many).mass == 0.0
    found, back = category_distance(many, few), category_distance(few, many)
    p, q = many.in_buckets() / many.known, few.in_buckets() / few.known
    assert found.mass == pytest.approx(np.abs(p - q).sum() / 2)
    assert back.mass == pytest.approx(found.mass)
    assert found.mass <= 0.25 + 1e-12  # a fourth of the names is gone; digests may hide some


def test_no_category_is_at_no_distance() -> None:
    nothing, some = of_counts({}, rows=2, nulls=2), of_names({"a": 1})
    for pair in ((nothing, some), (some, nothing)):
        with pytest.raises(TooFewValues):
            category_distance(*pair)
