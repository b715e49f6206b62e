"""Answering endpoints: which version, and verified bytes. A resolution writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from trimtab.artifacts.verifying import MODEL_FILE, verify_artifact
from trimtab.audit.work import Reading, Wanted
from trimtab.identity import store as identity
from trimtab.identity.reach import demand_grant
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import InvalidInput, NotFound, NotPermitted, NotYours
from trimtab.kernel.ids import TenantId
from trimtab.registry import history, reach, routing, store
from trimtab.registry import service as registry
from trimtab.registry.deployment_store import Place
from trimtab.registry.model import Lifecycle, Version
from trimtab.registry.store import Facts
from trimtab.rollouts import service as rollouts
from trimtab.rollouts import store as rollout_store
from trimtab.sdk.routing import Rejected, Resolution
from trimtab.workflows import about
from trimtab.workflows.parts import ENVIRONMENT, Parts
from trimtab.workflows.signed import METADATA_BYTES, binding_of, expected_of, trust_of

_CANDIDATES = 50
_COUNT = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Latest:
    """Which version answers, why, and what is known of its bytes."""

    model: str
    version: str
    digest: str
    deployment: str
    reason: str
    tenant: str | None
    bucket: int | None
    rejected: tuple[Rejected, ...]
    signer: str
    signed_at: datetime
    is_signed: bool
    size_bytes: int
    cutoff: float
    download: str


def model_meant(reading: Reading, actor: Actor, model: str | None) -> str:
    """The model that a request is about: the one it names, or its key's default.

    Raises:
        InvalidInput: neither; the candidates are listed.
    """
    if model is not None:
        return model
    default = identity.default_model(reading, actor.id)
    if default is not None:
        return default
    names = [m.name for m in store.models(reading, limit=_CANDIDATES + 1)]
    more = ", and more: see GET /api/v1/models" if len(names) > _CANDIDATES else ""
    listed = ", ".join(names[:_CANDIDATES]) or "none is registered"
    raise InvalidInput(
        "which model is meant?",
        field="model",
        remedy=f"add ?model= with one of: {listed}{more}",
    )


def wanted(actor: Actor, model: str | None, at: datetime | None) -> tuple[Wanted, ...]:
    """What `latest` looks for first, as far as that is known before."""
    if model is None or at is not None:
        return ()
    return (routing.wanted_now(Place(ENVIRONMENT, model, actor.tenant)),)


def latest(
    parts: Parts,
    reading: Reading,
    actor: Actor,
    model: str | None,
    endpoint: str,
    at: datetime | None = None,
) -> Latest:
    """Which version answers an endpoint of the actor's tenant, by the present records, or
    which one answered it at the moment `at`.

    Raises:
        InvalidInput: no model is named, and the key has no default; or `at` has not come.
        NotFound: nothing answers here.
    """
    history.demand_past(reading, at)
    name = model_meant(reading, actor, model)
    try:
        found, facts = _resolved(reading, name, actor.tenant, endpoint, at)
    except NotFound:
        store.model_named(reading, name)  # says so if it is the model that there is not
        raise
    return Latest(
        model=name,
        version=found.version,
        digest=found.digest,
        deployment=found.deployment.value,
        reason=found.reason,
        tenant=found.tenant,
        bucket=found.bucket,
        rejected=found.rejected,
        signer=facts.signer,
        signed_at=facts.signed_at,
        is_signed=facts.signer == parts.signer.key_id,
        size_bytes=facts.size_bytes,
        cutoff=facts.cutoff,
        download=f"/api/ml/model/download?model={name}&version={found.version}&type=onnx",
    )


def _resolved(
    reading: Reading, model: str, tenant: TenantId | None, endpoint: str, at: datetime | None
) -> tuple[Resolution, Facts]:
    place = Place(ENVIRONMENT, model, tenant)
    if at is None:
        return routing.resolve_now(reading, place, endpoint)
    found = routing.resolve_then(reading, place, endpoint, at)
    facts = store.facts(reading, model, found.version)
    if facts is None:
        raise NotFound(f"nothing answers for {model} here", field="model")
    return found, facts


def visible_version(reading: Reading, actor: Actor, model: str, version: str) -> Version:
    """A version that `actor` may see: its tenant's own, or a global one.

    Args:
        version: Its semantic version, or in digits only, the count under which the model has it.

    Raises:
        NotFound: there is none, or it is another tenant's.
    """
    if _COUNT.fullmatch(version):
        found = store.numbered_version(reading, model, int(version))
    else:
        found = store.find_version(reading, model, version)
    foreign = found is not None and found.tenant not in (None, actor.tenant)
    if found is None:
        store.model_named(reading, model)  # says so where it is the model that is not there
    if found is None or (foreign and actor.tenant is not None):
        kind = NotFound if found is None else NotYours
        raise kind(f"{ascii(model)[:60]} has no version {ascii(version)[:30]}", field="version")
    return found


def demand_bytes(reading: Reading, actor: Actor, version: Version) -> None:
    """Make sure that the bytes of a version, and its signature, are `actor`'s to have.

    Who hands versions in may look at each that they see. Who only serves has them where they
    are deployed to them: a key that leaks from a shop gives away nothing that was not there,
    and nothing that was not approved.

    Raises:
        NotPermitted: they are not, or their role does not hold for it.
    """
    asked = about.version(reading, version)
    demand_grant(actor, "artifacts:download", asked)
    if actor.may("versions:register", asked):
        return
    if not reach.deployed_to(reading, version, actor.tenant, ENVIRONMENT):
        raise NotPermitted(
            f"version {version.version} of {version.model} is not deployed to you",
            field="version",
            remedy="ask /api/ml/model/latest which version answers you, and take that one",
        )


def open_verified(parts: Parts, version: Version) -> BinaryIO:
    """The stored artifact, its digest and signature verified before the first byte.

    Raises:
        IntegrityFailed, NotFound, Unavailable: it is not what was signed, not there, or
            cannot be read.
    """
    file = parts.blobs.open_verified(version.digest)
    try:
        verify_artifact(
            binding_of(version),
            version.signature.encode(),
            trust=trust_of(parts),
            expected=expected_of(version),
            max_metadata_bytes=METADATA_BYTES,
            hashed={MODEL_FILE: version.digest},  # of the very file that is open
        )
    except BaseException:
        file.close()
        raise
    return file


def quarantine(parts: Parts, version: Version, why: str) -> None:
    """Take damaged bytes aside and mark the version. They are never handed out again; gateways
    that hold verified bytes of a stable version go on with those."""
    parts.metrics.integrity_failures.labels("artifact").inc()
    if parts.blobs.has(version.digest):
        parts.blobs.quarantine(version.digest)
    with parts.records.begin(system("integrity"), reason=why) as work:
        registry.move_version(work, version.id, Lifecycle.QUARANTINED, why=why)
        for rollout in rollout_store.unsettled(work):
            if rollout.version_id == version.id:
                rollouts.roll_back(work, rollout.id, f"quarantined: {why}")
