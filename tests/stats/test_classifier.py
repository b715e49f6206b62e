from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats import classifier
from trimtab.stats.classifier import classifier_test
from trimtab.stats.intervals import Interval

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2017)


def turned(rng: np.random.Generator, n: int, angle: float) -> np.ndarray:
    """Three columns; the ellipse of the first two is turned, so that each stays standard normal
    at 45 and at 135 degrees."""
    z = rng.normal(size=(n, 3)) * [np.sqrt(1.6), np.sqrt(0.4), 1.0]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    first, second = cos * z[:, 0] - sin * z[:, 1], sin * z[:, 0] + cos * z[:, 1]
    return np.stack([first, second, z[:, 2]], axis=1)


def test_the_fit_agrees_with_scikit_learn(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rng.normal(size=(300, 4))
    y = (rng.random(300) < 1 / (1 + np.exp(-x[:, 0] + 0.5 * x[:, 1] + 1.0))).astype(np.float64)
    model = sklearn.linear_model.LogisticRegression(
        C=1.0 / 2.0, class_weight="balanced", tol=1e-12, max_iter=10_000
    ).fit(x, y)
    few = classifier._fit(x, y[:, None], 2.0)
    monkeypatch.setattr(classifier, "_STEPS", 3000)
    found = classifier._fit(x, y[:, None], 2.0)
    assert found[1:, 0] == pytest.approx(model.coef_[0], rel=1e-5)
    assert found[0, 0] == pytest.approx(model.intercept_[0], rel=1e-5)
    shown = sklearn.metrics.roc_auc_score(y, x @ few[1:, 0])
    assert shown == pytest.approx(sklearn.metrics.roc_auc_score(y, x @ found[1:, 0]), abs=0.003)


def test_areas_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    scores = np.stack([rng.normal(size=80), rng.integers(0, 5, 80), np.zeros(80)], axis=1)
    labels = np.zeros((80, 3))
    for column in range(3):
        labels[rng.choice(80, 30, replace=False), column] = 1.0
    expected = [sklearn.metrics.roc_auc_score(labels[:, i], scores[:, i]) for i in range(3)]
    assert classifier._aucs(scores, labels) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(100, 100), (150, 40)])
def test_false_alarms(n: int, m: int, rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(
        classifier_test(
            turned(rng, n, 45), turned(rng, m, 45), permutations=19, folds=3, seed=seed
        ).p_value
        <= 0.05
        for seed in range(400)
    )
    assert calm.low <= 0.05 <= calm.high, calm


def test_a_rotation_that_no_column_shows_is_found(
    rng: np.random.Generator, measure: Measure
) -> None:
    found, without, marginal = [], [], []
    for seed in range(30):
        r, c = turned(rng, 300, 45), turned(rng, 150, 135)
        seen = classifier_test(r, c, permutations=19, folds=3, seed=seed)
        found.append(seen.p_value <= 0.05)
        assert seen.terms[int(np.argmax(np.abs(seen.weights)))] == (0, 1)
        means = classifier_test(r, c, products=False, permutations=19, folds=3, seed=seed)
        without.append(means.p_value <= 0.05)
        marginal.append(
            min(scipy.stats.ks_2samp(r[:, i], c[:, i]).pvalue for i in range(3)) <= 0.05 / 3
        )
    assert measure(found).low > 0.8
    assert measure(without).high < 0.4
    assert measure(marginal).high < 0.4


def test_the_same_seed_gives_the_same_result(rng: np.random.Generator) -> None:
    r, c = turned(rng, 60, 45), turned(rng, 60, 90)
    one, again = (classifier_test(r, c, permutations=19, seed=4) for _ in range(2))
    assert (one.auc, one.p_value) == (again.auc, again.p_value)
    assert (one.weights == again.weights).all()


def test_units_and_constant_columns_do_not_matter(rng: np.random.Generator) -> None:
    r, c = turned(rng, 100, 45), turned(rng, 80, 100)
    plain = classifier_test(r, c, permutations=19)
    scaled = classifier_test(r * [1000, 1, 0.01], c * [1000, 1, 0.01], permutations=19)
    assert scaled.auc == pytest.approx(plain.auc, abs=1e-9)
    assert scaled.p_value == plain.p_value
    more = [np.concatenate([side, np.ones((len(side), 1))], axis=1) for side in (r, c)]
    wider = classifier_test(*more, permutations=19)
    assert wider.terms == plain.terms
    assert wider.auc == pytest.approx(plain.auc, abs=1e-9)


def test_what_cannot_be_learned_is_refused(rng: np.random.Generator) -> None:
    good = turned(rng, 60, 0)
    with pytest.raises(TooFewValues):
        classifier_test(good, good[:24])
    with pytest.raises(TooFewValues):
        classifier_test(np.ones((60, 2)), np.ones((60, 2)))
    broken = good.copy()
    broken[0, 0] = np.nan
    with pytest.raises(InvalidInput):
        classifier_test(broken, good)
    for wrong in ({"folds": 1}, {"permutations": 9}, {"ridge": 0.0}):
        with pytest.raises(InvalidInput):
            classifier_test(good, good, **wrong)


def test_rows_are_scored_by_models_that_have_not_seen_them(rng: np.random.Generator) -> None:
    """With as many terms as here, the rows of the fit themselves give an area of about 0.65."""
    areas = [
        classifier_test(
            rng.normal(size=(60, 3)), rng.normal(size=(60, 3)), permutations=19, seed=seed
        ).auc
        for seed in range(100)
    ]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)
