"""A version appears: bytes stored, inspected, signed; once checked, put before who must answer.

upload -> version.registered -> (checks) -> approval requested or given -> approved
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from trimtab.approvals import service as approvals
from trimtab.approvals.automatic import Facts, all_met, criteria
from trimtab.approvals.model import Target
from trimtab.artifacts.binding import Binding
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Work
from trimtab.checks import artifact as artifact_checks
from trimtab.checks import performance
from trimtab.checks import service as checks
from trimtab.checks import store as check_store
from trimtab.checks.model import CheckRun, Conclusion, conclude
from trimtab.identity import store as people
from trimtab.identity.reach import demand_own
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.errors import (
    IntegrityFailed,
    InvalidInput,
    NotFound,
    PolicyRefused,
    Unavailable,
)
from trimtab.kernel.ids import Digest, TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.platform.blobs import Blob
from trimtab.policies.model import TierPolicy
from trimtab.policies.risk import RiskFacts, assess
from trimtab.registry import numbering, store
from trimtab.registry import service as registry
from trimtab.registry.model import Feature, Lifecycle, Model, TrainingTrigger, Version
from trimtab.registry.registration import Registration
from trimtab.workflows import files, quotas
from trimtab.workflows.check import production_of
from trimtab.workflows.parts import (
    ENVIRONMENT,
    Parts,
    Then,
    demand_place,
    nothing_more,
    policy_of,
    required_checks,
    told,
)

_MIB = 1 << 20
_INTAKE = system("intake")


@dataclass(frozen=True)
class Upload:
    """What somebody hands in for one version; the three streams are read to their ends.

    `reference` is what drift is measured against (as the model was trained), `holdout` is
    what its performance is checked on; both Parquet. `digest` is what the sender says the
    artifact's bytes have.
    """

    model: str
    version: str
    tenant: TenantId | None
    framework: str
    cutoff: float
    training_metrics: dict[str, float]
    training_trigger: TrainingTrigger
    parent: str | None
    lineage: dict[str, Any]
    digest: Digest | None
    artifact: BinaryIO
    reference: BinaryIO
    holdout: BinaryIO
    contributors: tuple[str, ...] = ()
    numbered: bool = True
    """Whether somebody chose the number; if not, the least that fits takes its place where
    it is taken, or says less than what changed."""


def register_model(
    parts: Parts,
    actor: Actor,
    *,
    name: str,
    owner: str,
    description: str,
    facts: RiskFacts,
    features: tuple[Feature, ...],
    label: str,
    policy: str,
    reason: str,
    then: Then[Model] = nothing_more,
) -> Model:
    """Register a model; its risk tier follows from the facts, nobody chooses it. `then` is
    done with it, in the same transaction.

    Raises:
        InvalidInput: a name or a fact that cannot be taken, or an unknown policy.
        Conflict: the name is taken.
    """
    chosen = policy or parts.default_policy
    if chosen not in parts.policies:
        raise InvalidInput(
            f"there is no policy called {ascii(chosen)[:60]}",
            field="policy",
            remedy="the policies are " + ", ".join(sorted(parts.policies)),
        )
    assessment = assess(facts, parts.policies[chosen].risk)
    with parts.records.begin(actor, reason=reason) as work:
        model = registry.register_model(
            work,
            name=name,
            owner=owner,
            description=description,
            risk_facts=asdict(facts),
            tier=int(assessment.tier),
            risk_level=assessment.level.value,
            risk_reasons=[r.text for r in assessment.reasons],
            policy=chosen,
            features=features,
            label=label,
        )
        then(work, model)
        return model


def upload(
    parts: Parts,
    actor: Actor,
    given: Upload,
    *,
    reason: str,
    then: Then[Version] = nothing_more,
) -> Version:
    """Store, inspect and sign what was handed in, and register it as a version.

    The ledger entry starts the checks. What inspection calls malicious, or cannot
    read, is never signed. The former is registered and rejected at once, so that reviewers see
    what was tried. Safe to repeat with
    the same bytes. `then` is done with the version, in the same transaction.

    Raises:
        NotFound: there is no such model.
        NotPermitted: a tenant's credential for somebody else's version.
        InvalidInput: something about the upload cannot be taken, or its number says less than
            what changed.
        IntegrityFailed: the bytes are not those that the sender named.
        Conflict: the version number stands for other bytes.
        QuotaExceeded: its tenant has as many versions, or bytes of them, as it may have.
    """
    model = _model_for(parts, actor, given)
    demands, policy_digest = policy_of(parts, model)
    stored = _laid_down(parts, actor, given, model, demands)
    registration = _sealed(parts, _numbered(parts, given, stored))
    malicious = registration.inspection["result"] == "malicious"
    with parts.records.begin(actor, reason=reason) as work:
        version = registry.register_version(work, registration)
        if actor.kind is not ActorKind.SYSTEM:  # what trains by itself was asked for by a policy
            quotas.demand_versions(work, parts.settings, given.tenant)
        # Whoever sends it again gets what there is, also what was signed before this was so.
        if malicious and version.lifecycle is Lifecycle.DEVELOPMENT:
            version = _rejected(work, version, policy_digest)
        then(work, version)
    parts.metrics.uploads.labels(str(registration.inspection["result"])).inc()
    return version


def _laid_down(
    parts: Parts, actor: Actor, given: Upload, model: Model, demands: TierPolicy
) -> Registration:
    """What was handed in, its bytes stored and inspected; neither numbered nor signed yet."""
    limit = int(demands.checks.child.max_artifact_mib * _MIB)
    rows = _demand_takeable(given, model, limit)
    # Whatever can be refused for a cheap reason has been: from here on bytes are stored.
    artifact = _stored(parts, given, limit)
    reference = parts.blobs.put(given.reference, max_bytes=limit).digest
    holdout = parts.blobs.put(given.holdout, max_bytes=limit).digest
    with parts.blobs.held(artifact.digest) as path, parts.scratch.folder() as place:
        inspection = artifact_checks.inspect(path, demands.checks.child, place)
    person = {actor.person} if actor.person else set()
    return Registration(
        model=given.model,
        tenant=given.tenant,
        version=given.version,
        digest=artifact.digest,
        size_bytes=artifact.size,
        framework=given.framework,
        cutoff=given.cutoff,
        training_metrics=given.training_metrics,
        training_trigger=given.training_trigger,
        parent=given.parent,
        reference_digest=reference,
        reference_rows=rows,
        holdout_digest=holdout,
        lineage=given.lineage,
        binding="",
        signature="",
        signer="",
        inspection=inspection,
        contributors=tuple(sorted({*given.contributors, *person})),
    )


def _stored(parts: Parts, given: Upload, limit: int) -> Blob:
    try:
        return parts.blobs.put(given.artifact, expected=given.digest, max_bytes=limit)
    except IntegrityFailed:
        parts.metrics.integrity_failures.labels("upload").inc()
        raise


def _sealed(parts: Parts, numbered: Registration) -> Registration:
    """What is registered: with our signature, where the bytes are a model that can be read."""
    binding = Binding(
        numbered.model,
        numbered.version,
        numbered.tenant,
        numbered.digest,
        numbered.reference_digest,
    )
    stated = replace(numbered, binding=binding.to_bytes().decode())
    if numbered.inspection["result"] not in ("clean", "suspicious"):
        return stated
    bundle = _signed(parts, numbered.digest, binding)
    return replace(stated, signature=bundle.decode(), signer=parts.signer.key_id)


def _model_for(parts: Parts, actor: Actor, given: Upload) -> Model:
    """The model that a version is handed in for, by somebody who may, under a number to take."""
    demand_own(actor, given.tenant)
    with parts.records.look() as reading:
        model = store.model_named(reading, given.model)
        if given.tenant is not None and not people.tenant_exists(reading, given.tenant):
            raise NotFound(f"there is no tenant {ascii(given.tenant)[:80]}", field="tenant")
        known = store.find_version(reading, given.model, given.version)
        if actor.kind is not ActorKind.SYSTEM and known is None:
            quotas.demand_versions(reading, parts.settings, given.tenant, more=1)
        if given.numbered:
            registry.demand_registrable(
                reading, given.model, given.version, given.parent, given.tenant
            )
    return model


def _demand_takeable(given: Upload, model: Model, limit: int) -> int:
    """How many rows the reference has, of an upload that can be taken."""
    if not 0 <= given.cutoff <= 1:
        raise InvalidInput("a cut-off lies between 0 and 1", field="cutoff")
    files.demand_bytes(given.artifact)
    files.demand_size(given.artifact, limit, "artifact")
    rows = {}
    for name, stream in (("reference", given.reference), ("holdout", given.holdout)):
        files.demand_size(stream, limit, name)
        rows[name] = files.demand_table(stream, model, name)
    files.demand_unlike(given.holdout, given.reference)
    return rows["reference"]


def _rejected(work: Work, version: Version, policy_digest: str) -> Version:
    """A malicious version, rejected with its findings in the transaction that registers it:
    it never stands there as if something were still open."""
    finding = artifact_checks.security(version.inspection)
    checks.keep(
        work,
        [finding],
        model=version.model,
        tenant=version.tenant,
        version_id=version.id,
        version=version.version,
        digest=version.digest,
        policy_digest=policy_digest,
        attempt=1,
    )
    why = f"{finding.name}: {finding.reason}"
    return registry.move_version(work, version.id, Lifecycle.REJECTED, why=why)


def _numbered(parts: Parts, given: Upload, registration: Registration) -> Registration:
    """With the number that fits, where nobody chose one."""
    if given.numbered:
        return registration
    with parts.records.look() as reading:
        at = numbering.place(reading, given.model, given.parent, given.tenant)
    return replace(registration, version=numbering.fitting(at, registration))


def _signed(parts: Parts, artifact: Digest, binding: Binding) -> bytes:
    try:
        with parts.blobs.held(artifact) as path, parts.scratch.folder() as place:
            return parts.signer.sign(path, binding, scratch=place)
    except OSError as error:  # it needs room for a copy
        raise Unavailable(
            f"the version cannot be signed here now: {error.strerror}",
            remedy="free room below the data folder, then hand it in again",
        ) from error


def request_approval(parts: Parts, entry: Entry) -> None:
    """Ask for approval of a version whose checks have all passed, as who handed it in."""
    assert entry.data is not None
    with parts.records.look() as reading:
        version = store.version_by_id(reading, str(entry.data["version_id"]))
        model = store.model_named(reading, version.model)
        runs = check_store.of_version(reading, version.id)
        production = production_of(reading, version)
    demands, policy_digest = policy_of(parts, model)
    conclusion = conclude(runs, required_checks(demands, version))
    if version.lifecycle is not Lifecycle.STAGING or conclusion.verdict is not Verdict.PASS:
        return
    try:
        demand_place(model, demands)
    except PolicyRefused as refusal:
        with parts.records.begin(_INTAKE, reason="all checks passed", cause=entry.sequence) as work:
            registry.hold_version(work, version.id, why=told(refusal))
        return
    automatic = _automatic_percent(demands)
    found = criteria(
        _facts(version, production, runs, automatic, conclusion, demands),
        demands.approvals.auto_approve,
    )
    target = Target(
        model=version.model,
        version_id=version.id,
        version=version.version,
        digest=version.digest,
        tenant=version.tenant,
        environment=ENVIRONMENT,
        max_percent=automatic if all_met(found) else demands.rollout.max_traffic_percent,
        checks_digest=conclusion.digest,
        policy_digest=policy_digest,
    )
    with parts.records.begin(_INTAKE, reason="all checks passed", cause=entry.sequence) as work:
        approvals.request(
            work,
            target,
            comment=f"{version.model} {version.version}, trained "
            f"{version.training_trigger.occasion}",
            contributors=version.contributors,
            criteria=found,
            demands=demands.approvals,
        )


def _automatic_percent(demands: TierPolicy) -> float:
    """What an automatic approval is judged for: no more than it may grant, and no less than a
    release begins with. What is beyond it is asked for when the canary stands there."""
    rollout = demands.rollout
    granted = max(demands.approvals.auto_approve.max_traffic_percent, rollout.steps_percent[0])
    return min(rollout.max_traffic_percent, granted)


def decides(entry: Entry) -> bool:
    """Whether an entry may be one that `follow_approval` moves a version for."""
    return entry.data is None or entry.data.get("phase") != "pending"


def follow_approval(parts: Parts, entry: Entry) -> None:
    """Move a version as its approval was decided."""
    assert entry.data is not None
    automatic = entry.kind == "approval.approved_automatically"
    phase = "approved" if automatic else str(entry.data["phase"])
    moves = {"approved": Lifecycle.APPROVED, "rejected": Lifecycle.REJECTED}
    if phase not in moves:
        return
    why = "every criterion is met" if automatic else f"{entry.data['name']}: {entry.reason}"
    with parts.records.begin(_INTAKE, reason=why, cause=entry.sequence) as work:
        version = store.version_by_id(work, str(entry.data["version_id"]))
        if version.digest != entry.data["digest"]:
            return
        # Of a version that was approved for less, a person has refused the rest.
        refused = version.lifecycle is Lifecycle.APPROVED and phase == "rejected"
        if version.lifecycle is Lifecycle.STAGING or refused:
            registry.move_version(work, version.id, moves[phase], why=why)


_COMPARED = ("precision", "recall", "false_positive_rate", "accuracy")
"""The metrics that a policy makes demands on, as the check of performance measures them."""


def _facts(
    version: Version,
    production: Version | None,
    runs: Sequence[CheckRun],
    percent: float,
    conclusion: Conclusion,
    demands: TierPolicy,
) -> Facts:
    """What was measured here on the holdout. Of what the sender says of the version counts only
    that it was retrained: what no person has a part in is taken for that anyway.
    """
    change = gain = None
    measured = _measured(runs, version, production)
    if measured is not None:
        ours, theirs = measured
        change = _largest_change(ours, theirs)
        mine, before = ours.get("accuracy"), theirs.get("accuracy")
        gain = None if mine is None or before is None else 100 * (mine - before)
    return Facts(
        checks=conclusion.verdicts,
        required_checks=tuple(required_checks(demands, version)),
        first_of_model=production is None,
        percent=percent,
        metric_change_percent=change,
        gain_percent_points=gain,
        retrained=version.training_trigger is not TrainingTrigger.MANUAL
        or not version.contributors,
    )


_Metrics = Mapping[str, float | None]


def _measured(
    runs: Sequence[CheckRun], version: Version, production: Version | None
) -> tuple[_Metrics, _Metrics] | None:
    """The metrics of a version and of production on the same rows; None where the newest check
    of these bytes did not compare them with what is in production now."""
    found = [r for r in runs if r.name == performance.NAME and r.digest == version.digest]
    if not found or production is None:
        return None
    numbers = max(found, key=lambda run: run.attempt).numbers
    if numbers.get("compared_with") != production.digest:
        return None
    return numbers["metrics"], numbers["production_metrics"]


def _largest_change(ours: _Metrics, theirs: _Metrics) -> float | None:
    """The largest relative change of all metrics, in percent; None if any is not known."""
    changes = []
    for name in _COMPARED:
        mine, before = ours.get(name), theirs.get(name)
        if mine is None or before is None or (before == 0 and mine != 0):
            return None
        changes.append(0.0 if mine == before else 100 * abs(mine - before) / before)
    return max(changes)
