"""The inventory: every version that other registries hold, now or as it was."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import StreamingResponse

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may, whose
from trimtab.api.paging import Pages, whole
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Work
from trimtab.identity.reach import demand_grant
from trimtab.inventory.compliance import Evaluation
from trimtab.inventory.model import Entry
from trimtab.inventory.record import GROUPS, Stage
from trimtab.inventory.store import Filter
from trimtab.kernel.events import plain
from trimtab.registry import history
from trimtab.registry.model import Version
from trimtab.sdk import shapes
from trimtab.workflows import (
    about,
    cards,
    exports,
    handing_over,
    inventoried,
    judging,
    lineage,
    record_cards,
    registries,
)
from trimtab.workflows.handing_over import HandOver
from trimtab.workflows.inventoried import Move, RecordView

router = strict.router("/api/v1/inventory", tag="inventory")

Reader = Annotated[Actor, may("inventory:read", reach=Reach.OWN)]
Contributor = Annotated[Actor, may("versions:register", reach=Reach.OWN, asks_about=True)]


def _past(
    parts: PartsOf,
    as_of: Annotated[
        shapes.Moment | None, Query(description="As it stood then; left out, as it stands now")
    ] = None,
) -> datetime | None:
    if as_of is not None:
        with parts.records.look() as reading:
            history.demand_past(reading, as_of)
    return as_of


AsOf = Annotated[datetime | None, Depends(_past)]
CardFormat = Literal["json", "html", "pdf", "cyclonedx"]
_TYPES = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "cyclonedx": "application/vnd.cyclonedx+json; version=1.6",
}
_ALONE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
"""A card is a document of its own: what stands in it may nothing, wherever it is opened."""


async def _filter(
    connection: Annotated[str | None, Query(max_length=80)] = None,
    model: Annotated[str | None, Query(max_length=10_000, description="its whole name")] = None,
    text: Annotated[str | None, Query(max_length=200, description="a part of its name")] = None,
    stage: Annotated[Stage | None, Query()] = None,
    without_owner: Annotated[bool, Query()] = False,
    gap: Annotated[str | None, Query(max_length=80, description="a rule")] = None,
    inspection: Annotated[
        Literal["clean", "suspicious", "malicious", "unreadable", "none"] | None, Query()
    ] = None,
    incomplete: Annotated[bool, Query()] = False,
    removed: Annotated[bool, Query(description="what registries have no more")] = False,
) -> Filter:
    return Filter(
        connection=connection,
        model=model,
        text=text,
        stage=stage,
        without_owner=without_owner,
        gap=gap,
        inspection=inspection,
        incomplete=incomplete,
        removed=removed,
    )


Wanted = Annotated[Filter, Depends(_filter)]


@router.get("", summary="The inventory")
def list_records(
    actor: Reader, parts: PartsOf, pages: Pages, wanted: Wanted, as_of: AsOf
) -> shapes.Page[shapes.RecordSummary]:
    """Versions by model, newest first: what there is, in which stage, whose, with which gaps."""
    after = pages.place_as(actor, _place)
    with parts.records.look() as reading:
        found = inventoried.inventory(
            reading, actor, wanted, moment=as_of, after=after, limit=pages.limit
        )
    return shapes.Page(
        items=[shapes.RecordSummary.model_validate(_summary(entry)) for entry in found],
        next=pages.page(actor, found, lambda entry: json.dumps(inventoried.place_of(entry))),
    )


@router.get("/summary", summary="Counts of the inventory")
def summary(actor: Reader, parts: PartsOf, wanted: Wanted, as_of: AsOf) -> shapes.TallyShape:
    """How many models and versions there are, in production, without an owner, and so on."""
    with parts.records.look() as reading:
        found = inventoried.tally(reading, actor, wanted, moment=as_of)
    return shapes.TallyShape.model_validate(found)


@router.get(
    "/export",
    summary="The inventory as a file",
    response_class=StreamingResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string"}} for kind in exports.MEDIA.values()}}
    },
)
def export(
    actor: Reader,
    parts: PartsOf,
    wanted: Wanted,
    as_of: AsOf,
    form: Annotated[exports.Format, Query(alias="format")] = exports.Format.CSV,
) -> StreamingResponse:
    """Every version that the filters let through, in one file. No cell of a CSV is taken for a
    formula by a program that opens it."""
    pieces = exports.inventory(parts, actor, wanted, form, moment=as_of)
    name = f"inventory.{form.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=exports.MEDIA[form], headers=headers)


@router.get("/records/{record}", summary="One record")
def get_record(record: str, actor: Reader, parts: PartsOf, as_of: AsOf) -> shapes.RecordShape:
    """Everything that is known of a version, and where each value was read."""
    with parts.records.look() as reading:
        view = inventoried.record(reading, actor, record, moment=as_of)
        return _record(view, judging.evaluation_of(reading, view.entry))


@router.get("/records/{record}/history", summary="What happened to a version")
def get_history(
    record: str, actor: Reader, parts: PartsOf, pages: Pages
) -> shapes.Page[shapes.MoveShape]:
    """Stages, names and fields as they changed, newest first."""
    with parts.records.look() as reading:
        found = inventoried.history(reading, actor, record)
    return whole(pages, actor, found, lambda move: str(move.number), _move)


@router.get("/records/{record}/lineage", summary="What a version comes from, and leads to")
def get_lineage(record: str, actor: Reader, parts: PartsOf, as_of: AsOf) -> shapes.LineageShape:
    """Datasets, runs, versions and places, both ways from this version."""
    with parts.records.look() as reading:
        found = lineage.of_record(reading, actor, record, moment=as_of)
    return shapes.LineageShape.model_validate(plain(found))


@router.get("/lineage", summary="What a dataset or a run leads to, or comes from")
def walk_lineage(
    actor: Reader,
    parts: PartsOf,
    as_of: AsOf,
    node: Annotated[str, Query(min_length=1, max_length=2000, description="as lineage names it")],
    direction: Annotated[Literal["downstream", "upstream", "both"], Query()] = "downstream",
    connection: Annotated[str | None, Query(max_length=80)] = None,
) -> shapes.LineageShape:
    """From one node of the lineage: which versions a dataset went into, and where they stand."""
    with parts.records.look() as reading:
        found = lineage.of_node(
            reading, actor, node, direction, connection=connection, moment=as_of
        )
    return shapes.LineageShape.model_validate(plain(found))


@router.get(
    "/records/{record}/card",
    summary="Model card",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in _TYPES.values()}}},
)
def get_card(
    record: str,
    actor: Reader,
    parts: PartsOf,
    as_of: AsOf,
    form: Annotated[CardFormat, Query(alias="format")] = "json",
) -> Response:
    """The model card of a version, made from its record: as a page, a PDF, JSON, or a
    CycloneDX bill of materials."""
    with parts.records.look() as reading:
        view = inventoried.record(reading, actor, record, moment=as_of)
        card = record_cards.of_view(reading, view)
    body = cards.render(card, form)
    return Response(body, media_type=_TYPES[form], headers=_ALONE)


@router.post(
    "/records/{record}/intake",
    status_code=201,
    summary="Hand in a version of a registry",
    dependencies=[Depends(strict.known_parts)],
)
def hand_over(
    record: str,
    metadata: Annotated[str, Form(max_length=20_000, description="JSON: see NewHandOver")],
    reference: Annotated[UploadFile, File(description="What it was trained on, Parquet")],
    holdout: Annotated[UploadFile, File(description="Labelled rows to check on, Parquet")],
    actor: Contributor,
    parts: PartsOf,
    request: Request,
    repeat: Repeats,
) -> shapes.HandedOver:
    """Fetch the very bytes that were inspected from a registry, and take them in as if they had
    been uploaded: stored, inspected, signed, checked. Nothing that its tags claim counts."""
    body = strict.read_part(shapes.NewHandOver, metadata, field="metadata")
    request.state.version = body.version  # a refusal names it
    tenant = whose(actor, body)
    with parts.records.look() as reading:
        demand_grant(actor, "versions:register", about.handed_in(reading, body.model, tenant))
    told: list[shapes.HandedOver] = []

    def tell(work: Work, made: Version) -> None:
        answer = shapes.HandedOver(
            record=record,
            model=made.model,
            version=made.version,
            lifecycle=made.lifecycle.value,
            digest=made.digest,
        )
        told.append(repeat.keep(work, answer))

    given = HandOver(
        record=record,
        file=body.file,
        model=body.model,
        version=body.version,
        tenant=tenant,
        cutoff=body.cutoff,
        parent=body.parent,
        reference=reference.file,
        holdout=holdout.file,
    )
    handing_over.hand_over(
        parts,
        actor,
        given,
        lambda connection: registries.open_registry(parts, connection),
        reason=body.reason,
        then=tell,
    )
    return told[-1]


def _place(text: str) -> tuple[str, int, str]:
    model, version, record = json.loads(text)
    if not (isinstance(model, str) and isinstance(version, int) and isinstance(record, str)):
        raise ValueError("no place")
    return model, version, record


def _summary(entry: Entry) -> dict[str, Any]:
    record, judged = entry.record, entry.compliance
    owner = record.value("owner")
    return {
        "id": entry.id,
        "connection": entry.connection,
        "tenant": entry.tenant,
        "model": record.model,
        "version": record.version,
        "stage": record.stage.value,
        "aliases": list(record.aliases),
        "owner": None if owner is None else str(owner),
        "inspection": entry.inspection,
        "incomplete": record.incomplete,
        "removed": entry.removed,
        "gaps": list(judged.get("gaps", ())),
        "unknown": list(judged.get("unknown", ())),
        "waived": list(judged.get("waived", ())),
        "number": entry.number,
        "since": entry.since,
    }


def _record(view: RecordView, judged: Evaluation) -> shapes.RecordShape:
    entry, record = view.entry, view.entry.record
    fields = {
        group.value: {name: vars(record.fields[name]) for name in names}
        for group, names in GROUPS.items()
    }
    moment: datetime | None = view.moment
    return shapes.RecordShape.model_validate(
        {
            **_summary(entry),
            "fields": fields,
            "model_tags": record.model_tags,
            "version_tags": record.version_tags,
            "run_tags": record.run_tags,
            "findings": [vars(finding) for finding in record.findings],
            "compliance": plain(judged.results),
            "rulebook": judged.rulebook,
            "as_of": moment,
        }
    )


def _move(move: Move) -> shapes.MoveShape:
    return shapes.MoveShape.model_validate(plain(move))
