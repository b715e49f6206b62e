"""A registry that answers as it is told to: the far side of the port, in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trimtab.inventory.source import (
    Details,
    Listed,
    Listing,
    Probe,
    SourceFile,
    SourceModel,
    SourceVersion,
)
from trimtab.kernel.errors import NotFound


@dataclass
class Registry:
    """Models and versions, as their registry would tell of them."""

    models_: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions_: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[tuple[str, int], Mapping[str, bytes]] = field(default_factory=dict)

    def add(self, name: str, version: int = 1, stage: str = "None", **tags: str) -> None:
        """A version of a model, with tags of its own, and the run that it comes from."""
        run = f"run-of-{name}-{version}"
        told = {
            "creation_timestamp": 1_700_000_000_000,
            "last_updated_timestamp": 1_700_000_000_000,
        }
        self.models_.setdefault(name, {"name": name, **told})
        self.versions_[name, version] = {
            "name": name,
            "version": str(version),
            "current_stage": stage,
            "status": "READY",
            "run_id": run,
            "source": f"mlflow-artifacts:/1/{run}/artifacts/model",
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
            **told,
        }
        self.runs[run] = {
            "info": {
                "run_id": run,
                "experiment_id": "1",
                "status": "FINISHED",
                "artifact_uri": f"mlflow-artifacts:/1/{run}/artifacts",
            },
            "data": {"metrics": [{"key": "auc", "value": 0.9, "timestamp": 1, "step": 0}]},
        }
        self.files[name, version] = {"requirements.txt": b"numpy==2.2.0\n"}

    def probe(self) -> Probe:
        """Nobody in particular."""
        return Probe("a registry in memory", "nobody", may_write=False)

    def models(self, page: str | None = None) -> Listed[SourceModel]:
        """All on one page."""
        del page
        return Listed(tuple(SourceModel(name, told) for name, told in self.models_.items()))

    def versions(
        self, page: str | None = None, *, model: str | None = None
    ) -> Listed[SourceVersion]:
        """The same."""
        del page
        return Listed(
            tuple(
                SourceVersion(name, number, told)
                for (name, number), told in self.versions_.items()
                if model in (None, name)
            )
        )

    def model(self, name: str) -> SourceModel | None:
        """One of them."""
        told = self.models_.get(name)
        return None if told is None else SourceModel(name, told)

    def version(self, name: str, version: int) -> SourceVersion | None:
        """One of them."""
        told = self.versions_.get((name, version))
        return None if told is None else SourceVersion(name, version, told)

    def details(self, versions: Sequence[SourceVersion]) -> Iterator[Details]:
        """Run and files."""
        for one in versions:
            there = self.files[one.name, one.version]
            files = tuple(SourceFile(path, len(body)) for path, body in there.items())
            yield Details(
                run={"run": self.runs[one.document["run_id"]]},
                experiment={"experiment_id": "1", "name": "an experiment"},
                listing=Listing(str(one.document["source"]), files),
            )

    @contextmanager
    def content(self, version: SourceVersion, file: SourceFile) -> Iterator[Iterator[bytes]]:
        """The bytes of a file."""
        there = self.files[version.name, version.version]
        if file.path not in there:
            raise NotFound("there is no such file", field="path")
        yield iter((there[file.path],))

    def close(self) -> None:
        """Nothing is held."""
