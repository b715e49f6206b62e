"""Waivers: a gap that somebody answers for, with a reason and until a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from trimtab.inventory.record import Record
from trimtab.inventory.rulebook import Rule, Rulebook
from trimtab.inventory.strict import nearest
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId

MIN_REASON_CHARS = 10
"""Less is no reason that somebody could read a year later."""


@dataclass(frozen=True)
class Waiver:
    """A gap that is accepted: of one rule, for one model or one of its versions (`version`
    None: all of them), from when it was granted until it expires."""

    id: str
    rule: str
    tenant: TenantId | None
    model: str
    version: int | None
    reason: str
    granted_by: str
    granted_at: datetime
    expires_at: datetime


def demand_waiver(waiver: Waiver, rulebook: Rulebook) -> None:
    """Make sure that a waiver may be granted.

    Raises:
        InvalidInput: the rule does not exist or cannot be waived, there is no reason, or the
            waiver has no end that lies ahead and is near enough.
    """
    rule = rulebook.rule(waiver.rule)
    if rule is None:
        near = nearest(waiver.rule, [rule.id for rule in rulebook.rules])
        raise InvalidInput(
            f"no rule is called {waiver.rule[:60]!r}", field="rule", remedy=f"Did you mean {near}?"
        )
    fault = _fault(waiver, rule, rulebook)
    if fault is not None:
        raise fault


def _fault(waiver: Waiver, rule: Rule, rulebook: Rulebook) -> InvalidInput | None:
    if not rule.waivable:
        return InvalidInput(
            f"a gap of {rule.id} cannot be waived", field="rule", remedy=rule.remedy
        )
    if len(waiver.reason.strip()) < MIN_REASON_CHARS:
        return InvalidInput(
            "a waiver needs a reason",
            field="reason",
            remedy=f"Say in at least {MIN_REASON_CHARS} characters why the gap is accepted.",
        )
    if waiver.expires_at <= waiver.granted_at:
        return InvalidInput(
            "a waiver ends after it was granted",
            field="expires_at",
            remedy="Give a time that lies ahead.",
        )
    if waiver.expires_at - waiver.granted_at > timedelta(days=rulebook.max_waiver_days):
        return InvalidInput(
            f"a waiver lasts {rulebook.max_waiver_days} days at most",
            field="expires_at",
            remedy="Give an earlier time; it can be granted again when it ends.",
        )
    return None


def holds(waiver: Waiver, rule: Rule, record: Record, rulebook: Rulebook, now: datetime) -> bool:
    """Whether `waiver` covers a gap of `rule` on `record` at `now`. One that could not be
    granted counts for nothing, nor does one outside of its time: at its end it has ended."""
    return (
        waiver.rule == rule.id
        and waiver.model == record.model
        and waiver.version in (None, record.version)
        and _fault(waiver, rule, rulebook) is None
        and waiver.granted_at <= now < waiver.expires_at
    )
