"""Against SciPy, over many orders of magnitude."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special as oracle
import scipy.stats

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import special

RNG = np.random.default_rng(20150)
PAIRS = [(float(a), float(b)) for a, b in 10 ** RNG.uniform(-2, 6, size=(300, 2))]


def test_incomplete_beta() -> None:
    for a, b in PAIRS:
        for x in (RNG.beta(a, b), RNG.random()):
            expected = oracle.betainc(a, b, x)
            assert special.beta_i(a, b, float(x)) == pytest.approx(expected, abs=1e-10)


def test_beta_quantile() -> None:
    for a, b in PAIRS:
        p = float(RNG.random())
        expected = oracle.betaincinv(a, b, p)
        assert special.beta_quantile(p, a, b) == pytest.approx(expected, rel=1e-10, abs=1e-200)
    assert special.beta_quantile(0.0, 2.0, 3.0) == 0.0
    assert special.beta_quantile(1.0, 2.0, 3.0) == 1.0


def test_far_tails_keep_their_relative_accuracy() -> None:
    assert special.beta_i(50.0, 5.0, 1e-4) == pytest.approx(oracle.betainc(50, 5, 1e-4), rel=1e-10)
    assert special.gamma_q(3.0, 200.0) == pytest.approx(oracle.gammaincc(3, 200), rel=1e-10)
    assert special.beta_quantile(1e-30, 3.0, 4.0) == pytest.approx(
        oracle.betaincinv(3, 4, 1e-30), rel=1e-10
    )


def test_incomplete_gamma() -> None:
    for a, _ in PAIRS:
        x = float(RNG.gamma(a) * RNG.uniform(0.5, 1.5))
        assert special.gamma_p(a, x) == pytest.approx(oracle.gammainc(a, x), abs=1e-10)
        assert special.gamma_q(a, x) == pytest.approx(oracle.gammaincc(a, x), abs=1e-10)
    assert special.gamma_p(2.0, 0.0) == 0.0
    assert special.gamma_p(2.0, float("inf")) == 1.0


@pytest.mark.parametrize("dof", [1, 2, 9, 99, 10_000])
@pytest.mark.parametrize("p", [1e-6, 0.01, 0.5, 0.9, 0.999, 1 - 1e-9])
def test_quantiles_of_chi_squared_and_student(p: float, dof: int) -> None:
    assert special.chi2_quantile(p, dof) == pytest.approx(scipy.stats.chi2.ppf(p, dof), rel=1e-10)
    t = scipy.stats.t.ppf(p, dof)
    assert special.t_quantile(p, dof) == pytest.approx(t, rel=1e-8, abs=1e-10)
    assert special.t_sf(t, dof) == pytest.approx(scipy.stats.t.sf(t, dof), abs=1e-10)
    chi2 = scipy.stats.chi2.ppf(p, dof)
    assert special.chi2_sf(chi2, dof) == pytest.approx(scipy.stats.chi2.sf(chi2, dof), rel=1e-9)


@pytest.mark.parametrize("p", [1e-250, 1e-9, 0.025, 0.5, 0.975, 1 - 1e-12])
def test_normal_quantile(p: float) -> None:
    assert special.normal_quantile(p) == pytest.approx(oracle.ndtri(p), rel=1e-10, abs=1e-12)
    x = float(oracle.ndtri(p))
    assert special.normal_sf(x) == pytest.approx(scipy.stats.norm.sf(x), rel=1e-10)


@pytest.mark.parametrize("x", [0.0, 0.01, 0.1, 0.3, 0.6, 0.999, 1.0, 1.36, 2.0, 5.0])
def test_kolmogorov(x: float) -> None:
    assert special.kolmogorov_sf(x) == pytest.approx(oracle.kolmogorov(x), abs=1e-12)


def test_student_far_out() -> None:
    assert special.t_sf(float("inf"), 3) == 0.0
    assert special.t_sf(float("-inf"), 3) == 1.0
    assert special.t_quantile(0.5, 3) == 0.0


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_parameters_that_make_no_distribution_are_refused(bad: float) -> None:
    calls: tuple[Callable[[], float], ...] = (
        lambda: special.beta_i(bad, 1.0, 0.5),
        lambda: special.beta_quantile(0.5, 1.0, bad),
        lambda: special.gamma_p(bad, 1.0),
        lambda: special.chi2_quantile(0.5, bad),
        lambda: special.chi2_sf(1.0, bad),
        lambda: special.t_sf(1.0, bad),
        lambda: special.t_quantile(0.5, bad),
    )
    for call in calls:
        with pytest.raises(InvalidInput):
            call()


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    calls: tuple[Callable[[], float], ...] = (
        lambda: special.beta_i(1.0, 1.0, bad),
        lambda: special.beta_quantile(bad, 1.0, 1.0),
        lambda: special.normal_quantile(bad),
        lambda: special.chi2_quantile(bad, 1.0),
        lambda: special.t_quantile(bad, 1.0),
    )
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
    with pytest.raises(InvalidInput):
        special.kolmogorov_sf(float("nan"))
    with pytest.raises(InvalidInput):
        special.t_sf(float("nan"), 2.0)
