"""How the inventory stands by the rules, what other rules would do, and who answers for gaps."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from fastapi import Query, Request

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may
from trimtab.api.paging import Pages
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Work
from trimtab.inventory import waiver_store
from trimtab.inventory.waiver_store import Granted
from trimtab.kernel.events import plain
from trimtab.sdk import shapes
from trimtab.workflows import judging
from trimtab.workflows.judging import Judge

router = strict.router("/api/v1/compliance", tag="inventory")

Reader = Annotated[Actor, may("inventory:read", reach=Reach.OWN)]
Waiving = Annotated[Actor, may("compliance:waive", reach=Reach.OWN)]


@router.get("", summary="How the inventory stands by the rules")
def standing(actor: Reader, parts: PartsOf, request: Request) -> shapes.ComplianceShape:
    """By rule: how many versions pass, have a gap, a waiver, or cannot be judged; and the same by
    what the rules refer to. A rule that is passed is evidence, and no legal opinion."""
    judge: Judge = request.app.state.judge
    with parts.records.look() as reading:
        found = judging.compliance(reading, judge, actor)
    by_rule = {one.rule: asdict(one) for one in found.standing}
    return shapes.ComplianceShape(
        rulebook=found.rulebook.version,
        digest=found.rulebook.digest,
        rules=[
            shapes.RuleShape(
                version=rule.version,
                title=rule.title,
                severity=rule.severity.value,
                regulations=[plain(one) for one in rule.regulations],
                remedy=rule.remedy,
                **by_rule[rule.id],
            )
            for rule in found.rulebook.rules
        ],
        frameworks={
            one.framework.value: {
                "passed": one.passed,
                "gaps": one.gaps,
                "waived": one.waived,
                "unknown": one.unknown,
            }
            for one in found.frameworks
        },
    )


@router.post("/preview", summary="What other rules would change")
def preview(
    body: shapes.RulebookPreview, actor: Reader, parts: PartsOf, request: Request
) -> shapes.PreviewShape:
    """Hold every record against other rules, and say which outcomes would be other ones. Nothing
    changes by it."""
    judge: Judge = request.app.state.judge
    with parts.records.look() as reading:
        found = judging.previewed(reading, judge, actor, json.dumps(body.rulebook))
    told = plain(found)
    return shapes.PreviewShape(
        rulebook=found.after, records=found.versions, changes=told["changes"]
    )


@router.get("/waivers", summary="Waivers")
def list_waivers(
    actor: Reader,
    parts: PartsOf,
    pages: Pages,
    in_force: Annotated[bool, Query(description="only those that count now, newest first")] = False,
) -> shapes.Page[shapes.WaiverShape]:
    """Every waiver there was, oldest first, expired and revoked ones too; with `in_force` those
    that count now, newest first."""
    place, tenant = pages.place(actor), actor.tenant
    with parts.records.look() as reading:
        if in_force:
            found = waiver_store.in_force(
                reading, reading.now, tenant=tenant, before=place, limit=pages.limit
            )
        else:
            found = waiver_store.listed(
                reading, tenant=tenant, after=place or "", limit=pages.limit
            )
    return shapes.Page(
        items=[shapes.WaiverShape.model_validate(one) for one in found],
        next=pages.page(actor, found, lambda one: one.id),
    )


@router.post("/waivers", status_code=201, summary="Answer for a gap")
def grant(
    body: shapes.NewWaiver, actor: Waiving, parts: PartsOf, request: Request, repeat: Repeats
) -> shapes.WaiverShape:
    """Let a gap be one that somebody answers for, until a day: the record is judged anew at
    once, and again when the waiver ends."""
    judge: Judge = request.app.state.judge
    told: list[shapes.WaiverShape] = []

    def tell(work: Work, made: Granted) -> None:
        told.append(repeat.keep(work, shapes.WaiverShape.model_validate(made)))

    judging.grant(
        parts,
        actor,
        judge,
        record_id=body.record,
        rule=body.rule,
        whole_model=body.whole_model,
        expires_at=body.expires_at,
        reason=body.reason,
        then=tell,
    )
    return told[-1]


@router.delete("/waivers/{waiver}", summary="Let a waiver count no more")
def revoke(
    waiver: str,
    actor: Waiving,
    parts: PartsOf,
    reason: Annotated[shapes.Reason, Query()],
) -> shapes.WaiverShape:
    """What it was about is a gap again, once the records are judged anew."""
    found = judging.revoke(parts, actor, waiver, reason=reason)
    return shapes.WaiverShape.model_validate(found)
