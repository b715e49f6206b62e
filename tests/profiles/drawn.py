"""Columns as they come: what hypothesis draws, and how a test profiles them by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

from trimtab.kernel.errors import TooFewValues
from trimtab.profiles import codec
from trimtab.profiles.counting import NumericCounter
from trimtab.profiles.grid import LOGARITHMIC, Grid, fit
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile
from trimtab.stats.sample import Sample

ODD = np.array(
    [
        *(0.0, -0.0, 5e-324, -5e-324, 2.2e-308, -1e-320, 1e-30, -1e-30, -1e-17),
        *(1.0, -1.0, 0.1, 127.99999999999999, -128.00000000000003, 2.0**53 + 2.0, 1e15, 1e18),
        *(1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308),
        *(float("nan"), float("inf"), float("-inf")),
    ]
)

_Law = Callable[[np.random.Generator, int], Sample]
SHAPES: dict[str, _Law] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "tails": lambda rng, n: rng.standard_t(1.1, size=n),
    "offset": lambda rng, n: 1e9 + rng.normal(size=n) * 1e-3,
    "counts": lambda rng, n: rng.poisson(3.0, size=n).astype(np.float64),
    "large": lambda rng, n: rng.integers(-(2**62), 2**62, size=n).astype(np.float64),
    "constant": lambda rng, n: np.full(n, rng.normal()),
    "spread": lambda rng, n: rng.lognormal(0.0, 5.0, size=n),
    "below": lambda rng, n: -rng.lognormal(0.0, 2.0, size=n),
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.normal(size=n)),
    "subnormal": lambda rng, n: rng.normal(size=n) * 1e-310,
}


@st.composite
def _shaped(draw: st.DrawFn) -> Sample:
    """A longer column: numpy draws its values, hypothesis its shape."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = SHAPES[draw(st.sampled_from(sorted(SHAPES)))](rng, draw(st.integers(1, 300)))
    odd = rng.random(values.size) < draw(st.sampled_from([0.0, 0.1]))
    return np.where(odd, rng.choice(ODD, size=values.size), values)


def columns() -> st.SearchStrategy[Sample]:
    """Any column of doubles."""
    short = st.lists(st.floats() | st.sampled_from(ODD.tolist()), max_size=40)
    return short.map(lambda values: np.array(values, dtype=np.float64)) | _shaped()


def finite(values: Sample) -> Sample:
    """What of a column is neither NaN nor infinite."""
    return values[np.isfinite(values)]


def fitted(values: Sample) -> Grid:
    """The grid that a column would get."""
    try:
        return fit(values)
    except TooFewValues:
        return LOGARITHMIC


def grids() -> st.SearchStrategy[Grid]:
    """Grids of columns, of any window, and the logarithmic one."""
    windows = st.builds(
        lambda level, start, cells: Grid(level, start * 128, cells * 128),
        st.integers(-60, 60),
        st.integers(-40, 40),
        st.integers(1, 32),
    )
    return st.just(LOGARITHMIC) | windows | columns().map(fitted)


def profiled(grid: Grid, *parts: Sample, whole: bool = False) -> NumericProfile:
    """A column in chunks, counted by one grid."""
    counter = NumericCounter(grid, whole=whole)
    for part in parts:
        counter.add(part)
    return counter.profile()


def as_bytes(profile: Profile) -> bytes:
    """A profile as it is kept."""
    return codec.to_bytes(TableProfile(profile.rows, {"x": profile}))


def split(values: Sample, cuts: Sequence[int]) -> list[Sample]:
    """A column in parts."""
    return np.split(values, sorted(cut % (values.size + 1) for cut in cuts))
