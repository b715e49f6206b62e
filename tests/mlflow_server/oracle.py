"""Prints everything that is registered as JSON, as the official client has it; run where MLflow
is, with the address of a server."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import mlflow  # type: ignore[import-not-found]
from mlflow import MlflowClient
from mlflow.entities import ViewType  # type: ignore[import-not-found]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]

NEW = int(mlflow.__version__.split(".")[0]) >= 3


def everything(search: Any, **arguments: Any) -> list[Any]:
    """All pages of a search."""
    found, token = [], None
    while True:
        page = search(**arguments, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def version_of(client: MlflowClient, one: Any) -> dict[str, Any]:
    """A version with its aliases and files."""
    whole = client.get_model_version(one.name, one.version)
    members: tuple[str, ...] = (
        "name",
        "version",
        "creation_timestamp",
        "last_updated_timestamp",
        "description",
    )
    members += ("user_id", "current_stage", "source", "run_id", "status", "status_message")
    members += ("run_link", "tags")
    return {
        **{name: getattr(whole, name) for name in members},
        "aliases": sorted(whole.aliases),
        "files": files(client, one),
    }


def files(client: MlflowClient, one: Any) -> list[list[Any]] | None:
    """Path, size and SHA-256 of each; None where the client finds no way to them."""
    try:
        root = client.get_model_version_download_uri(one.name, one.version)
        if not root.startswith("mlflow-artifacts:/") or root.startswith("mlflow-artifacts://"):
            return None
        base = root.removeprefix("mlflow-artifacts:/").strip("/")
        repository = (
            mlflow.artifacts.get_artifact_repository(f"mlflow-artifacts:/{base}")
            if hasattr(mlflow.artifacts, "get_artifact_repository")
            else _repository(base)
        )
        found, waiting = [], [""]
        while waiting:
            for entry in repository.list_artifacts(waiting.pop() or None):
                if entry.is_dir:
                    waiting.append(entry.path)
                else:
                    local = Path(repository.download_artifacts(entry.path))
                    digest = hashlib.sha256(local.read_bytes()).hexdigest()
                    found.append([entry.path, entry.file_size, digest])
    except MlflowException:
        return None
    return sorted(found)


def _repository(base: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import (  # type: ignore[import-not-found]
        get_artifact_repository,
    )

    return get_artifact_repository(f"mlflow-artifacts:/{base}")


def run_of(run: Any) -> dict[str, Any]:
    """A run with what it has logged."""
    members: tuple[str, ...] = (
        "run_id",
        "experiment_id",
        "run_name",
        "user_id",
        "status",
        "start_time",
    )
    members += ("end_time", "artifact_uri", "lifecycle_stage")
    info = {name: getattr(run.info, name) for name in members}
    return {
        "info": info,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {one.key: [one.value, one.timestamp, one.step] for one in run.data._metric_objs},
        "inputs": [
            {
                "dataset": dict(vars_of(one.dataset)),
                "tags": {tag.key: tag.value for tag in one.tags},
            }
            for one in run.inputs.dataset_inputs
        ],
    }


def vars_of(entity: Any) -> dict[str, Any]:
    """The properties of one of MLflow's entities."""
    return {key.lstrip("_"): value for key, value in vars(entity).items()}


def logged_of(client: MlflowClient, model_id: str) -> dict[str, Any]:
    """A logged model."""
    one = client.get_logged_model(model_id)
    members: tuple[str, ...] = (
        "model_id",
        "experiment_id",
        "name",
        "artifact_location",
        "creation_timestamp",
    )
    members += ("last_updated_timestamp", "model_type", "source_run_id", "tags", "params")
    return {
        **{name: getattr(one, name) for name in members},
        "status": f"LOGGED_MODEL_{one.status.value}",
        "metrics": sorted([m.key, m.value, m.timestamp, m.step] for m in one.metrics or ()),
    }


def experiment_of(one: Any) -> dict[str, Any]:
    """An experiment."""
    members: tuple[str, ...] = (
        "experiment_id",
        "name",
        "artifact_location",
        "lifecycle_stage",
        "tags",
    )
    members += ("creation_time", "last_update_time")
    return {name: getattr(one, name) for name in members}


def main() -> None:
    """Print all of it."""
    mlflow.set_tracking_uri(sys.argv[1])
    client = MlflowClient()
    experiments = everything(client.search_experiments, view_type=ViewType.ALL)
    ids = [one.experiment_id for one in experiments]
    runs = everything(client.search_runs, experiment_ids=ids, run_view_type=ViewType.ALL)
    versions = everything(client.search_model_versions)
    models = everything(client.search_registered_models)
    logged = everything(client.search_logged_models, experiment_ids=ids) if NEW else []
    found = {
        "models": {
            one.name: {
                "name": one.name,
                "description": one.description,
                "creation_timestamp": one.creation_timestamp,
                "last_updated_timestamp": one.last_updated_timestamp,
                "tags": one.tags,
                "aliases": {alias: str(number) for alias, number in one.aliases.items()},
                "latest": sorted(str(version.version) for version in one.latest_versions),
            }
            for one in models
        },
        "versions": [version_of(client, one) for one in versions],
        "runs": {one.info.run_id: run_of(one) for one in runs},
        "experiments": {one.experiment_id: experiment_of(one) for one in experiments},
        "logged": {one.model_id: logged_of(client, one.model_id) for one in logged},
    }
    print(json.dumps(found, default=str))  # noqa: T201


if __name__ == "__main__":
    main()
