"""What somebody may ask of detection, and what a quorum makes of it."""

from __future__ import annotations

import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.monitoring.detection import Alertness, Algorithm, DetectionConfig, configured
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Monitoring


@pytest.fixture(scope="module")
def wanted() -> Monitoring:
    return load_preset("standard").tier(1).monitoring


def test_all_means_six() -> None:
    assert DetectionConfig.parse("all", None, "medium").algorithms == tuple(Algorithm)
    assert len(tuple(Algorithm)) == 6


def test_names_are_read_leniently_and_unknown_ones_refused() -> None:
    found = DetectionConfig.parse("KS, emd,page-hinkley", 2, "high")
    assert found.algorithms == (Algorithm.KS, Algorithm.WASSERSTEIN, Algorithm.PAGE_HINKLEY)
    assert (found.quorum, found.sensitivity) == (2, Alertness.HIGH)
    for algorithms, sensitivity in [("ks,chi", "low"), ("", "low"), ("all", "extreme")]:
        with pytest.raises(InvalidInput):
            DetectionConfig.parse(algorithms, None, sensitivity)


@pytest.mark.parametrize(("word", "factor"), [("low", 2.0), ("medium", 1.0), ("high", 0.5)])
def test_sensitivity_scales_the_smallest_effects(
    word: str, factor: float, wanted: Monitoring
) -> None:
    found = configured(wanted, DetectionConfig.parse("all", None, word))
    for name in ("effects_dataset", "effects_global", "effects_tenant"):
        before, now = getattr(wanted, name), getattr(found, name)
        for effect in ("ks_d", "wasserstein_scaled", "psi_nats", "category_mass"):
            assert getattr(now, effect) == pytest.approx(getattr(before, effect) * factor)


def test_a_quorum_that_cannot_be_reached_is_refused(wanted: Monitoring) -> None:
    """Two statistics of one window are not two witnesses: together they have 1.5 votes."""
    with pytest.raises(InvalidInput, match=r"these detectors have 1\.5 votes"):
        configured(wanted, DetectionConfig.parse("ks,psi", 2, "medium"))
    found = configured(wanted, DetectionConfig.parse("ks,psi,adwin", 2, "medium"))
    assert found.quorum.min_votes == 2
    assert [detector.name for detector in found.quorum.detectors] == ["ks", "psi", "adwin"]


def test_fewer_detectors_lower_the_quorum_of_the_policy_to_what_they_have(
    wanted: Monitoring,
) -> None:
    found = configured(wanted, DetectionConfig.parse("ks", None, "medium"))
    assert found.quorum.min_votes == 1.0
