"""What to do about a cause, and what to leave alone."""

from __future__ import annotations

from trimtab.diagnosis.model import Advice, Cause, CauseType, Verdict
from trimtab.policies.operation import ActionName

_NOTHING_MEASURED = "retraining has nothing measured to repair"


def advice(cause: Cause | None, verdict: Verdict, *, harmed: bool | None) -> tuple[Advice, ...]:
    """Actions for the cause that was found, the most useful first.

    `harmed` says whether the answers became worse; None where outcomes are missing.
    """
    if cause is None:
        why = {
            Verdict.NONE_FOUND: "no cause was found; a person has to look",
            Verdict.INSUFFICIENT_DATA: "there is too little data to say why",
        }.get(verdict, "nothing is known")
        return (
            _do(ActionName.NOTIFY_TEAM, why),
            _leave(ActionName.RETRAIN_MODEL, "without a cause, retraining is a guess"),
        )
    match cause.type:
        case CauseType.DATA_QUALITY_FAULT:
            return _fault(cause)
        case CauseType.BAD_RELEASE:
            version = cause.values.get("version")
            return (
                _do(ActionName.ROLLBACK_MODEL, f"version {version} is worse than the others"),
                _leave(ActionName.RETRAIN_MODEL, "the data is as before; the version is at fault"),
            )
        case CauseType.COVARIATE_SHIFT | CauseType.CONCEPT_SHIFT:
            return _shift(harmed)
        case CauseType.POPULATION_CHANGE:
            return (
                _do(ActionName.NOTIFY_TEAM, f"{cause.summary}: is this known and wanted?"),
                _leave(
                    ActionName.RETRAIN_MODEL,
                    f"{_harm_in_words(cause.values['harmed'])}: {_NOTHING_MEASURED}",
                ),
            )


def _fault(cause: Cause) -> tuple[Advice, ...]:
    where = cause.feature or "the rows"
    return (
        _do(ActionName.NOTIFY_TEAM, f"whoever owns the feed of {where} repairs it at its source"),
        _leave(
            ActionName.RETRAIN_MODEL,
            "a model that is trained on a broken feed learns the fault and fails once the feed "
            "is repaired",
        ),
    )


def _shift(harmed: bool | None) -> tuple[Advice, ...]:
    if harmed:
        return (
            _do(ActionName.RETRAIN_MODEL, "the model has to learn the population it now meets"),
        )
    known = _harm_in_words(harmed)
    return (
        _do(ActionName.NOTIFY_TEAM, f"the inputs moved; {known}"),
        _leave(ActionName.RETRAIN_MODEL, f"{known}: {_NOTHING_MEASURED}"),
    )


def _harm_in_words(harmed: bool | None) -> str:
    return "no harm is shown" if harmed is False else "harm is not known yet"


def _do(action: ActionName, why: str) -> Advice:
    return Advice(action, False, why)


def _leave(action: ActionName, why: str) -> Advice:
    return Advice(action, True, why)
