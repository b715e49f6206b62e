"""Evidence drawn from real flights and homes, as the demo's feeds would send it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trimtab.demo import data
from trimtab.demo.story import Fault, Story
from trimtab.diagnosis.evidence import Evidence, Stretch
from trimtab.kernel.ids import TenantId
from trimtab.policies.loader import load_preset
from trimtab.policies.model import TierPolicy
from trimtab.recipes.gradient_boosting import Limits, TrainedModel, predict, train

LIMITS = Limits(min_rows=200, max_rows=20_000, max_parity=1e-5, max_single_auc=0.995)
STORY = Story()


class Flights:
    """The flights model and its rivals, and the evidence that their traffic gives."""

    def __init__(self) -> None:
        flights = STORY.flights
        self._drawn: dict[tuple[date, int, str | None, int], Stretch] = {}
        self.active = self._trained(flights.first_trained_until)
        table = data.flight_training(
            flights.history_start, flights.first_trained_until, story=flights
        )
        self.reference = reference(table, flights.features, data.LONG_FLIGHT)

    @cached_property
    def broken(self) -> TrainedModel:
        """The candidate whose training export held nautical miles."""
        flights = STORY.flights
        return self._trained(flights.broken_trained_until, (flights.broken_export,))

    def evidence(
        self,
        start: date,
        *faults: Fault,
        days: int = 3,
        calm_days: int = 7,
        canary: bool = False,
        tenant: str | None = None,
        seed: int = 2015,
    ) -> Evidence:
        """`days` from `start` on, with `faults` and perhaps a canary, after calm days."""
        before = self._calm(start - timedelta(calm_days), calm_days, tenant, seed)
        after = self._stretch(start, days, faults, canary, tenant, seed)
        return Evidence(
            model="flights",
            tenant=None if tenant is None else TenantId(tenant),
            reference=self.reference,
            before=before,
            after=after,
            cutoffs={"1.0.0": self.active.cutoff}
            | ({"1.1.0": self.broken.cutoff} if canary else {}),
        )

    def _trained(self, until: date, faults: tuple[Fault, ...] = ()) -> TrainedModel:
        flights = STORY.flights
        return train(
            data.flight_training(flights.history_start, until, story=flights, faults=faults),
            features=flights.features,
            label=data.LONG_FLIGHT,
            time=data.DAY,
            seed=STORY.seed,
            max_fpr=flights.max_fpr,
            validation_share=flights.validation_share,
            limits=LIMITS,
        )

    def _calm(self, start: date, days: int, tenant: str | None, seed: int) -> Stretch:
        """The same for every fault that comes after it, so drawn and scored once."""
        asked = (start, days, tenant, seed)
        if asked not in self._drawn:
            self._drawn[asked] = self._stretch(start, days, (), False, tenant, seed)
        return self._drawn[asked]

    def _stretch(
        self,
        start: date,
        days: int,
        faults: Sequence[Fault],
        canary: bool,
        tenant: str | None,
        seed: int,
    ) -> Stretch:
        clean, label, endpoints = calm_flights(start, days, seed)
        features = data.faulted(clean, np.full(label.size, np.datetime64(start, "D")), faults)
        score = predict(self.active.onnx, features)
        version = np.full(label.size, "1.0.0", dtype=object)
        if canary:
            chosen = np.asarray([name.endswith(("0", "5")) for name in endpoints])
            score = np.where(chosen, predict(self.broken.onnx, features), score)
            version[chosen] = "1.1.0"
        found = stretch(features, score, label, version)
        return found if tenant is None else found.where(features["airline"] == tenant)


@cache
def calm_flights(start: date, days: int, seed: int) -> tuple[dict[str, Any], Any, Any]:
    """Features, labels and endpoints of `days` from `start` on, without a fault."""
    flights = STORY.flights
    parts = [
        data.flight_traffic(start + timedelta(day), story=flights, seed=seed) for day in range(days)
    ]
    features = {
        name: np.concatenate([part.features[name] for part in parts]) for name in flights.features
    }
    label = np.concatenate([part.labels for part in parts])
    return features, label, np.concatenate([part.endpoints for part in parts])


class Homes:
    """The homes model, and the evidence of its move into new places."""

    def __init__(self) -> None:
        housing = STORY.housing
        table = data.home_training(0, housing.known_rows, story=housing)
        self.model = train(
            table,
            features=housing.features,
            label=data.VALUABLE_HOME,
            time=data.DAY,
            seed=STORY.seed,
            max_fpr=housing.max_fpr,
            validation_share=housing.validation_share,
            limits=LIMITS,
        )
        self.reference = reference(table, housing.features, data.VALUABLE_HOME)

    def evidence(self, before: date, after: date, *, days: int = 7) -> Evidence:
        """A week from `after` on against a week from `before` on."""
        return Evidence(
            model="homes",
            tenant=None,
            reference=self.reference,
            before=self._stretch(before, days),
            after=self._stretch(after, days),
            cutoffs={"1.0.0": self.model.cutoff},
        )

    def _stretch(self, start: date, days: int) -> Stretch:
        housing = STORY.housing
        parts = [
            data.home_traffic(start + timedelta(day), story=housing, seed=STORY.seed)
            for day in range(days)
        ]
        features = {
            name: np.concatenate([part.features[name] for part in parts])
            for name in housing.features
        }
        label = np.concatenate([part.labels for part in parts])
        score = predict(self.model.onnx, features)
        return stretch(features, score, label, np.full(label.size, "1.0.0", dtype=object))


def reference(table: pa.Table, features: Sequence[str], label: str) -> Stretch:
    """A training table as a stretch."""
    columns = {name: served(table[name].to_numpy(zero_copy_only=False)) for name in features}
    return Stretch.of_training(columns, table[label].to_numpy().astype(np.int8))


def stretch(
    features: Mapping[str, Any], score: Any, label: Any, version: Any, deployment: str = "stable"
) -> Stretch:
    """Columns as observations hand them out: float64 or text objects."""
    deployments = np.where(version == "1.0.0", deployment, "canary").astype(object)
    return Stretch(
        features={name: served(column) for name, column in features.items()},
        score=np.asarray(score, dtype=np.float64),
        label=np.asarray(label).astype(np.int8),
        version=version,
        deployment=deployments,
    )


def served(column: Any) -> Any:
    """A column in the type in which observations hand it out."""
    return column.astype(np.float64) if column.dtype.kind == "f" else column.astype(object)


@pytest.fixture(scope="session")
def flights() -> Flights:
    return Flights()


@pytest.fixture(scope="session")
def homes() -> Homes:
    return Homes()


@pytest.fixture(scope="session")
def policy() -> TierPolicy:
    return load_preset("standard").tiers.tier_2
