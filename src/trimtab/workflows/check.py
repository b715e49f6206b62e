"""A version's checks: each is carried out, its result kept; what could not be is tried again.

version.registered -> staging -> check.finished, one each -> rejected, or put up for approval
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.checks import artifact as artifact_checks
from trimtab.checks import performance
from trimtab.checks import service as checks
from trimtab.checks import store as check_store
from trimtab.checks.model import Result, conclude
from trimtab.kernel.actor import system
from trimtab.kernel.errors import IntegrityFailed, NotFound, Unavailable
from trimtab.kernel.verdict import Verdict
from trimtab.policies.model import TierPolicy
from trimtab.registry import deployment_store, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Lifecycle, Model, Version
from trimtab.workflows import files
from trimtab.workflows.jobs import MAX_ATTEMPTS
from trimtab.workflows.parts import ENVIRONMENT, Parts, policy_of, required_checks
from trimtab.workflows.signed import METADATA_BYTES, expected_of, files_of, trust_of

CHECK_PAUSE = timedelta(minutes=1)
"""Domain time until a check that could not be carried out is tried again; doubled each time.
A property of the house, not of a model: it decides nothing about a version."""

_INTAKE = system("intake")


def run(parts: Parts, entry: Entry) -> None:
    """Run what the policy asks on a version that was registered, then go on accordingly."""
    _attempt(parts, entry.subject, attempt=1, cause=entry.sequence)


def again(parts: Parts, version_id: str) -> None:
    """Try those checks again that could not be carried out, if their time has come."""
    with parts.records.look() as reading:
        tried = dict(check_store.due(reading, reading.now)).get(version_id)
    if tried is not None:
        _attempt(parts, version_id, attempt=tried + 1)


def due_again(reading: Reading) -> list[tuple[str, str]]:
    """Versions on which a check is to be tried again, and the attempt that failed."""
    return [
        (version_id, str(attempt))
        for version_id, attempt in check_store.due(reading, reading.now)
        if store.version_by_id(reading, version_id).lifecycle is Lifecycle.STAGING
    ]


def _attempt(parts: Parts, version_id: str, *, attempt: int, cause: int | None = None) -> None:
    """Make one attempt at every check that has no answer yet."""
    with parts.records.look() as reading:
        version = store.version_by_id(reading, version_id)
        model = store.model_named(reading, version.model)
        production = production_of(reading, version)
        before = check_store.of_version(reading, version.id)
    if version.lifecycle not in (Lifecycle.DEVELOPMENT, Lifecycle.STAGING):
        return
    demands, policy_digest = policy_of(parts, model)
    required = required_checks(demands, version)
    answered = {run.name for run in before if run.verdict is not Verdict.ERROR}
    results = [
        _carried_out(name, check, last=attempt >= MAX_ATTEMPTS)
        for name, check in _checks(parts, model, version, production, demands).items()
        if name in required and name not in answered
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
        conclusion = conclude([*before, *runs], required)
        if conclusion.verdict is Verdict.FAIL:
            failed = [n for n, v in conclusion.verdicts.items() if v is Verdict.FAIL]
            why = "; ".join(f"{name}: {conclusion.reasons[name]}" for name in failed)
            registry.move_version(work, version.id, Lifecycle.REJECTED, why=why)
    for run in runs:
        parts.metrics.verdicts.labels(f"check {run.name}", run.verdict.value).inc()


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

    def integrity() -> Result:
        with parts.blobs.held(version.digest) as stored:
            return artifact_checks.integrity(
                files_of(stored, version),
                version.signature.encode(),
                trust=trust_of(parts),
                expected=expected_of(version),
                max_metadata_bytes=METADATA_BYTES,
            )

    return {
        artifact_checks.INTEGRITY: integrity,
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
        with (
            parts.blobs.held(candidate.digest) as stored,
            parts.blobs.held(version.holdout_digest) as holdout,
            parts.scratch.folder() as place,
        ):
            return performance.score(
                stored,
                candidate.digest,
                holdout,
                features=list(model.feature_names),
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
    result = performance.judge(own, version.cutoff, demands.checks.performance, production=theirs)
    if production is None:
        return result
    return replace(result, numbers={**result.numbers, "compared_with": production.digest})


def production_of(reading: Reading, version: Version) -> Version | None:
    """The stable version that this one would succeed: its tenant's own, or the global one."""
    for tenant in dict.fromkeys((version.tenant, None)):
        stable = deployment_store.in_place(
            reading, version.model, tenant, ENVIRONMENT, Deployment.STABLE
        )
        if stable is not None:
            return store.find_version(reading, version.model, stable.version)
    return None
