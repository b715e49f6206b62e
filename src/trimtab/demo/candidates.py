"""Training a version on real rows and handing it in, as a data scientist would."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trimtab.demo import data
from trimtab.demo.story import Fault, FlightStory, HousingStory, Story
from trimtab.recipes.gradient_boosting import Hyperparameters, Limits, TrainedModel, train
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

FLIGHTS = "flight-air-time"
HOMES = "home-value"

_LIMITS = Limits(min_rows=150, max_rows=40_000, max_parity=1e-4, max_single_auc=0.9999)


def register_models(scientist: Client, story: Story) -> None:
    """Register both models with the facts that their tiers follow from."""
    scientist.models.register(
        shapes.NewModel(
            name=FLIGHTS,
            owner="Flight operations",
            description="Does a flight spend more than two hours in the air? Crews and meals "
            "are planned on the answer.",
            risk_facts=shapes.RiskFactsShape(
                customer_facing=True,
                pii=False,
                sensitive_data=False,
                annual_financial_impact_usd=250_000,
                regulated_domain=False,
                criticality="important",
                reversible=True,
                environment_cap="none",
            ),
            features=[
                shapes.FeatureShape(name=n, kind="category" if n == "airline" else "numeric")
                for n in story.flights.features
            ],
            label=data.LONG_FLIGHT,
            reason="first registration",
        )
    )
    scientist.models.register(
        shapes.NewModel(
            name=HOMES,
            owner="Property research",
            description="Is a home worth more than the median? An internal sorting aid.",
            risk_facts=shapes.RiskFactsShape(
                customer_facing=False,
                pii=False,
                sensitive_data=False,
                annual_financial_impact_usd=0,
                regulated_domain=False,
                criticality="ordinary",
                reversible=True,
                environment_cap="none",
            ),
            features=[shapes.FeatureShape(name=n, kind="numeric") for n in story.housing.features],
            label=data.VALUABLE_HOME,
            reason="first registration",
        )
    )


@dataclass(frozen=True)
class Candidate:
    """A version of the flights' model: when it is handed in, and what it learns from.

    `until` is exclusive; `tenant` None is everybody; None for `hyperparameters`: the
    recipe's own.
    """

    on: date
    version: str
    until: date
    max_fpr: float
    why: str
    tenant: str | None = None
    parent: str | None = None
    faults: tuple[Fault, ...] = ()
    hyperparameters: Hyperparameters | None = None
    validation_share: float | None = None
    """Of the rows, the latest, kept back; None: the story's own."""


def flight_candidates(story: FlightStory, first_day: date) -> tuple[Candidate, ...]:
    """Every version of the flights' model that people hand in, in order."""
    return (
        Candidate(first_day, "1.0.0", story.first_trained_until, story.max_fpr, "the first model"),
        Candidate(
            story.broken_canary_on,
            "1.1.0",
            story.broken_trained_until,
            story.max_fpr,
            "two more weeks of data",
            parent="1.0.0",
            faults=(story.broken_export,),
        ),
        Candidate(
            story.healthy_canary_on,
            "1.2.0",
            story.healthy_trained_until,
            story.healthy_max_fpr,
            "the export was repaired",
            parent="1.0.0",
        ),
        Candidate(
            story.dedicated_canary_on,
            "2.0.0",
            story.dedicated_trained_until,
            story.dedicated_max_fpr,
            "a model of the airline's own",
            tenant=story.dedicated_tenant,
            parent="1.2.0",
            hyperparameters=Hyperparameters(
                trees=story.dedicated_trees,
                depth=story.dedicated_depth,
                learning_rate=story.dedicated_learning_rate,
                min_rows_per_leaf=story.dedicated_min_rows_per_leaf,
            ),
            validation_share=story.dedicated_validation_share,
        ),
    )


def hand_in_flights(
    scientist: Client, story: FlightStory, candidate: Candidate, *, seed: int
) -> shapes.VersionShape:
    """Train a candidate on the flights that it learns from, and hand the result in."""
    table = data.flight_training(
        story.history_start,
        candidate.until,
        story=story,
        tenant=candidate.tenant,
        faults=candidate.faults,
    )
    share = candidate.validation_share or story.validation_share
    trained = _trained(
        table,
        story.features,
        data.LONG_FLIGHT,
        candidate.max_fpr,
        share,
        seed,
        candidate.hyperparameters,
    )
    return _hand_in(
        scientist,
        FLIGHTS,
        trained,
        table,
        share,
        version=candidate.version,
        tenant=None if candidate.tenant is None else candidate.tenant.lower(),
        parent=candidate.parent,
        why=candidate.why,
    )


def hand_in_homes(
    scientist: Client, story: HousingStory, *, version: str, seed: int, why: str
) -> shapes.VersionShape:
    """Train on the homes of the places known at first, and hand the result in."""
    table = data.home_training(0, story.known_rows, story=story)
    trained = _trained(
        table, story.features, data.VALUABLE_HOME, story.max_fpr, story.validation_share, seed, None
    )
    return _hand_in(
        scientist,
        HOMES,
        trained,
        table,
        story.validation_share,
        version=version,
        tenant=None,
        parent=None,
        why=why,
    )


def _trained(
    table: pa.Table,
    features: tuple[str, ...],
    label: str,
    max_fpr: float,
    validation_share: float,
    seed: int,
    hyperparameters: Hyperparameters | None,
) -> TrainedModel:
    return train(
        table,
        features=features,
        label=label,
        time=data.DAY,
        seed=seed,
        max_fpr=max_fpr,
        validation_share=validation_share,
        limits=_LIMITS,
        hyperparameters=hyperparameters,
    )


def _hand_in(
    scientist: Client,
    model: str,
    trained: TrainedModel,
    table: pa.Table,
    validation_share: float,
    *,
    version: str,
    tenant: str | None,
    parent: str | None,
    why: str,
) -> shapes.VersionShape:
    ordered = _with_tenants(table.sort_by(data.DAY))
    held_back = int(ordered.num_rows * validation_share)
    quality = trained.quality
    return scientist.models.upload(
        model,
        shapes.NewVersion(
            version=version,
            tenant=tenant,
            framework="scikit-learn, ONNX",
            cutoff=trained.cutoff,
            training_metrics={
                "precision": quality.precision,
                "recall": quality.recall,
                "f1": quality.f1,
                "false_positive_rate": quality.false_positive_rate,
                "brier": quality.brier,
            },
            parent=parent,
            lineage={
                "data_digest": trained.data_digest,
                "rows": trained.training_rows,
                "hyperparameters": vars(trained.hyperparameters),
                "seed": trained.seed,
                "parity": trained.parity,
                "credit": "real data; see the README of the datasets",
            },
            reason=why,
        ),
        artifact=trained.onnx,
        reference=_parquet(ordered),  # the cut-off was chosen on what was held back
        holdout=_parquet(ordered.slice(ordered.num_rows - held_back)),
    )


def _with_tenants(table: pa.Table) -> pa.Table:
    """With a column that says whose each row is, so that tenants are compared with themselves."""
    if "airline" not in table.column_names:
        return table
    return table.append_column("tenant", pc.utf8_lower(table["airline"]))


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
