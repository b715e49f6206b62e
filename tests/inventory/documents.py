"""Documents as an MLflow server sends them, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from trimtab.inventory.normalise import normalise
from trimtab.inventory.record import Record
from trimtab.inventory.source import Details, Listing, SourceFile, SourceModel, SourceVersion
from trimtab.inventory.tagmap import TagMap, default_tag_map

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN = "0123456789abcdef0123456789abcdef"
OTHER_RUN = "f" * 32
EXPERIMENT = "7"
ROOT = f"s3://bucket/{EXPERIMENT}/{RUN}/artifacts"
CREATED_MS = 1_790_000_000_000
FILES = (
    SourceFile("MLmodel", 900),
    SourceFile("model.pkl", 40_000),
    SourceFile("requirements.txt", 120),
    SourceFile("reports/model_card.md", 3_000),
)


def pairs(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Tags or parameters, as they are sent."""
    return [{"key": key, "value": value} for key, value in said.items()]


def model(
    *,
    tags: dict[str, Any] | None = None,
    aliases: dict[str, int] | None = None,
    **more: Any,
) -> SourceModel:
    document = {
        "name": "churn",
        "creation_timestamp": CREATED_MS,
        "last_updated_timestamp": CREATED_MS,
        "description": "Who will leave",
        "tags": pairs(tags or {}),
        "aliases": [{"alias": a, "version": str(n)} for a, n in (aliases or {}).items()],
    }
    return SourceModel("churn", {**document, **more})


def version(*, tags: dict[str, Any] | None = None, **more: Any) -> SourceVersion:
    document = {
        "name": "churn",
        "version": "3",
        "creation_timestamp": CREATED_MS,
        "last_updated_timestamp": CREATED_MS + 60_000,
        "current_stage": "None",
        "description": "",
        "source": f"{ROOT}/model",
        "run_id": RUN,
        "status": "READY",
        "tags": pairs(tags or {}),
        "aliases": [],
    }
    return SourceVersion("churn", 3, {**document, **more})


def run(
    *,
    tags: dict[str, Any] | None = None,
    metrics: list[dict[str, Any]] | None = None,
    params: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    inputs: Any = None,
) -> dict[str, Any]:
    known = {
        "run_id": RUN,
        "experiment_id": EXPERIMENT,
        "status": "FINISHED",
        "user_id": "mira",
        "start_time": CREATED_MS - 90_000,
        "end_time": CREATED_MS - 30_000,
        "artifact_uri": ROOT,
        "lifecycle_stage": "active",
    }
    auc = [{"key": "auc", "value": 0.93, "timestamp": CREATED_MS - 31_000, "step": 0}]
    return {
        "info": {**known, **(info or {})},
        "data": {
            "tags": pairs({"mlflow.source.git.commit": "c0ffee", **(tags or {})}),
            "metrics": auc if metrics is None else metrics,
            "params": pairs({"depth": "6"} if params is None else params),
        },
        "inputs": {"dataset_inputs": inputs or []},
    }


def experiment(**more: Any) -> dict[str, Any]:
    said = {"experiment_id": EXPERIMENT, "name": "churn-2026", "artifact_location": "s3://bucket/7"}
    return {**said, **more}


def listing(*files: SourceFile, truncated: str | None = None) -> Listing:
    return Listing(f"{ROOT}/model", files or FILES, truncated)


def details(**more: Any) -> Details:
    said: dict[str, Any] = {"run": run(), "experiment": experiment(), "listing": listing()}
    return Details(**{**said, **more})


def record(
    of: SourceVersion | None = None,
    *,
    under: SourceModel | None = None,
    leads_to: Details | None = None,
    tag_map: TagMap | None = None,
    now: datetime = NOW,
) -> Record:
    """The record of a version that is in order, but for what is given."""
    return normalise(
        under or model(),
        of or version(),
        leads_to or details(),
        tag_map or default_tag_map(),
        now=now,
    )


HOUR = timedelta(hours=1)
