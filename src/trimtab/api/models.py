"""Models and versions: register, hand in, look up."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, File, Form, Query, Request, UploadFile

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may, whose
from trimtab.api.paging import LongPages, Pages, whole
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Work
from trimtab.checks import store as check_store
from trimtab.identity.reach import demand_grant
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import Digest
from trimtab.policies.risk import Criticality, EnvironmentCap, RiskFacts
from trimtab.registry.model import Feature, Model, TrainingTrigger, Version
from trimtab.registry.vocabulary import Vocabulary
from trimtab.sdk import shapes
from trimtab.workflows import about, intake, inventory, serving
from trimtab.workflows.inventory import ModelRecord, VersionRecord, View

router = strict.router("/api/v1/models", tag="models")

Reader = Annotated[Actor, may("models:read")]
Registrar = Annotated[Actor, may("models:register", fleet=True)]
Contributor = Annotated[Actor, may("versions:register", reach=Reach.ADDED, asks_about=True)]
Downloader = Annotated[Actor, may("artifacts:download", asks_about=True)]


async def _view(
    as_of: Annotated[
        shapes.Moment | None,
        Query(description="What was true then; left out, what is true now"),
    ] = None,
    vocabulary: Annotated[
        Vocabulary, Query(description="Whose words `status` is told in")
    ] = Vocabulary.TRIMTAB,
) -> View:
    return View(as_of, vocabulary)


async def _moment(
    as_of: Annotated[
        shapes.Moment | None,
        Query(description="What was true then; left out, what is true now"),
    ] = None,
) -> View:
    return View(as_of)


Viewed = Annotated[View, Depends(_view)]
Then = Annotated[View, Depends(_moment)]


@router.post("", status_code=201, summary="Register a model")
def register(
    body: shapes.NewModel, actor: Registrar, parts: PartsOf, repeat: Repeats
) -> shapes.ModelShape:
    """Register a model under a name that nobody has; its tier follows from the facts. Models
    are shared by all tenants, who hand in versions of them."""
    facts, told = body.risk_facts, list[shapes.ModelShape]()

    def tell(work: Work, model: Model) -> None:
        record = inventory.model(work, actor, inventory.NOW, model.name)
        told.append(repeat.keep(work, _model(record)))

    intake.register_model(
        parts,
        actor,
        name=body.name,
        owner=body.owner,
        description=body.description,
        facts=RiskFacts(
            customer_facing=facts.customer_facing,
            pii=facts.pii,
            sensitive_data=facts.sensitive_data,
            annual_financial_impact_usd=facts.annual_financial_impact_usd,
            regulated_domain=facts.regulated_domain,
            criticality=None if facts.criticality is None else Criticality(facts.criticality),
            reversible=facts.reversible,
            environment_cap=None
            if facts.environment_cap is None
            else EnvironmentCap(facts.environment_cap),
        ),
        features=tuple(Feature(f.name, f.kind) for f in body.features),
        label=body.label,
        policy=body.policy,
        reason=body.reason,
        then=tell,
    )
    return told[-1]


@router.get("", summary="List models")
def list_models(
    actor: Reader,
    parts: PartsOf,
    view: Viewed,
    paging: LongPages,
) -> shapes.Page[shapes.ModelShape]:
    """Registered models by name, each with its newest version and where traffic is carried."""
    place = paging.place(actor) or ""
    with parts.records.look() as reading:
        found = inventory.models(reading, actor, view, after=place, limit=paging.limit)
    return shapes.Page(
        items=[_model(record) for record in found],
        next=paging.page(actor, found, lambda record: record.model.name),
    )


@router.get("/{model}", summary="One model")
def get_model(model: str, actor: Reader, parts: PartsOf, view: Viewed) -> shapes.ModelShape:
    """A model by its name, with its newest version and where traffic is carried."""
    with parts.records.look() as reading:
        return _model(inventory.model(reading, actor, view, model))


@router.post(
    "/{model}/versions",
    status_code=201,
    summary="Hand in a version",
    dependencies=[Depends(strict.known_parts)],
)
def upload(
    model: str,
    metadata: Annotated[str, Form(max_length=200_000, description="JSON: see NewVersion")],
    artifact: Annotated[UploadFile, File(description="The model, ONNX")],
    reference: Annotated[UploadFile, File(description="What it was trained on, Parquet")],
    holdout: Annotated[UploadFile, File(description="Labelled rows to check on, Parquet")],
    actor: Contributor,
    parts: PartsOf,
    request: Request,
    repeat: Repeats,
) -> shapes.VersionShape:
    """Store, inspect and sign a version; checks start by themselves.

    The number follows that of its parent, or else the highest of its scope, and says no less
    than what changed: MAJOR for another signature, model type or architecture, MINOR for
    tuning or more data, PATCH for other data. The same again gives the version there is;
    anything else under the same number is a conflict, which names the first difference.
    """
    body = strict.read_part(shapes.NewVersion, metadata, field="metadata")
    request.state.version = body.version  # a refusal names it
    tenant = whose(actor, body)
    with parts.records.look() as reading:
        demand_grant(actor, "versions:register", about.handed_in(reading, model, tenant))
    told = list[shapes.VersionShape]()

    def tell(work: Work, made: Version) -> None:
        record = inventory.version(work, parts, actor, inventory.NOW, model, made.version)
        told.append(repeat.keep(work, _version(record)))

    intake.upload(
        parts,
        actor,
        intake.Upload(
            model=model,
            version=body.version,
            tenant=tenant,
            framework=body.framework,
            cutoff=body.cutoff,
            training_metrics=body.training_metrics,
            training_trigger=TrainingTrigger(body.training_trigger),
            parent=body.parent,
            lineage=body.lineage,
            digest=None if body.digest is None else Digest(body.digest),
            artifact=artifact.file,
            reference=reference.file,
            holdout=holdout.file,
        ),
        reason=body.reason,
        then=tell,
    )
    return told[-1]


@router.get("/{model}/versions", summary="Versions of a model")
def list_versions(
    model: str, actor: Reader, parts: PartsOf, view: Viewed, paging: Pages
) -> shapes.Page[shapes.VersionShape]:
    """Versions that the caller may see, oldest first, with what is known of each."""
    with parts.records.look() as reading:
        found = inventory.versions(reading, parts, actor, view, model)
    return whole(paging, actor, found, lambda record: record.version.id, _version)


@router.get("/{model}/versions/{version}", summary="One version")
def get_version(
    model: str, version: str, actor: Reader, parts: PartsOf, view: Viewed
) -> shapes.VersionShape:
    """A version by its semantic version, or by its number (digits only), with what is known."""
    with parts.records.look() as reading:
        return _version(inventory.version(reading, parts, actor, view, model, version))


@router.get("/{model}/versions/{version}/signature", summary="Signature of a version")
def get_signature(
    model: str,
    version: str,
    actor: Downloader,
    parts: PartsOf,
) -> shapes.SignatureShape:
    """The OpenSSF Model Signing bundle, and the binding that it signs with the model; for whom
    the bytes themselves are."""
    with parts.records.look() as reading:
        found = serving.visible_version(reading, actor, model, version)
        serving.demand_bytes(reading, actor, found)
    if not found.signer:
        raise NotFound(f"version {found.version} was never signed", field="version")
    return shapes.SignatureShape(bundle=found.signature, binding=found.binding)


@router.get("/{model}/versions/{version}/checks", summary="Checks of a version")
def list_checks(
    model: str, version: str, actor: Reader, parts: PartsOf, then: Then, paging: Pages
) -> shapes.Page[shapes.CheckShape]:
    """Every run of every check, in order; of a moment, those that were over by then."""
    with parts.records.look() as reading:
        found = inventory.version(reading, parts, actor, then, model, version)
        runs = check_store.of_version(reading, found.version.id)
    if then.at is not None:
        runs = [run for run in runs if run.at <= then.at]
    return whole(paging, actor, runs, lambda run: run.id, shapes.CheckShape.model_validate)


@router.get("/{model}/deployments", summary="Deployments of a model")
def list_deployments(
    model: str, actor: Reader, parts: PartsOf, then: Then, paging: Pages
) -> shapes.Page[shapes.DeploymentShape]:
    """Where versions carry or carried traffic, oldest first."""
    with parts.records.look() as reading:
        found = inventory.deployments(reading, actor, then, model)
    place = "{0.id} {0.since} {0.state}".format
    return whole(paging, actor, found, place, shapes.DeploymentShape.model_validate)


def _model(record: ModelRecord) -> shapes.ModelShape:
    return shapes.ModelShape.model_validate({**vars(record), **vars(record.model)})


def _version(record: VersionRecord) -> shapes.VersionShape:
    return shapes.VersionShape.model_validate({**vars(record), **vars(record.version)})
