"""The verbs of the registry: register, move, and every change of exposure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trimtab.artifacts import envelope
from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import (
    Conflict,
    InvalidInput,
    InvalidMove,
    NotFound,
    PolicyRefused,
)
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import ApprovalId, Digest, ModelId, PermitId, TenantId, VersionId, new_id
from trimtab.registry import bumps, deployment_store, numbering, store
from trimtab.registry.deployments import Deployed, Deployment, begun
from trimtab.registry.model import (
    ArtifactDownloaded,
    Feature,
    Lifecycle,
    Model,
    ModelRegistered,
    Version,
    VersionRegistered,
    checked_name,
    checked_version,
)
from trimtab.registry.permits import PAYLOAD_TYPE, Permit, PermitIssued
from trimtab.registry.registration import Registration, demand_same

_SERVABLE = (Lifecycle.APPROVED, Lifecycle.PRODUCTION)

FULL = 100.0
"""The share of the endpoints of its scope that a stable version has, in percent."""


def register_model(
    work: Work,
    *,
    name: str,
    owner: str,
    description: str,
    risk_facts: dict[str, Any],
    tier: int,
    risk_level: str,
    risk_reasons: list[str],
    policy: str,
    features: tuple[Feature, ...],
    label: str,
) -> Model:
    """Register a model under a name that nobody has.

    Raises:
        InvalidInput: the name cannot be one, or two columns would have the same.
        Conflict: the name is taken.
    """
    _demand_distinct(features, label)
    model = Model(
        id=ModelId(new_id("mod")),
        name=checked_name(name),
        owner=owner,
        description=description,
        risk_facts=risk_facts,
        tier=tier,
        risk_level=risk_level,
        policy=policy,
        features=features,
        label=label,
        created_at=work.now,
    )
    event = ModelRegistered(
        subject=model.id,
        tenant=None,
        name=name,
        owner=owner,
        tier=tier,
        risk_level=risk_level,
        risk_reasons=risk_reasons,
        policy=policy,
    )
    return store.add_model(work, model, event)


def _demand_distinct(features: tuple[Feature, ...], label: str) -> None:
    names: set[str] = set()
    for place, feature in enumerate(features):
        if feature.name in names:
            raise InvalidInput(
                f"the feature {ascii(feature.name)[:80]} stands there twice",
                field=f"features.{place}.name",
                remedy="name each column once",
            )
        names.add(feature.name)
    if label in names:
        raise InvalidInput(
            "the label is one of the features: the model would be told what it is to find out",
            field="label",
            remedy="take it out of the features, or name another column as the label",
        )


def demand_registrable(
    reading: Reading, model: str, version: str, parent: str | None, tenant: TenantId | None
) -> None:
    """Refuse what would not be registered, as far as that can be told before there are bytes.

    Raises:
        InvalidInput: the version is not in its canonical form or does not follow, or its
            parent is not there.
    """
    checked_version(version)
    if store.find_version(reading, model, version) is None:
        at = numbering.place(reading, model, parent, tenant)
        bumps.demand_next(at.before, version, at.used)


def register_version(work: Work, registration: Registration) -> Version:
    """Keep a version whose bytes are stored, inspected and signed.

    Safe to repeat: the same again, by whomever, gives the version that is there.

    Raises:
        NotFound: the model is not registered.
        Conflict: the version number stands for something else; the first difference is named,
            unless it is another tenant's.
        InvalidInput: the version is not in its canonical form, does not follow or says less
            than what changed, or its parent is not there.
    """
    store.model_named(work, registration.model)
    checked_version(registration.version)
    known = store.find_version(work, registration.model, registration.version)
    if known is not None:
        demand_same(known, registration)
        return known
    at = numbering.place(work, registration.model, registration.parent, registration.tenant)
    changed = numbering.demand(at, registration)
    version = Version(
        id=VersionId(new_id("ver")),
        number=len(at.used) + 1,
        predecessor=at.before,
        bump=changed.bump.value,
        bump_reasons=changed.reasons,
        lifecycle=Lifecycle.DEVELOPMENT,
        signed_at=work.now,
        created_by=work.actor.id,
        created_at=work.now,
        **vars(registration),
    )
    event = VersionRegistered(
        subject=version.id,
        tenant=version.tenant,
        model=version.model,
        version=version.version,
        number=version.number,
        predecessor=version.predecessor,
        bump=version.bump,
        bump_reasons=list(version.bump_reasons),
        digest=version.digest,
        size_bytes=version.size_bytes,
        signer=version.signer,
        parent=version.parent,
        trigger=version.training_trigger.value,
        inspection=str(version.inspection.get("result")),
        training_metrics=version.training_metrics,
    )
    return store.add_version(work, version, event)


def move_version(work: Work, version_id: str, to: Lifecycle, *, why: str) -> Version:
    """Move a version to another lifecycle state; where it is there already, nothing happens.

    Raises:
        NotFound, InvalidMove, Conflict: see the store and the model.
    """
    version = store.version_by_id(work, version_id)
    if version.lifecycle is to:
        return version
    moved, event = version.move(to, why)
    return store.save_version(work, moved, event)


def hold_version(work: Work, version_id: str, *, why: str) -> Version:
    """Write down what keeps a version from going on; it stays where it is.

    Safe to repeat: the same reason again changes nothing.

    Raises:
        NotFound, Conflict: see the store.
    """
    version = store.version_by_id(work, version_id)
    if version.held_because == why:
        return version
    held, event = version.hold(why)
    return store.save_version(work, held, event)


def record_download(work: Work, version: Version, first_byte: int, last_byte: int) -> None:
    """Put into the ledger that verified bytes left."""
    work.record(
        ArtifactDownloaded(
            subject=version.id,
            tenant=work.actor.tenant,
            model=version.model,
            version=version.version,
            digest=version.digest,
            first_byte=first_byte,
            last_byte=last_byte,
        )
    )


def issue_permit(
    work: Work,
    version: Version,
    *,
    environment: str,
    max_percent: float,
    approval: ApprovalId,
    policy_digest: str,
    lifetime: timedelta,
    key: Ed25519PrivateKey,
) -> Permit:
    """Sign a permit for one increase of exposure, because of an approval that was checked.

    Raises:
        PolicyRefused: the version is not in a state in which it may carry traffic.
    """
    _demand_servable(version)
    permit = Permit(
        id=PermitId(new_id("per")),
        model=version.model,
        version=version.version,
        digest=version.digest,
        tenant=version.tenant,
        environment=environment,
        max_percent=max_percent,
        approval=approval,
        policy_digest=policy_digest,
        issued_at=work.now,
        expires_at=work.now + lifetime,
        sealed="",
    )
    body = {k: v for k, v in vars(permit).items() if k not in ("sealed", "revision")}
    sealed = envelope.seal(canonical(body), PAYLOAD_TYPE, key).decode()
    event = PermitIssued(
        subject=permit.id,
        tenant=permit.tenant,
        model=permit.model,
        version=permit.version,
        digest=permit.digest,
        environment=environment,
        max_percent=max_percent,
        approval=approval,
        policy_digest=policy_digest,
        expires_at=permit.expires_at,
    )
    return deployment_store.add_permit(work, replace(permit, sealed=sealed), event)


def set_canary(
    work: Work,
    version: Version,
    *,
    environment: str,
    percent: float,
    permit: Permit,
    salt: str,
    why: str,
) -> Deployed:
    """Begin a canary of `version`, or let the one there is grow to `percent`.

    Safe to repeat: where it already has that share, nothing happens.

    Raises:
        Conflict: another version is the canary of this place.
        PolicyRefused: the permit does not allow it, or the version may serve no more.
    """
    place = (version.model, version.tenant, environment)
    present = deployment_store.in_place(work, *place, Deployment.CANARY)
    if present is not None and not present.carries(version.version, version.digest):
        raise Conflict(
            f"version {present.version} is the canary here; one at a time",
            remedy="wait until it is promoted or rolled back",
        )
    if present is not None and present.percent == percent:
        return present
    _demand_servable(store.version_by_id(work, version.id))
    _consume(work, permit, place, version.version, version.digest, percent)
    if present is not None:
        grown, event = present.to(
            Deployment.CANARY, percent=percent, permit=permit.id, why=why, at=work.now
        )
        return deployment_store.save(work, grown, event)
    fresh = Deployed(
        id=new_id("dep"),
        model=version.model,
        tenant=version.tenant,
        environment=environment,
        version=version.version,
        digest=version.digest,
        state=Deployment.CANARY,
        percent=percent,
        salt=salt,
        permit=permit.id,
        since=work.now,
    )
    return deployment_store.begin(work, fresh, begun(fresh, why))


def promote_canary(
    work: Work, version: Version, *, environment: str, permit: Permit, why: str
) -> Deployed:
    """Make the canary the stable version, and retire the one that was, in one transaction.

    Safe to repeat: where this version is stable already, nothing happens.

    Raises:
        InvalidMove: this version is not the canary here.
        PolicyRefused: the permit does not allow it.
    """
    place = (version.model, version.tenant, environment)
    stable = deployment_store.in_place(work, *place, Deployment.STABLE)
    if stable is not None and stable.carries(version.version, version.digest):
        return stable
    canary = deployment_store.in_place(work, *place, Deployment.CANARY)
    if canary is None or not canary.carries(version.version, version.digest):
        raise InvalidMove(f"version {version.version} is not the canary here")
    _consume(work, permit, place, version.version, version.digest, FULL)
    if stable is not None:
        retired, event = stable.to(
            Deployment.RETIRED,
            percent=0.0,
            permit=stable.permit,
            why=f"{version.version} took its place",
            at=work.now,
        )
        deployment_store.save(work, retired, event)
    promoted, event = canary.to(
        Deployment.STABLE, percent=FULL, permit=permit.id, why=why, at=work.now
    )
    move_version(work, version.id, Lifecycle.PRODUCTION, why=why)
    return deployment_store.save(work, promoted, event)


def withdraw_canary(
    work: Work, model: str, tenant: TenantId | None, environment: str, *, version: str, why: str
) -> Deployed | None:
    """Take a canary's traffic away for good. Needs no permit: exposure only shrinks.

    Safe to repeat: where this version is no canary, nothing happens and None comes back.
    """
    return _withdraw(work, (model, tenant, environment, Deployment.CANARY), version, why)


def withdraw_stable(
    work: Work, model: str, tenant: TenantId | None, environment: str, *, version: str, why: str
) -> Deployed | None:
    """Take a stable version's traffic away with nothing in its place: a tenant's endpoints are
    answered by what is stable for everybody, others by nobody.

    Needs no permit: exposure only shrinks. Safe to repeat, as `withdraw_canary`.
    """
    return _withdraw(work, (model, tenant, environment, Deployment.STABLE), version, why)


def _withdraw(
    work: Work, place: tuple[str, TenantId | None, str, Deployment], version: str, why: str
) -> Deployed | None:
    present = deployment_store.in_place(work, *place)
    if present is None or present.version != version:
        return None
    withdrawn, event = present.to(
        Deployment.ROLLED_BACK, percent=0.0, permit=present.permit, why=why, at=work.now
    )
    return deployment_store.save(work, withdrawn, event)


def roll_back_stable(
    work: Work, model: str, tenant: TenantId | None, environment: str, *, permit: Permit, why: str
) -> Deployed:
    """Put the predecessor back in the place of the stable version.

    The permit is for the predecessor: its exposure grows.

    Raises:
        NotFound: there is nothing to roll back, or no predecessor that could serve.
        PolicyRefused: the permit does not allow it.
    """
    stable = deployment_store.in_place(work, model, tenant, environment, Deployment.STABLE)
    target = rollback_target(work, model, tenant, environment)
    if stable is None or target is None:
        raise NotFound(
            f"{model} has no earlier stable version to go back to here",
            remedy="withdraw the version, or release one that is approved",
        )
    _consume(work, permit, (model, tenant, environment), target.version, target.digest, FULL)
    gone, event = stable.to(
        Deployment.ROLLED_BACK, percent=0.0, permit=stable.permit, why=why, at=work.now
    )
    deployment_store.save(work, gone, event)
    back, event = target.to(Deployment.STABLE, percent=FULL, permit=permit.id, why=why, at=work.now)
    return deployment_store.save(work, back, event)


def rollback_target(
    reading: Reading, model: str, tenant: TenantId | None, environment: str
) -> Deployed | None:
    """The newest predecessor in this place whose version may still carry traffic."""
    place = (tenant, environment, Deployment.RETIRED)
    for deployed in reversed(deployment_store.history(reading, model)):
        if (deployed.tenant, deployed.environment, deployed.state) == place:
            version = store.find_version(reading, model, deployed.version)
            if version is not None and version.lifecycle in _SERVABLE:
                return deployed
    return None


def _demand_servable(version: Version) -> None:
    if version.lifecycle not in _SERVABLE:
        raise PolicyRefused(
            f"version {version.version} of {version.model} is {version.lifecycle.value}; "
            "only what is approved may carry traffic",
            remedy="finish its checks and its approval first",
        )


def _consume(
    work: Work,
    permit: Permit,
    place: tuple[str, TenantId | None, str],
    version: str,
    digest: Digest,
    percent: float,
) -> None:
    model, tenant, environment = place
    if (model, version) != (permit.model, permit.version):  # the same bytes may have two names
        raise PolicyRefused(f"permit {permit.id} is made out for something else")
    used, event = permit.consume(
        digest=digest, tenant=tenant, environment=environment, percent=percent, at=work.now
    )
    deployment_store.use_permit(work, used, event)
