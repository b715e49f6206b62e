"""Keeping what the checks found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trimtab.audit.work import Work
from trimtab.checks import store
from trimtab.checks.model import CheckFinished, CheckRun, Result
from trimtab.kernel.events import plain
from trimtab.kernel.ids import CheckRunId, Digest, TenantId, new_id
from trimtab.kernel.verdict import Verdict


def keep(
    work: Work,
    results: Sequence[Result],
    *,
    model: str,
    tenant: TenantId | None,
    version_id: str,
    version: str,
    digest: Digest,
    policy_digest: str,
    attempt: int,
    again_at: datetime | None = None,
) -> list[CheckRun]:
    """Keep the results of one attempt; `again_at` is when errors among them are due again.

    Safe to repeat: what this attempt has kept stays as it is.
    """
    known = {run.name: run for run in store.of_version(work, version_id) if run.attempt == attempt}
    kept = []
    for result in results:
        if result.name in known:
            kept.append(known[result.name])
            continue
        run = CheckRun(
            id=CheckRunId(new_id("chk")),
            model=model,
            tenant=tenant,
            version_id=version_id,
            version=version,
            digest=digest,
            name=result.name,
            verdict=result.verdict,
            reason=result.reason,
            numbers=plain(dict(result.numbers)),
            policy_digest=policy_digest,
            attempt=attempt,
            at=work.now,
            due_at=again_at if result.verdict is Verdict.ERROR else None,
        )
        event = CheckFinished(
            subject=run.id,
            tenant=tenant,
            model=model,
            version=version,
            version_id=version_id,
            digest=digest,
            name=run.name,
            verdict=run.verdict.value,
            reason=run.reason,
            numbers=run.numbers,
            policy_digest=policy_digest,
            attempt=attempt,
        )
        kept.append(store.add(work, run, event))
    return kept
