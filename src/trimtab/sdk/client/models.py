"""Models and their versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, read, sent


class Models(Noun):
    """Models and their versions."""

    def register(self, model: shapes.NewModel) -> shapes.ModelShape:
        """Register a model."""
        body = model.model_dump(exclude_none=True)
        return self._wire.post("/api/v1/models", body, shapes.ModelShape)

    def list(
        self, *, as_of: datetime | None = None, vocabulary: str | None = None
    ) -> Iterator[shapes.ModelShape]:
        """All models; with `as_of`, those that were registered by then, as they stood then."""
        return self._wire.pages(
            "/api/v1/models", shapes.ModelShape, as_of=sent(as_of), vocabulary=vocabulary
        )

    def get(
        self, model: str, *, as_of: datetime | None = None, vocabulary: str | None = None
    ) -> shapes.ModelShape:
        """One model, now or as it stood at a moment."""
        path = f"/api/v1/models/{model}"
        return self._wire.get(path, shapes.ModelShape, as_of=sent(as_of), vocabulary=vocabulary)

    def upload(
        self,
        model: str,
        version: shapes.NewVersion,
        *,
        artifact: bytes,
        reference: bytes,
        holdout: bytes,
    ) -> shapes.VersionShape:
        """Hand in a version: ONNX, and two Parquet files."""
        answer = self._wire.send(
            "POST",
            f"/api/v1/models/{model}/versions",
            data={"metadata": version.model_dump_json(exclude_none=True)},
            files={
                "artifact": ("model.onnx", artifact),
                "reference": ("reference.parquet", reference),
                "holdout": ("holdout.parquet", holdout),
            },
        )
        return read(shapes.VersionShape, answer)

    def versions(
        self, model: str, *, as_of: datetime | None = None, vocabulary: str | None = None
    ) -> Iterator[shapes.VersionShape]:
        """Versions of a model that the caller may see, now or as they stood at a moment."""
        path = f"/api/v1/models/{model}/versions"
        return self._wire.pages(path, shapes.VersionShape, as_of=sent(as_of), vocabulary=vocabulary)

    def version(
        self,
        model: str,
        version: str | int,
        *,
        as_of: datetime | None = None,
        vocabulary: str | None = None,
    ) -> shapes.VersionShape:
        """One version, by its semantic version or its number, now or as it stood at a moment."""
        path = f"/api/v1/models/{model}/versions/{version}"
        return self._wire.get(path, shapes.VersionShape, as_of=sent(as_of), vocabulary=vocabulary)

    def checks(
        self, model: str, version: str, *, as_of: datetime | None = None
    ) -> Iterator[shapes.CheckShape]:
        """Every run of every check on a version, by now or by a moment."""
        path = f"/api/v1/models/{model}/versions/{version}/checks"
        return self._wire.pages(path, shapes.CheckShape, as_of=sent(as_of))

    def signature(self, model: str, version: str | int) -> shapes.SignatureShape:
        """The signature of a version, and the binding that it signs."""
        path = f"/api/v1/models/{model}/versions/{version}/signature"
        return self._wire.get(path, shapes.SignatureShape)

    def deployments(
        self, model: str, *, as_of: datetime | None = None
    ) -> Iterator[shapes.DeploymentShape]:
        """Where versions of a model carry or carried traffic, now or at a moment."""
        path = f"/api/v1/models/{model}/deployments"
        return self._wire.pages(path, shapes.DeploymentShape, as_of=sent(as_of))

    def latest(
        self,
        model: str | None = None,
        endpoint: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> shapes.LatestShape:
        """Which version answers the caller, or answered at a moment, and why."""
        headers = {} if endpoint is None else {"X-Endpoint-Id": endpoint}
        query = {"model": model, "as_of": sent(as_of)}
        answer = self._wire.send("GET", "/api/ml/model/latest", params=query, headers=headers)
        return read(shapes.LatestShape, answer)

    def download(self, model: str, version: str) -> bytes:
        """The verified bytes of a version."""
        query = {"model": model, "version": version, "type": "onnx"}
        return self._wire.send("GET", "/api/ml/model/download", params=query).content
