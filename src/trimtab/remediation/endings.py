"""The verbs that judge a remedy and end it: success is what was measured, never an exit code."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from trimtab.audit.work import Work
from trimtab.kernel.errors import InvalidInput, PolicyRefused
from trimtab.remediation import store
from trimtab.remediation.actions import Verification, declared
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.recovery import Measured, Outcome


def begin_verifying(
    work: Work, remediation_id: str, *, look_at: datetime, deadline: datetime
) -> Remediation:
    """Begin to measure; the first look is at `look_at`, the last before `deadline`.

    Safe to repeat: what is being measured, or was, stays so.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase is not Phase.EXECUTING:
        return remediation
    moved, event = remediation.verify("recovery is being measured", None, look_at, deadline)
    return store.save(work, moved, event)


def conclude(
    work: Work,
    remediation_id: str,
    measured: Measured,
    *,
    look_at: datetime,
    patience: timedelta,
) -> Remediation:
    """Judge by what came back: success, another look, no effect, failure, or a person.

    Safe to repeat: the same measurement again changes nothing.

    Args:
        look_at: When to look again, if it cannot be told yet.
        patience: How long a harmful remedy may wait to be undone.

    Raises:
        InvalidInput: this action is not verified by recovery.
    """
    remediation = store.get(work, remediation_id)
    _demand_verification(remediation, Verification.RECOVERY)
    shown = measured.plain()
    if remediation.phase is not Phase.VERIFYING:
        return remediation
    match measured.outcome:
        case Outcome.RECOVERED:
            return store.save(work, *remediation.recover(shown, measured.reason, work.now))
        case Outcome.NO_EFFECT:
            return store.save(work, *remediation.without_effect(shown, measured.reason, work.now))
        case Outcome.WORSE:
            deadline = work.now + patience
            return store.save(work, *remediation.fail(shown, measured.reason, deadline))
        case Outcome.UNMEASURED:
            return store.save(work, *remediation.escalate(measured.reason, work.now))
        case Outcome.NOT_YET:
            return _look_again(work, remediation, shown, measured.reason, look_at)


def confirm_receipt(work: Work, remediation_id: str, receipt: dict[str, Any]) -> Remediation:
    """Somebody's system has taken the message: the one proof that telling somebody has.

    Safe to repeat: what was received stays so.

    Raises:
        InvalidInput: an action that is verified by recovery, or an empty receipt.
    """
    remediation = store.get(work, remediation_id)
    _demand_verification(remediation, Verification.RECEIPT)
    if not receipt:
        raise InvalidInput("an empty receipt proves nothing", field="receipt")
    if remediation.phase is not Phase.VERIFYING:
        return remediation
    moved, event = remediation.recover({"receipt": receipt}, "the message was received", work.now)
    return store.save(work, moved, event)


def without_effect(work: Work, remediation_id: str, why: str) -> Remediation:
    """It was carried out and came to nothing, such as a challenger that was not better.

    Safe to repeat: what has ended stays so.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase is not Phase.VERIFYING:
        return remediation
    moved, event = remediation.without_effect(None, why, work.now)
    return store.save(work, moved, event)


def fail(work: Work, remediation_id: str, why: str, *, patience: timedelta) -> Remediation:
    """It could not be carried out; until `patience` is used up it may be undone.

    Safe to repeat: what has failed stays so.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase not in (Phase.EXECUTING, Phase.VERIFYING):
        return remediation
    moved, event = remediation.fail(None, why, work.now + patience)
    return store.save(work, moved, event)


def compensate(work: Work, remediation_id: str, result: dict[str, Any]) -> Remediation:
    """Write down that what a failed remedy had changed was undone.

    The permit of the action covers undoing it once: it names the same target, and only a
    remedy that used its permit can fail. Safe to repeat.

    Raises:
        PolicyRefused: the action has no inverse.
        InvalidMove: it has not failed.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase is Phase.COMPENSATED:
        return remediation
    inverse = declared(remediation.action).inverse
    if inverse is None:
        raise PolicyRefused(
            f"{remediation.action.value} cannot be undone", remedy="hand it to a person"
        )
    moved, event = remediation.compensate(inverse, result, work.now)
    return store.save(work, moved, event)


def escalate(work: Work, remediation_id: str, why: str) -> Remediation:
    """Hand it to a person.

    Safe to repeat: what a person has, stays with them.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase is Phase.ESCALATED:
        return remediation
    moved, event = remediation.escalate(why, work.now)
    return store.save(work, moved, event)


def abort(work: Work, remediation_id: str) -> Remediation:
    """Stop it because somebody says so; what it has done so far stands and is counted.

    Safe to repeat: what was aborted stays so.

    Raises:
        InvalidMove: it has ended in another way.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase is Phase.ABORTED:
        return remediation
    moved, event = remediation.abort(work.reason, work.now)
    return store.save(work, moved, event)


def expire(work: Work, remediation_id: str, *, patience: timedelta) -> Remediation:
    """End the present phase if its deadline has passed. Stuck never stays stuck.

    Safe to repeat: before the deadline nothing happens.

    Args:
        patience: How long a remedy that stopped answering may wait to be undone.
    """
    remediation = store.get(work, remediation_id)
    if remediation.deadline is None or work.now < remediation.deadline:
        return remediation
    match remediation.phase:
        case Phase.PROPOSED:
            moved, event = remediation.abort("the safety gate did not answer in time", work.now)
            return store.save(work, moved, event)
        case Phase.PERMITTED:
            moved, event = remediation.abort("its permit expired unused", work.now)
            return store.save(work, moved, event)
        case Phase.EXECUTING:
            why = "nobody measured it" if remediation.executed_at else "it stopped answering"
            failed, event_of_failure = remediation.fail(None, why, work.now + patience)
            return store.save(work, failed, event_of_failure)
        case _:
            why = "recovery could not be measured in time"
            if remediation.phase is Phase.FAILED:
                why = "nobody has undone it in time"
            handed, event_of_help = remediation.escalate(why, work.now)
            return store.save(work, handed, event_of_help)


def _look_again(
    work: Work, remediation: Remediation, shown: dict[str, Any], reason: str, look_at: datetime
) -> Remediation:
    assert remediation.deadline is not None
    assert remediation.due_at is not None
    if remediation.measured_recovery == shown and work.now < remediation.due_at:
        return remediation
    moved, event = remediation.verify(reason, shown, look_at, remediation.deadline)
    return store.save(work, moved, event)


def _demand_verification(remediation: Remediation, wanted: Verification) -> None:
    if declared(remediation.action).verification is not wanted:
        raise InvalidInput(
            f"{remediation.action.value} is not verified by {wanted.value}", field="action"
        )
