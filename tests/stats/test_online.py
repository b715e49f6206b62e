from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.online import Lord, Saffron

KINDS = [Lord, Saffron]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2018)


def lord_weights(count: int) -> np.ndarray:
    j = np.arange(1, count + 1)
    return np.asarray(0.079 * np.log(np.maximum(j, 2)) / (j * np.exp(np.sqrt(np.log(j)))))


def test_levels_of_lord_are_those_of_the_paper(rng: np.random.Generator) -> None:
    p = rng.random(300) ** 3
    stream, weights, times = Lord(level=0.1), lord_weights(400), list[int]()
    for t, value in enumerate(p, 1):
        expected = 0.05 * weights[t - 1]
        expected += sum(
            (0.05 if i == 0 else 0.1) * weights[t - time - 1] for i, time in enumerate(times)
        )
        assert stream.next_level() == pytest.approx(expected, rel=1e-12)
        if stream.test(value):
            times.append(t)
    assert stream.discoveries == times
    assert len(times) > 10


def test_levels_of_saffron_are_those_of_the_paper(rng: np.random.Generator) -> None:
    p = rng.random(300) ** 3
    mass = 1.0 / scipy.special.zeta(1.6)
    stream, times = Saffron(level=0.1), list[int]()
    for t, value in enumerate(p, 1):
        level = 0.0
        for i, since in enumerate([0, *times]):
            calm = sum(1 for x in p[since : t - 1] if x > 0.5)
            level += (0.1 if i > 1 else 0.05) * mass * (1 + calm) ** -1.6
        assert stream.next_level() == pytest.approx(min(0.5, 0.5 * level), rel=1e-9)
        if stream.test(value):
            times.append(t)
    assert stream.discoveries == times
    assert len(times) > 10


def test_the_budget_is_not_larger_than_the_level() -> None:
    weights = lord_weights(200_000)
    tail = scipy.integrate.quad(
        lambda u: 0.079 * u * math.exp(-math.sqrt(u)), math.log(200_000), np.inf
    )[0]
    assert 0.99 < weights.sum() + tail <= 1.0
    calm = Saffron(level=0.05)
    spent = 0.0
    for _ in range(5000):
        spent += calm.next_level()
        calm.test(0.9)
    assert 0.011 < spent <= 0.0125  # half of the level, times one minus the candidates' limit


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_share_of_false_discoveries_and_power(
    kind: type[Lord] | type[Saffron], rng: np.random.Generator
) -> None:
    """500 windows, every fifth has moved by four standard errors."""
    shares, found = [], []
    for _ in range(150):
        moved = rng.random(500) < 0.2
        p = scipy.stats.norm.sf(rng.normal(size=500) + 4.0 * moved)
        stream = kind(level=0.1)
        fell = np.array([stream.test(value) for value in p])
        shares.append((fell & ~moved).sum() / max(1, fell.sum()))
        found.append((fell & moved).sum() / moved.sum())
    assert np.mean(shares) < 0.1, np.mean(shares)
    assert np.mean(found) > 0.7, np.mean(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calm_stream_hardly_ever_alarms(
    kind: type[Lord] | type[Saffron], rng: np.random.Generator
) -> None:
    alarmed = []
    for _ in range(300):
        stream = kind(level=0.05)
        alarmed.append(any(stream.test(p) for p in rng.random(200)))
    assert np.mean(alarmed) < 0.05  # testing each window at 0.05 gives 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_goes_on_from_its_state(
    kind: type[Lord] | type[Saffron], rng: np.random.Generator
) -> None:
    p = rng.random(200) ** 3
    whole, parts = kind(level=0.1), kind(level=0.1)
    straight = [whole.test(value) for value in p]
    broken = []
    for value in p:
        parts = kind.from_state(json.loads(json.dumps(parts.to_state())))
        broken.append(parts.test(value))
    assert broken == straight
    assert parts == whole


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_is_refused(kind: type[Lord] | type[Saffron]) -> None:
    stream = kind(level=0.05)
    before = stream.to_state()
    for bad in (float("nan"), -0.1, 1.5):
        with pytest.raises(InvalidInput):
            stream.test(bad)
    assert stream.to_state() == before
    with pytest.raises(InvalidInput):
        kind(level=0.95)
    for change in (
        {"tested": -1},
        {"tested": 1.5},
        {"discoveries": [3, 2], "tested": 5},
        {"discoveries": [9], "tested": 5},
        {"discoveries": "none"},
        {"level": "high"},
        {"more": 1},
    ):
        with pytest.raises(InvalidInput):
            kind.from_state({**before, **change})
    with pytest.raises(InvalidInput):
        Saffron(level=0.05, candidates=[])
