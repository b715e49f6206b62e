"""A version in somebody else's registry, handed in here: the very bytes that were inspected go
through checks, approval and release like those of any upload."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from trimtab.inventory.model import Connection, Entry
from trimtab.inventory.record import Record
from trimtab.inventory.source import Source, SourceFile
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.kernel.ids import Digest, TenantId
from trimtab.registry.model import TrainingTrigger, Version
from trimtab.workflows import intake, inventoried
from trimtab.workflows.ingest import Open
from trimtab.workflows.parts import Parts, Then, nothing_more

_IN_MEMORY = 8 << 20
_SIGNED = ("clean", "suspicious")
_LOOK = "the record lists the files of this version, with what was found in them"


@dataclass(frozen=True)
class HandOver:
    """A version of a registry as it is to be handed in, with the two tables that no registry
    has. `file` is the model among its files; None where there is one ONNX file."""

    record: str
    file: str | None
    model: str
    version: str
    tenant: TenantId | None
    cutoff: float
    parent: str | None
    reference: BinaryIO
    holdout: BinaryIO


def hand_over(
    parts: Parts,
    actor: Actor,
    given: HandOver,
    open_: Open,
    *,
    reason: str,
    then: Then[Version] = nothing_more,
) -> Version:
    """Fetch a model from its registry and hand it in. What its tags say of risk or approval
    counts for nothing here: the tier follows from the facts of the registered model.

    Raises:
        NotFound: there is no such record of the actor's, or no such model.
        InvalidInput: there is no one ONNX file, or nobody has looked into it yet.
        IntegrityFailed: the registry hands out other bytes than were inspected.
        Unavailable: the registry does not answer.
        Everything that an upload raises.
    """
    with parts.records.look() as reading:
        view = inventoried.record(reading, actor, given.record)
    file = _model_file(view.entry, given.file)
    digest = Digest(f"sha256:{file['sha256']}")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as kept:
        with closing(open_(view.connection)) as source:
            _fetched(source, view.entry.record, file, digest, kept)
        upload = intake.Upload(
            model=given.model,
            version=given.version,
            tenant=given.tenant,
            framework="onnx",
            cutoff=given.cutoff,
            training_metrics=_metrics(view.entry.record),
            training_trigger=TrainingTrigger.MANUAL,
            parent=given.parent,
            lineage=_lineage(view.connection, view.entry, file),
            digest=digest,
            artifact=kept,  # type: ignore[arg-type]  # it has all of a BinaryIO that is used
            reference=given.reference,
            holdout=given.holdout,
        )
        return intake.upload(parts, actor, upload, reason=reason, then=then)


def _model_file(entry: Entry, wanted: str | None) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = entry.record.value("artifact_manifest") or {}
    files: dict[str, Mapping[str, Any]] = {
        str(file["path"]): file for file in manifest.get("files", ())
    }
    if wanted is None:
        models = [path for path, file in files.items() if file.get("format") == "onnx"]
        if len(models) != 1:
            raise InvalidInput(
                f"this version has {len(models)} files that are ONNX models",
                field="file",
                remedy="name one of its files; only ONNX is taken: convert the model first"
                if models
                else "only ONNX is taken, and only what was looked into: convert the model and "
                "log it, or wait until its files were looked into",
            )
        wanted = models[0]
    file = files.get(wanted)
    if file is None:
        raise InvalidInput(
            f"this version has no file {ascii(wanted)[:120]}", field="file", remedy=_LOOK
        )
    if entry.removed or file.get("result") not in _SIGNED:
        why = "its registry has it no more" if entry.removed else file.get("result")
        raise InvalidInput(
            f"this file cannot be handed in: {why or 'nobody has looked into it yet'}",
            field="file",
            remedy=_LOOK,
        )
    return file


def _fetched(
    source: Source, record: Record, file: Mapping[str, Any], digest: Digest, kept: IO[bytes]
) -> None:
    """Write the bytes of a file that was inspected, and no others."""
    version = source.version(record.model, record.version)
    if version is None:
        raise InvalidInput("its registry has this version no more", field="record")
    size, seen = int(file["size"]), hashlib.sha256()
    with source.content(version, SourceFile(str(file["path"]), size)) as pieces:
        for piece in pieces:
            seen.update(piece)
            kept.write(piece)
            if kept.tell() > size:
                break
    if f"sha256:{seen.hexdigest()}" != digest:
        raise IntegrityFailed(
            "the registry hands out other bytes than those that were looked into",
            field="file",
            remedy="read the registry anew (trimtab sync --full), and look what has changed",
        )
    kept.seek(0)


def _metrics(record: Record) -> dict[str, float]:
    """What its registry says was measured, as far as these are numbers."""
    said: Mapping[str, Any] = record.value("metrics") or {}
    values = {name: one.get("value") for name, one in said.items() if isinstance(one, Mapping)}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _lineage(connection: Connection, entry: Entry, file: Mapping[str, Any]) -> dict[str, Any]:
    record = entry.record
    return {
        "registry": connection.url,
        "registry_model": record.model,
        "registry_version": record.version,
        "registry_file": file["path"],
        "record": entry.id,
        "record_revision": entry.number,
        "run": record.value("source_run_id"),
        "dataset": record.value("dataset_reference"),
        "code_commit": record.value("code_commit"),
        "hyperparameters": record.value("hyperparameters") or {},
    }
