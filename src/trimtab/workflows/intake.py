"""A version appears: bytes stored, inspected, signed; checked; put before who must answer.

upload -> version.registered -> checks -> approval requested or given -> approved
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, BinaryIO

from trimtab.approvals import service as approvals
from trimtab.approvals.automatic import Facts, criteria
from trimtab.approvals.model import Target
from trimtab.artifacts import binding as bindings
from trimtab.artifacts.binding import Binding
from trimtab.artifacts.verifying import MODEL_FILE, Expected, Trust
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading, Work
from trimtab.checks import artifact as artifact_checks
from trimtab.checks import performance
from trimtab.checks import service as checks
from trimtab.checks import store as check_store
from trimtab.checks.model import Conclusion, Result, conclude
from trimtab.identity import store as people
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import (
    IntegrityFailed,
    InvalidInput,
    NotFound,
    NotPermitted,
    Unavailable,
)
from trimtab.kernel.ids import Digest, TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.policies.model import TierPolicy
from trimtab.policies.risk import RiskFacts, assess
from trimtab.registry import deployment_store, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Feature, Lifecycle, Model, TrainingTrigger, Version
from trimtab.registry.service import Registration
from trimtab.workflows import files
from trimtab.workflows.jobs import MAX_ATTEMPTS
from trimtab.workflows.parts import ENVIRONMENT, Parts

CHECK_PAUSE = timedelta(minutes=1)
"""Domain time until a check that could not be carried out is tried again; doubled each time.
A property of the house, not of a model: it decides nothing about a version."""

METADATA_BYTES = 1 << 20
"""Bound on a signature bundle or a binding; ours are a few kilobytes."""

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


def policy_of(parts: Parts, model: Model) -> tuple[TierPolicy, str]:
    """What is demanded of a model, and the digest of the policy that demands it."""
    policy = parts.policy(model.policy)
    return policy.tier(model.tier), policy.digest


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
) -> Model:
    """Register a model; its risk tier follows from the facts, nobody chooses it.

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
        return registry.register_model(
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


def upload(parts: Parts, actor: Actor, given: Upload, *, reason: str) -> Version:
    """Store, inspect and sign what was handed in, and register it as a version.

    The ledger entry starts the checks. What inspection calls malicious is never signed: it is
    registered and rejected at once, so that reviewers see what was tried. Safe to repeat with
    the same bytes.

    Raises:
        NotFound: there is no such model.
        NotPermitted: a tenant's credential for somebody else's version.
        InvalidInput: something about the upload cannot be taken.
        IntegrityFailed: the bytes are not those that the sender named.
        Conflict: the version number stands for other bytes.
    """
    model = _model_for(parts, actor, given)
    demands, policy_digest = policy_of(parts, model)
    limit = int(demands.checks.child.max_artifact_mib * _MIB)
    _demand_takeable(given, model, limit)
    # Whatever can be refused for a cheap reason has been: from here on bytes are stored.
    artifact = parts.blobs.put(given.artifact, expected=given.digest, max_bytes=limit)
    reference = parts.blobs.put(given.reference, max_bytes=limit).digest
    holdout = parts.blobs.put(given.holdout, max_bytes=limit).digest
    with parts.scratch.folder() as place:
        path = parts.blobs.path(artifact.digest)
        inspection = artifact_checks.inspect(path, demands.checks.child, place)
    binding = Binding(given.model, given.version, given.tenant, artifact.digest, reference)
    malicious = inspection["result"] == "malicious"
    bundle = b"" if malicious else _signed(parts, artifact.digest, binding)
    person = {actor.person} if actor.person else set()
    registration = Registration(
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
        holdout_digest=holdout,
        lineage=given.lineage,
        binding=binding.to_bytes().decode(),
        signature=bundle.decode(),
        signer="" if malicious else parts.signer.key_id,
        inspection=inspection,
        contributors=tuple(sorted({*given.contributors, *person})),
    )
    with parts.records.begin(actor, reason=reason) as work:
        version = registry.register_version(work, registration)
        # Whoever sends it again gets what there is, also what was signed before this was so.
        if malicious and version.lifecycle is Lifecycle.DEVELOPMENT:
            return _rejected(work, version, policy_digest)
        return version


def _model_for(parts: Parts, actor: Actor, given: Upload) -> Model:
    """The model that a version is handed in for, by somebody who may, under a number to take."""
    if actor.tenant is not None and given.tenant != actor.tenant:
        raise NotPermitted(
            "this credential can only register its own tenant's versions",
            field="tenant",
            remedy="leave the tenant out, or name your own",
        )
    with parts.records.look() as reading:
        model = store.model_named(reading, given.model)
        if given.tenant is not None and not people.tenant_exists(reading, given.tenant):
            raise NotFound(f"there is no tenant {ascii(given.tenant)[:80]}", field="tenant")
        registry.demand_registrable(reading, given.model, given.version, given.parent, given.tenant)
    return model


def _demand_takeable(given: Upload, model: Model, limit: int) -> None:
    if not 0 <= given.cutoff <= 1:
        raise InvalidInput("a cut-off lies between 0 and 1", field="cutoff")
    files.demand_bytes(given.artifact)
    files.demand_size(given.artifact, limit, "artifact")
    for name, stream in (("reference", given.reference), ("holdout", given.holdout)):
        files.demand_size(stream, limit, name)
        files.demand_table(stream, model, name)


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


def _signed(parts: Parts, artifact: Digest, binding: Binding) -> bytes:
    try:
        with parts.scratch.folder() as place:
            return parts.signer.sign(parts.blobs.path(artifact), binding, scratch=place)
    except OSError as error:  # it needs room for a copy
        raise Unavailable(
            f"the version cannot be signed here now: {error.strerror}",
            remedy="free room below the data folder, then hand it in again",
        ) from error


def run_checks(parts: Parts, entry: Entry) -> None:
    """Run what the policy asks on a version that was registered, then go on accordingly."""
    _check(parts, entry.subject, attempt=1, cause=entry.sequence)


def check_again(parts: Parts, version_id: str) -> None:
    """Try those checks again that could not be carried out, if their time has come."""
    with parts.records.look() as reading:
        tried = dict(check_store.due(reading, reading.now)).get(version_id)
    if tried is not None:
        _check(parts, version_id, attempt=tried + 1)


def due_again(reading: Reading) -> list[tuple[str, str]]:
    """Versions on which a check is to be tried again, and the attempt that failed."""
    return [
        (version_id, str(attempt))
        for version_id, attempt in check_store.due(reading, reading.now)
        if store.version_by_id(reading, version_id).lifecycle is Lifecycle.STAGING
    ]


def _check(parts: Parts, version_id: str, *, attempt: int, cause: int | None = None) -> None:
    """Make one attempt at every check that has no answer yet."""
    with parts.records.look() as reading:
        version = store.version_by_id(reading, version_id)
        model = store.model_named(reading, version.model)
        production = _production(reading, version)
        before = check_store.of_version(reading, version.id)
    if version.lifecycle not in (Lifecycle.DEVELOPMENT, Lifecycle.STAGING):
        return
    demands, policy_digest = policy_of(parts, model)
    answered = {run.name for run in before if run.verdict is not Verdict.ERROR}
    results = [
        _carried_out(name, check, last=attempt >= MAX_ATTEMPTS)
        for name, check in _checks(parts, model, version, production, demands).items()
        if name not in answered
    ]
    with parts.records.begin(_INTAKE, reason="checks of the policy", cause=cause) as work:
        if version.lifecycle is Lifecycle.DEVELOPMENT:
            registry.move_version(work, version.id, Lifecycle.STAGING, why="checks were run")
        pause = CHECK_PAUSE * 2 ** (attempt - 1)
        runs = checks.keep(
            work,
            results,
            model=version.model,
            tenant=version.tenant,
            version_id=version.id,
            version=version.version,
            digest=version.digest,
            policy_digest=policy_digest,
            attempt=attempt,
            again_at=None if attempt >= MAX_ATTEMPTS else work.now + pause,
        )
        conclusion = conclude([*before, *runs], [name.value for name in demands.checks.required])
        if conclusion.verdict is Verdict.FAIL:
            failed = [n for n, v in conclusion.verdicts.items() if v is Verdict.FAIL]
            why = "; ".join(f"{name}: {conclusion.reasons[name]}" for name in failed)
            registry.move_version(work, version.id, Lifecycle.REJECTED, why=why)


def request_approval(parts: Parts, entry: Entry) -> None:
    """Ask for approval of a version whose checks have all passed, as who handed it in."""
    assert entry.data is not None
    with parts.records.look() as reading:
        version = store.version_by_id(reading, str(entry.data["version_id"]))
        model = store.model_named(reading, version.model)
        runs = check_store.of_version(reading, version.id)
        production = _production(reading, version)
    demands, policy_digest = policy_of(parts, model)
    conclusion = conclude(runs, [name.value for name in demands.checks.required])
    if version.lifecycle is not Lifecycle.STAGING or conclusion.verdict is not Verdict.PASS:
        return
    target = Target(
        model=version.model,
        version_id=version.id,
        version=version.version,
        digest=version.digest,
        tenant=version.tenant,
        environment=ENVIRONMENT,
        max_percent=demands.rollout.max_traffic_percent,
        checks_digest=conclusion.digest,
        policy_digest=policy_digest,
    )
    facts = _facts(version, production, target, conclusion, demands)
    with parts.records.begin(_INTAKE, reason="all checks passed", cause=entry.sequence) as work:
        approvals.request(
            work,
            target,
            comment=f"{version.model} {version.version}, trained "
            f"{version.training_trigger.occasion}",
            contributors=version.contributors,
            criteria=criteria(facts, demands.approvals.auto_approve),
            demands=demands.approvals,
        )


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
        if version.lifecycle is Lifecycle.STAGING and version.digest == entry.data["digest"]:
            registry.move_version(work, version.id, moves[phase], why=why)


def files_of(parts: Parts, version: Version) -> dict[str, Any]:
    """The files that a version's signature is about, as stored."""
    return {
        MODEL_FILE: parts.blobs.path(version.digest),
        bindings.FILE_NAME: version.binding.encode(),
    }


def trust_of(parts: Parts) -> Trust:
    """Whose signatures on artifacts count."""
    return Trust({parts.signer.key_id: parts.signer.public_key})


def expected_of(version: Version) -> Expected:
    """What a version's signature has to be about."""
    return Expected(version.model, version.version, version.tenant, version.digest)


def _checks(
    parts: Parts,
    model: Model,
    version: Version,
    production: Version | None,
    demands: TierPolicy,
) -> dict[str, Callable[[], Result]]:
    """Every check of a version, by name, ready to be carried out."""

    def schema() -> Result:
        features = {feature.name: feature.kind for feature in model.features}
        with parts.blobs.open_verified(version.holdout_digest) as holdout:
            columns = files.column_kinds(holdout)
        return artifact_checks.schema(version.inspection, features, columns, model.label)

    return {
        artifact_checks.INTEGRITY: lambda: artifact_checks.integrity(
            files_of(parts, version),
            version.signature.encode(),
            trust=trust_of(parts),
            expected=expected_of(version),
            max_metadata_bytes=METADATA_BYTES,
        ),
        artifact_checks.SCHEMA: schema,
        artifact_checks.SECURITY: lambda: artifact_checks.security(version.inspection),
        performance.NAME: lambda: _performance(parts, model, version, production, demands),
    }


def _carried_out(name: str, check: Callable[[], Result], *, last: bool) -> Result:
    """The result of a check; a failure of ours is an error of the check, and no finding.

    That a stored file is gone or damaged is ours too: what was handed in was whole.
    """
    try:
        result = check()
    except (Unavailable, NotFound, IntegrityFailed) as error:
        result = Result(name, Verdict.ERROR, error.message)
    except OSError as error:
        result = Result(name, Verdict.ERROR, f"the machine refused: {error.strerror}")
    if result.verdict is not Verdict.ERROR:
        return result
    goes_on = f"given up after {MAX_ATTEMPTS} attempts" if last else "it is tried again"
    return replace(result, reason=f"{result.reason}; {goes_on}")


def _performance(
    parts: Parts,
    model: Model,
    version: Version,
    production: Version | None,
    demands: TierPolicy,
) -> Result:
    if version.inspection["result"] in ("malicious", "unreadable"):
        reason = "it is not run: " + str(version.inspection["result"])
        return Result(performance.NAME, Verdict.FAIL, reason)

    def scored(candidate: Version) -> performance.Scored:
        with parts.scratch.folder() as place:
            return performance.score(
                parts.blobs.path(candidate.digest),
                candidate.digest,
                parts.blobs.path(version.holdout_digest),
                features=[feature.name for feature in model.features],
                label=model.label,
                limits=demands.checks.child,
                folder=place,
            )

    try:
        own = scored(version)
    except performance.ChildFailed as error:
        return Result(performance.NAME, Verdict.FAIL, error.message)
    theirs = None
    if production is not None:
        try:
            theirs = scored(production), production.cutoff
        except performance.ChildFailed as error:
            # Not a finding about this version; and without the comparison there is no pass.
            why = f"production ({production.version}) could not be scored: {error.message}"
            return Result(performance.NAME, Verdict.ERROR, why)
    return performance.judge(own, version.cutoff, demands.checks.performance, production=theirs)


def _facts(
    version: Version,
    production: Version | None,
    target: Target,
    conclusion: Conclusion,
    demands: TierPolicy,
) -> Facts:
    change = gain = None
    if production is not None:
        ours = version.training_metrics.get("accuracy")
        theirs = production.training_metrics.get("accuracy")
        if ours is not None and theirs:
            change = 100 * (ours - theirs) / theirs
            gain = 100 * (ours - theirs)
    return Facts(
        checks=conclusion.verdicts,
        required_checks=tuple(name.value for name in demands.checks.required),
        first_of_model=production is None,
        percent=target.max_percent,
        metric_change_percent=change,
        gain_percent_points=gain,
        retrained=version.training_trigger is not TrainingTrigger.MANUAL,
    )


def _production(reading: Reading, version: Version) -> Version | None:
    """The stable version that this one would succeed: its tenant's own, or the global one."""
    for tenant in dict.fromkeys((version.tenant, None)):
        stable = deployment_store.in_place(
            reading, version.model, tenant, ENVIRONMENT, Deployment.STABLE
        )
        if stable is not None:
            return store.find_version(reading, version.model, stable.version)
    return None


def visible_version(reading: Reading, actor: Actor, model: str, version: str) -> Version:
    """A version that `actor` may see: its tenant's own, or a global one.

    Raises:
        NotFound: there is none, or it is another tenant's.
    """
    found = store.find_version(reading, model, version)
    foreign = found is not None and found.tenant not in (None, actor.tenant)
    if found is None:
        store.model_named(reading, model)  # says so where it is the model that is not there
    if found is None or (foreign and actor.tenant is not None):
        raise NotFound(f"{ascii(model)[:60]} has no version {ascii(version)[:30]}", field="version")
    return found
