"""What holds for every statistic on two samples, and for the room as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.stats.detectors import DETECTORS, Detector

import trimtab.stats
from trimtab.kernel.errors import InvalidInput
from trimtab.stats.rescale import mixture_scale_change, scale_change
from trimtab.stats.univariate import (
    kolmogorov_smirnov,
    population_stability_index,
    wasserstein,
    wasserstein_scaled,
)

Distance = Callable[[np.ndarray, np.ndarray], float]
DISTANCES: dict[str, Distance] = {
    "psi": population_stability_index,
    "ks": lambda r, c: kolmogorov_smirnov(r, c).statistic,
    "ks p": lambda r, c: kolmogorov_smirnov(r, c).p_value,
    "wasserstein": wasserstein,
    "wasserstein scaled": wasserstein_scaled,
    "factor": lambda r, c: scale_change(r, c).factor,
    "mixture": lambda r, c: mixture_scale_change(r, c).residual_ks,
}
SYMMETRIC = ["ks", "ks p", "wasserstein"]
SCALE_FREE = ["psi", "ks", "ks p", "wasserstein scaled", "factor", "mixture"]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(99)
    return rng.gamma(3, 2, size=700), rng.gamma(3, 2.3, size=500)


@pytest.mark.parametrize("name", DISTANCES)
def test_the_order_of_rows_does_not_matter(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    r, c = pair
    again = DISTANCES[name](rng.permutation(r), rng.permutation(c))
    assert again == pytest.approx(DISTANCES[name](r, c), rel=1e-12)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_sides_may_be_swapped(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    r, c = pair
    assert DISTANCES[name](c, r) == pytest.approx(DISTANCES[name](r, c), rel=1e-12)


@pytest.mark.parametrize("name", SCALE_FREE)
def test_the_unit_does_not_matter(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    r, c = pair
    assert DISTANCES[name](r * 1024, c * 1024) == pytest.approx(DISTANCES[name](r, c), rel=1e-9)


@pytest.mark.parametrize("name", DISTANCES)
def test_inputs_stay_as_they_were(name: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    r, c = (side.copy() for side in pair)
    for side in (r, c):
        side.setflags(write=False)
    DISTANCES[name](r, c)
    assert (r == pair[0]).all()


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(
    name: str, bad: float, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    r, c = pair
    with pytest.raises(InvalidInput):
        DISTANCES[name](np.append(r, bad), c)
    with pytest.raises(InvalidInput):
        DISTANCES[name](r, np.append(c, bad))


def pages() -> list[str]:
    """The name of every page of the room, the private ones too."""
    found = sorted(path.stem for path in Path(trimtab.stats.__path__[0]).glob("*.py"))
    assert len(found) >= 15
    return [page for page in found if page != "__init__"]


@pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)
def test_every_detector_has_an_example_and_says_when_not_to_use_it(
    make: Callable[[], Detector],
) -> None:
    said = type(make()).__doc__ or ""
    for part in (">>> ", "When not to use it: ", "Source: ", "Raises:", "`refused`"):
        assert part in said, part


def test_the_room_loads_numpy_and_the_kernel_only() -> None:
    program = "\n".join(
        [
            "import json, sys",
            *(f"import trimtab.stats.{page}" for page in pages()),
            "tops = {n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)",
            "rooms = [n for n in sys.modules if n.startswith('trimtab.')]",
            "print(json.dumps([sorted(tops), sorted(rooms)]))",
        ]
    )
    # -S leaves site hooks of the installation out; the paths are handed over instead.
    program = f"import sys; sys.path[:0] = {sys.path!r}\n" + program
    answer = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True
    )
    tops, rooms = json.loads(answer.stdout)
    assert {top for top in tops if not top.startswith("_")} <= {"numpy", "trimtab"}
    assert {".".join(room.split(".")[:2]) for room in rooms} == {"trimtab.kernel", "trimtab.stats"}
