"""Real versions for the stories: trained once, the same bytes in every run."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.demo import data
from trimtab.demo.story import Fault, FlightStory, HousingStory
from trimtab.recipes.gradient_boosting import Hyperparameters, Limits, train
from trimtab.sdk import shapes

FLIGHTS = FlightStory(replay=6)
HOMES = HousingStory(rows_a_day=800, replay=2, pool_days=1, moves_on=date(2015, 3, 3), endpoints=60)
TOO_SHORT = Fault("distance_miles", 0.55)
"""An export in which every distance is too short: live, almost every flight looks long."""

_LIMITS = Limits(min_rows=150, max_rows=40_000, max_parity=1e-4, max_single_auc=0.9999)
_SMALL = Hyperparameters(trees=25, depth=4, learning_rate=0.2)
_SHARE = 0.3
_SEED = 2015


@dataclass(frozen=True)
class Candidate:
    """What is handed in for one version."""

    facts: shapes.NewVersion
    artifact: bytes
    reference: bytes
    holdout: bytes


_LEARNS_FROM = {
    "1.0.0": date(2015, 1, 20),
    "1.1.0": date(2015, 1, 22),
    "1.2.0": date(2015, 1, 24),
    "1.3.0": date(2015, 1, 26),
}


@cache
def flights(version: str) -> Candidate:
    """A version of the flights' model; all but the first have learnt from another unit."""
    table = data.flight_training(
        _LEARNS_FROM[version],
        date(2015, 3, 1),
        story=FLIGHTS,
        faults=() if version == "1.0.0" else (TOO_SHORT,),
    )
    return _trained(table, FLIGHTS.features, data.LONG_FLIGHT, FLIGHTS.max_fpr, version)


@cache
def homes(version: str, *, max_fpr: float) -> Candidate:
    """The version of the homes' model that knows one corner of the state."""
    table = data.home_training(0, HOMES.known_rows, story=HOMES)
    return _trained(table, HOMES.features, data.VALUABLE_HOME, max_fpr, version)


def _trained(
    table: pa.Table, features: tuple[str, ...], label: str, max_fpr: float, version: str
) -> Candidate:
    trained = train(
        table,
        features=features,
        label=label,
        time=data.DAY,
        seed=_SEED,
        max_fpr=max_fpr,
        validation_share=_SHARE,
        limits=_LIMITS,
        hyperparameters=_SMALL,
    )
    ordered = table.sort_by(data.DAY)
    quality = trained.quality
    metrics = {
        "precision": quality.precision,
        "recall": quality.recall,
        "f1": quality.f1,
        "false_positive_rate": quality.false_positive_rate,
    }
    facts = shapes.NewVersion(
        version=version,
        framework="scikit-learn, ONNX",
        cutoff=trained.cutoff,
        training_metrics=metrics,
        reason=f"version {version}",
    )
    held_back = ordered.slice(ordered.num_rows - int(ordered.num_rows * _SHARE))
    return Candidate(facts, trained.onnx, _parquet(ordered), _parquet(held_back))


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
