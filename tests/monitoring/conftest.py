"""Real flights as windows: their reference, their days, and the faults a feed can have."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache

import numpy as np
import pyarrow.parquet as pq
import pytest

from trimtab.demo.data import Column, flight_traffic, flight_training
from trimtab.demo.story import MILES_TO_KILOMETRES, Fault, FlightStory
from trimtab.monitoring.reference import Reference, References
from trimtab.observations.frame import Frame
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Monitoring

STORY = FlightStory()
KINDS = {
    "distance_miles": "numeric",
    "departure_delay_min": "numeric",
    "taxi_out_min": "numeric",
    "airline": "category",
}
KILOMETRES = Fault("distance_miles", MILES_TO_KILOMETRES)

Day = Callable[..., Frame]


@pytest.fixture(scope="session")
def demands() -> Monitoring:
    return load_preset("standard").tier(3).monitoring


@pytest.fixture(scope="session")
def reference_bytes() -> bytes:
    """Training data of January and February, as a version brings it along."""
    table = flight_training(date(2015, 1, 1), date(2015, 3, 1), story=STORY)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.fixture(scope="session")
def reference(reference_bytes: bytes) -> Reference:
    return Reference.from_parquet(
        reference_bytes, KINDS, tenant_column="airline", digest="sha256:ab"
    )


@pytest.fixture(scope="session")
def references(reference: Reference) -> References:
    return References(reference)


@pytest.fixture(scope="session")
def day() -> Day:
    """A day's traffic as a frame: `day(date, *faults, columns={...}, labels=True, ...)`."""
    return _day


def _day(
    when: date,
    *faults: Fault,
    columns: Mapping[str, Callable[[Column], Column]] | None = None,
    labels: bool = True,
    version: str = "1.0.0",
    only: str | None = None,
) -> Frame:
    plain = _traffic(when, faults)
    changed = {
        name: change(plain.features[name].copy()) for name, change in (columns or {}).items()
    }
    features = {**plain.features, **changed}
    frame = Frame(
        tenant=plain.tenant,
        version=np.full(len(plain), version, dtype=object),
        deployment=plain.deployment,
        endpoint=plain.endpoint,
        at=plain.at,
        score=answers(features["distance_miles"]),
        latency_ms=plain.latency_ms,
        label=plain.label if labels else np.full(len(plain), -1, dtype=np.int8),
        features=features,
    )
    return frame if only is None else frame.where(frame.tenant == only)


def answers(distance: Column) -> Column:
    """What a small, sensible model answers: far is long. Missing counts as near."""
    return 1.0 / (1.0 + np.exp((950.0 - np.nan_to_num(distance)) / 40.0))


@cache
def _traffic(when: date, faults: tuple[Fault, ...]) -> Frame:
    traffic = flight_traffic(when, story=STORY, seed=2015, faults=faults)
    assert traffic.tenants is not None
    size = len(traffic)
    return Frame(
        tenant=traffic.tenants.astype(object),
        version=np.full(size, "1.0.0", dtype=object),
        deployment=np.full(size, "stable", dtype=object),
        endpoint=traffic.endpoints.astype(object),
        at=traffic.at,
        score=np.zeros(size),
        latency_ms=np.full(size, 3.0),
        label=traffic.labels.astype(np.int8),
        features={
            name: column.astype(object if column.dtype.kind == "U" else np.float64)
            for name, column in traffic.features.items()
        },
    )
