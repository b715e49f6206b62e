"""A card as a bill of materials in CycloneDX 1.6, with its model card.

The model is what the document is about; its files are parts of it, the packages of its
environment and the data that it was made with are what it depends on. The form has no place for
where a statement was read: that stands in properties under `trimtab:`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from trimtab.documents import words
from trimtab.documents.card import Card, Dataset, File, Library, Metric
from trimtab.kernel.clock import iso
from trimtab.kernel.events import canonical

_SERIAL = uuid.UUID("8f3e5b52-7f0e-5c61-9a57-0d8c2f1b6a34")
"""The name space of serial numbers: the same card has the same one."""

_LONGEST = 1024
"""Characters of a version, by the schema."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_RISKS = (
    "risk_category",
    "regulatory_scope",
    "data_sensitivity",
    "privacy_assessment_status",
    "security_assessment_version",
)

Told = dict[str, Any]


def render(card: Card) -> bytes:
    """The document as JSON in UTF-8; the same card is the same bytes."""
    return canonical(bill(card)) + b"\n"


def bill(card: Card) -> Told:
    """The document. Texts are as they were read, but for what UTF-8 has no form for."""
    data = [_dataset(place, one) for place, one in enumerate(card.datasets)]
    libraries = [_library(place, one) for place, one in enumerate(card.libraries)]
    told = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": iso(card.as_of),
            "tools": {"components": [{"type": "application", "name": card.made_by}]},
            "component": _model(card),
        },
        "components": [*libraries, *data],
        "dependencies": [
            {"ref": "model", "dependsOn": [one["bom-ref"] for one in (*libraries, *data)]},
            *({"ref": one["bom-ref"]} for one in (*libraries, *data)),
        ],
    }
    clean: Told = _encodable(told)
    return {**clean, "serialNumber": uuid.uuid5(_SERIAL, canonical(clean).decode()).urn}


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return words.encodable(value)
        case dict():
            return {words.encodable(key): _encodable(one) for key, one in value.items()}
        case list():
            return [_encodable(one) for one in value]
        case _:
            return value


def _without(told: Mapping[str, Any]) -> Told:
    """The same without what is not known."""
    return {key: value for key, value in told.items() if value not in (None, "", [], {})}


def _name(text: str) -> str:
    """The form has no component without a name."""
    return text or "(empty)"


def _properties(named: Sequence[tuple[str, str | None]]) -> list[Told]:
    return [{"name": f"trimtab:{name}", "value": value} for name, value in named if value]


def _model(card: Card) -> Told:
    description = card.said("description")
    place = quote(card.model, safe="", errors="replace")
    version = quote(card.version, safe="", errors="replace")
    address = quote(card.address, safe="", errors="replace")
    return _without(
        {
            "type": "machine-learning-model",
            "bom-ref": "model",
            "name": _name(card.model),
            "version": card.version[:_LONGEST],
            "description": " ".join(description.values) if description is not None else "",
            "purl": f"pkg:mlflow/{place}@{version}?repository_url={address}",
            "modelCard": _model_card(card),
            "components": [_file(place, one) for place, one in enumerate(card.files)],
            "properties": _properties(
                [
                    ("registry", card.registry),
                    ("rulebook", card.rulebook),
                    ("incomplete", card.incomplete),
                    ("files-cut", card.files_cut),
                    ("python", card.python),
                    *((f"status:{one.about}", one.word) for one in card.badges),
                    *((f"finding:{one.code}", one.detail) for one in card.oddities),
                ]
            ),
        }
    )


# -- model card ------------------------------------------------------------------------------


def _model_card(card: Card) -> Told:
    references = [{"ref": f"data-{place}"} for place in range(len(card.datasets))]
    numbers = [one for one in card.metrics if one.value is not None]
    return _without(
        {
            "bom-ref": "model-card",
            "modelParameters": _without({"datasets": references}),
            "quantitativeAnalysis": _without(
                {"performanceMetrics": [_metric(one) for one in numbers]}
            ),
            "considerations": _considerations(card),
            "properties": _card_properties(card),
        }
    )


def _metric(metric: Metric) -> Told:
    return {"type": metric.name, "value": repr(metric.value)}


def _considerations(card: Card) -> Told:
    purpose = card.said("business_purpose")
    risks = [
        {"name": f"{one.label}: {', '.join(one.values)}"}
        for one in (card.said(name) for name in _RISKS)
        if one is not None and one.values
    ]
    return _without(
        {
            "useCases": list(purpose.values) if purpose is not None else [],
            "technicalLimitations": [
                f"{rule.title} ({rule.outcome.word}): {rule.sentence}" for rule in card.unmet()
            ],
            "ethicalConsiderations": risks,
        }
    )


def _card_properties(card: Card) -> list[Told]:
    """What the form has no place for: parameters, invalid metrics, and the source of each
    statement, as it stands on the card."""
    return _properties(
        [
            *((f"parameter:{one.name}", one.value or "(empty)") for one in card.parameters),
            *((f"metric-invalid:{one.name}", one.invalid) for one in card.metrics),
            *(
                (f"{'claim' if one.claim else 'statement'}:{one.name}", ", ".join(one.values))
                for one in card.statements()
            ),
            *((f"gap:{one.name}", one.gap) for one in card.statements()),
            *(
                (f"source:{one.name}", words.source(one.source))
                for one in card.statements()
                if one.source is not None
            ),
        ]
    )


# -- parts and dependencies ------------------------------------------------------------------


def _file(place: int, file: File) -> Told:
    return _without(
        {
            "type": "file",
            "bom-ref": f"file-{place}",
            "name": _name(file.path),
            "hashes": _hashes(file.sha256),
            "properties": _properties(
                [
                    ("inspection", file.result.word),
                    ("size-bytes", None if file.size is None else str(file.size)),
                    ("format", file.format),
                    *(("inspection-finding", one) for one in file.findings),
                ]
            ),
        }
    )


def _hashes(digest: str | None) -> list[Told]:
    """Only what is a SHA-256: registries shorten digests, and the form takes none of those."""
    digest = (digest or "").removeprefix("sha256:")
    return [{"alg": "SHA-256", "content": digest}] if _SHA256.fullmatch(digest) else []


def _library(place: int, library: Library) -> Told:
    pinned = library.version or ""
    known = _PACKAGE.fullmatch(library.name) and _VERSION.fullmatch(pinned)
    normal = re.sub(r"[-_.]+", "-", library.name).lower()
    return _without(
        {
            "type": "library",
            "bom-ref": f"library-{place}",
            "name": _name(library.name),
            "version": pinned[:_LONGEST],
            "purl": f"pkg:pypi/{normal}@{quote(pinned, safe='.-_')}" if known else None,
            "properties": _properties([("requirement", library.asked)]),
        }
    )


def _dataset(place: int, dataset: Dataset) -> Told:
    """Where the data lies stands in a property: it is whatever somebody wrote, and no link."""
    return _without(
        {
            "type": "data",
            "bom-ref": f"data-{place}",
            "name": _name(dataset.name),
            "hashes": _hashes(dataset.digest),
            "data": [_without({"type": "dataset", "name": dataset.name})],
            "properties": _properties(
                [
                    ("digest", dataset.digest),
                    ("kind", dataset.kind),
                    ("source", dataset.source),
                    ("context", dataset.context),
                ]
            ),
        }
    )
