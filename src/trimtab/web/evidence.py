"""The picture behind an incident: a feature as it was learnt and as it comes, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trimtab.audit.work import Reading
from trimtab.incidents.model import Incident
from trimtab.kernel.errors import InvalidInput, TrimtabError
from trimtab.monitoring.model import Window
from trimtab.observations import frame as frames
from trimtab.platform.blobs_port import Blobs
from trimtab.policies.operation import Monitoring
from trimtab.registry import store
from trimtab.registry.model import Version
from trimtab.web import courses, words
from trimtab.web.charts import NARROW, WIDE, Chart, Spec, svg, token

_BINS = 40
_CATEGORIES = 12
_LONGEST = timedelta(days=14)
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Bin:
    """A stretch of values, or a category, with its share of the rows then and now."""

    label: str
    low: float
    high: float
    then: float
    now: float


@dataclass(frozen=True)
class Distributions:
    """Both distributions of one feature over the same bins; shares from 0 to 1."""

    feature: str
    numeric: bool
    bins: tuple[Bin, ...]
    rows_then: int
    rows_now: int
    since: datetime
    until: datetime

    def says(self) -> str:
        """What the picture shows."""
        most = max(self.bins, key=lambda b: abs(b.now - b.then))
        return (
            f"{self.feature} in {self.rows_now} rows from {words.moment(self.since)} to "
            f"{words.moment(self.until)}, beside {self.rows_then} rows of training data. The "
            f"largest difference is at {most.label}: {words.share(most.then, 1)} then, "
            f"{words.share(most.now, 1)} now."
        )


@dataclass(frozen=True)
class Evidence:
    """The pictures, or why there is none."""

    distributions: Distributions | None
    picture: Chart | None
    why_none: str | None
    course: Chart | None
    course_says: str


def read(
    reading: Reading,
    blobs: Blobs,
    incident: Incident,
    version: Version | None,
    windows: Sequence[Window],
    demands: Monitoring,
) -> Evidence:
    """Both pictures of what an incident is about.

    Args:
        reading: A reading transaction.
        blobs: Where the training data is kept.
        incident: The incident.
        version: The version that was stable when it was detected; None if none was.
        windows: Those around the incident, oldest first.
        demands: What is asked of a window.
    """
    says, course = courses.read(incident, windows, demands)
    try:
        found = _distributions(reading, blobs, incident, version, demands)
    except (TrimtabError, pa.ArrowInvalid) as error:
        return Evidence(None, None, str(error), course, says)
    return Evidence(found, draw(found), None, course, says)


def draw(found: Distributions) -> Chart:
    """Both distributions in one picture."""
    says = found.says()
    return Chart(svg(spec(found, WIDE), says), svg(spec(found, NARROW), says))


def compare(
    feature: str,
    then: NDArray[np.generic],
    now: NDArray[np.generic],
    since: datetime,
    until: datetime,
) -> Distributions:
    """Both samples over common bins: equal widths between the outermost percentiles for
    numbers, the most frequent names for categories.

    Args:
        feature: Its name.
        then: Shape (n,), the training data; missing values are left out.
        now: Shape (m,), the same feature as it came.
        since: From when.
        until: To when.

    Raises:
        InvalidInput: no value on one of the sides.
    """
    numeric = then.dtype.kind in "fiub" and now.dtype.kind in "fiub"
    old, new = _known(then, numeric=numeric), _known(now, numeric=numeric)
    if not old.size or not new.size:
        raise InvalidInput(f"{feature} has no value to draw on one of the sides")
    bins = _number_bins(old, new) if numeric else _category_bins(old, new)
    return Distributions(feature, numeric, bins, int(old.size), int(new.size), since, until)


def spec(found: Distributions, width: int) -> Spec:
    """The specification: the training data filled, the present as a line."""
    values = [{**vars(b), "order": n} for n, b in enumerate(found.bins)]
    axis = {"title": None, "labelOverlap": True, "grid": False, "tickCount": 6}
    height = {"type": "quantitative", "axis": {"title": None, "format": ".0%", "tickCount": 3}}
    if found.numeric:
        x: Spec = {"field": "low", "type": "quantitative", "axis": axis, "scale": {"zero": False}}
        marks: list[Spec] = [
            {"mark": {"type": "area", "interpolate": "step-after", "color": token("x-canary"),
                      "opacity": 0.45}, "encoding": {"x": x, "y": {**height, "field": "then"}}},
            {"mark": {"type": "line", "interpolate": "step-after", "color": token("bad"),
                      "strokeWidth": 1.8}, "encoding": {"x": x, "y": {**height, "field": "now"}}},
        ]  # fmt: skip
    else:
        x = {"field": "label", "type": "nominal", "sort": {"field": "order"},
             "axis": {**axis, "labelAngle": 0, "labelLimit": 60}}  # fmt: skip
        marks = [
            {"mark": {"type": "bar", "color": token("x-canary"), "opacity": 0.6},
             "encoding": {"x": x, "y": {**height, "field": "then"}}},
            {"mark": {"type": "tick", "color": token("bad"), "thickness": 3, "bandSize": 18},
             "encoding": {"x": x, "y": {**height, "field": "now"}}},
        ]  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "width": width,
        "height": 150,
        "layer": marks,
    }


def _distributions(
    reading: Reading,
    blobs: Blobs,
    incident: Incident,
    version: Version | None,
    demands: Monitoring,
) -> Distributions:
    if incident.feature is None:
        raise InvalidInput("the incident is about no single feature")
    if version is None:
        raise InvalidInput("no version was stable when it was detected")
    since, until = _seen(incident, demands)
    features = store.model_named(reading, incident.model).feature_names
    frame = frames.load(reading, incident.model, since, until, features=features)
    now = frame.features.get(incident.feature)
    if now is None:
        raise InvalidInput(f"no prediction since then carries {incident.feature}")
    if incident.tenant is not None:
        now = now[frame.tenant == incident.tenant]
    content = blobs.read_verified(version.reference_digest, max_bytes=_MAX_BYTES)
    table = pq.read_table(BytesIO(content), columns=[incident.feature])
    then = table[incident.feature].to_numpy()
    return compare(incident.feature, then, now, since, until)


def _seen(incident: Incident, demands: Monitoring) -> tuple[datetime, datetime]:
    """From the start of the move to its detection: what was judged. What came later may be
    repaired already, and would hide it."""
    until = incident.detected_at
    since = incident.drift_start
    if since is None or since >= until:
        since = until - timedelta(hours=demands.window_hours)
    return max(since, until - _LONGEST), until


def _known(values: NDArray[np.generic], *, numeric: bool) -> NDArray[np.generic]:
    if numeric:
        floats = values.astype(np.float64)
        return np.asarray(floats[np.isfinite(floats)])
    return np.asarray([str(value) for value in values.tolist() if value is not None])


def _number_bins(old: NDArray[np.generic], new: NDArray[np.generic]) -> tuple[Bin, ...]:
    samples = old.astype(np.float64), new.astype(np.float64)
    both = np.concatenate([np.percentile(sample, [0.5, 99.5]) for sample in samples])
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    then, now = (
        np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / sample.size
        for sample in samples
    )
    return tuple(
        Bin(f"{a:.4g} to {b:.4g}", a, b, float(then[n]), float(now[n]))
        for n, (a, b) in enumerate(pairwise(edges.tolist()))
    )


def _category_bins(old: NDArray[np.generic], new: NDArray[np.generic]) -> tuple[Bin, ...]:
    shares = []
    for sample in (old, new):
        names, counts = np.unique(sample, return_counts=True)
        shares.append(dict(zip(names.tolist(), (counts / sample.size).tolist(), strict=True)))
    then, now = shares
    names = sorted({*then, *now}, key=lambda n: -max(then.get(n, 0.0), now.get(n, 0.0)))
    return tuple(
        Bin(str(name), float(n), float(n), then.get(name, 0.0), now.get(name, 0.0))
        for n, name in enumerate(names[:_CATEGORIES])
    )
