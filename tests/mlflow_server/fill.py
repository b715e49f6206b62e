"""Registers models of many kinds; run where MLflow is, with the address of a server.

Its last line is JSON: which of the odd names and sources the server has refused.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow  # type: ignore[import-not-found]
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge

NEW = int(mlflow.__version__.split(".")[0]) >= 3
BIDI = "\u202efdp.exe\u202c"
ODD_NAMES = (
    "two\nlines",
    f"bidi {BIDI}",
    "it's",
    'said "so"',
    "both ' and \"",
    " outer spaces ",
    "n" * 240,
    "<script>alert(1)</script>",
    "{{7*7}} ${x} {0.__class__}",
    "__proto__",
    "r\u00e9sum\u00e9 \u6a21\u578b \U0001f600",
    "100%",
    "%00",
    "back\\slash",
    "nul\x00inside",
    "../../x",
    "a/b",
    "c:d",
)
ODD_SOURCES = (
    "s3://bucket/models/1",
    "gs://bucket/models/1",
    "file:///etc",
    "//proc/self/root",
    "http:///#/../../etc/",
    "http://169.254.169.254/latest/meta-data",
    "mlflow-artifacts:/../../etc",
    "mlflow-artifacts:/%2e%2e/%2e%2e/etc",
    "mlflow-artifacts://elsewhere.example/1/2",
    "..\\..\\etc",
    "dbfs:/models",
)


def refused(make: Callable[[], object]) -> str | None:
    """What the server says against it, if it does."""
    try:
        make()
    except MlflowException as error:
        return str(error)[:200]
    return None


def log_model(flavor: Any, model: Any) -> Any:
    """The model in the current run, under the name `model`."""
    where = {"name": "model"} if NEW else {"artifact_path": "model"}
    return flavor.log_model(model, **where, pip_requirements=["scikit-learn"])


def register(client: MlflowClient, name: str, uri: str) -> Any:
    """A new version, of a model that may be new."""
    refused(lambda: client.create_registered_model(name))
    return mlflow.register_model(uri, name)


def classifier(client: MlflowClient) -> list[str]:
    """Three versions of one model with everything that a version can have."""
    data = load_iris(as_frame=True)
    mlflow.set_experiment("flowers")
    runs = []
    for number, strength in enumerate((0.1, 1.0, 10.0), start=1):
        with mlflow.start_run(run_name=f"strength {strength}") as run:
            mlflow.log_params({"C": strength, "max_iter": 200, "note": "x" * 400})
            mlflow.log_metrics({"accuracy": 0.9 + number / 100, "auc": math.nan})
            mlflow.log_metric("loss", 1.0, step=1)
            mlflow.log_metric("loss", math.inf, step=2)
            mlflow.log_metric("gain", -math.inf)
            mlflow.set_tags({"mlflow.source.git.commit": "c0ffee" * 6, "owner": "risk team"})
            mlflow.log_input(
                mlflow.data.from_pandas(data.frame, source="iris.csv", name="iris"),
                context="training",
                tags={"licence": "public"},
            )
            mlflow.log_dict({"accuracy": 0.97}, "evaluation/reports/report.json")
            mlflow.log_text("plain", "notes.txt")
            model = LogisticRegression(C=strength, max_iter=200).fit(data.data, data.target)
            found = log_model(mlflow.sklearn, model)
        runs.append(run.info.run_id)
        register(client, "iris-classifier", found.model_uri)
    client.update_registered_model("iris-classifier", "Tells flowers apart.")
    client.set_registered_model_tag("iris-classifier", "risk_category", "low")
    client.update_model_version("iris-classifier", "2", "The second one.")
    client.set_model_version_tag("iris-classifier", "2", "compliance_approver", "ceo")
    client.set_registered_model_alias("iris-classifier", "champion", "2")
    client.set_registered_model_alias("iris-classifier", "challenger", "3")
    client.set_registered_model_alias("iris-classifier", "newest", "3")
    client.transition_model_version_stage("iris-classifier", "1", "Archived")
    client.transition_model_version_stage("iris-classifier", "2", "Production")
    client.transition_model_version_stage("iris-classifier", "3", "Staging")
    return runs


def others(client: MlflowClient) -> None:
    """Models of other libraries, where they are installed."""
    mlflow.set_experiment("others")
    with mlflow.start_run():
        data = load_diabetes()
        found = log_model(mlflow.sklearn, Ridge().fit(data.data, data.target))
    register(client, "diabetes", found.model_uri)
    if not NEW:
        return
    import lightgbm  # type: ignore[import-not-found]
    from skl2onnx import to_onnx

    cancer = load_breast_cancer()
    with mlflow.start_run():
        rows = lightgbm.Dataset(cancer.data, cancer.target)
        trained = lightgbm.train({"objective": "binary", "verbose": -1}, rows, 5)
        found = log_model(mlflow.lightgbm, trained)
    register(client, "cancer-boosted", found.model_uri)
    with mlflow.start_run() as run:
        fitted = LogisticRegression(max_iter=5000).fit(cancer.data, cancer.target)
        graph = to_onnx(fitted, cancer.data[:1].astype("float32"))
        with tempfile.TemporaryDirectory() as folder:  # its own flavor needs a runtime to save it
            (Path(folder) / "model.onnx").write_bytes(graph.SerializeToString())
            (Path(folder) / "requirements.txt").write_text("onnxruntime==1.23.0\n")
            mlflow.log_artifacts(folder, "model")
    client.create_registered_model("cancer-onnx")
    root = run.info.artifact_uri
    client.create_model_version("cancer-onnx", f"{root}/model", run_id=run.info.run_id)


def edges(client: MlflowClient) -> None:
    """Versions whose run is gone, copies of copies, deleted ones, folders in folders."""
    client.copy_model_version("models:/iris-classifier/2", "copied")
    client.copy_model_version("models:/copied/1", "copied again")
    experiment = client.create_experiment("to be deleted")
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(experiment_id=experiment) as run:
        deep = Path(folder) / "a" / "b" / "c d"
        deep.mkdir(parents=True)
        (deep / "weights.bin").write_bytes(bytes(range(256)) * 300)
        (Path(folder) / "a" / "empty.txt").touch()
        mlflow.log_artifacts(folder)
        mlflow.log_dict({"pr": 0.5}, "evaluation/report.json")
    root = client.get_run(run.info.run_id).info.artifact_uri
    for name, source in (("whole run", root), ("part of a run", f"{root}/a/b")):
        client.create_registered_model(name, tags={"kind": "folder"}, description="Folders.")
        client.create_model_version(name, source, run_id=run.info.run_id)
    client.delete_run(run.info.run_id)
    client.delete_experiment(experiment)
    client.create_registered_model("orphan")
    client.create_model_version("orphan", "s3://bucket/nothing", run_id="0" * 32)
    client.create_model_version("orphan", "s3://bucket/nothing")
    client.create_model_version("orphan", "s3://bucket/nothing")
    client.delete_model_version("orphan", "2")
    client.create_registered_model("no versions")
    client.create_registered_model("deleted")
    client.delete_registered_model("deleted")


def odd(client: MlflowClient) -> dict[str, str | None]:
    """Names and sources that nobody sensible gives."""
    told: dict[str, str | None] = {}
    for name in ODD_NAMES:
        told[name] = refused(lambda name=name: client.create_registered_model(name))  # type: ignore[misc]
        if told[name] is None:
            refused(
                lambda name=name: client.create_model_version(  # type: ignore[misc]
                    name, "s3://bucket/x", tags={"key": "</td><script>\u202e"}
                )
            )
    client.create_registered_model("odd sources")
    for source in ODD_SOURCES:
        told[source] = refused(
            lambda source=source: client.create_model_version("odd sources", source)  # type: ignore[misc]
        )
    return told


def main() -> None:
    """Fill the server."""
    mlflow.set_tracking_uri(sys.argv[1])
    client = MlflowClient()
    runs = classifier(client)
    others(client)
    edges(client)
    print(json.dumps({"runs": runs, "refused": odd(client)}))  # noqa: T201


if __name__ == "__main__":
    main()
