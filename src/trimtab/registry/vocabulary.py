"""One word for where a version stands, in the vocabulary that a reader is used to.

Our own model has two axes: what was decided about a version, and what traffic it carries.
The other vocabularies have one, so each of their words covers several of our states. What
was rejected, quarantined or taken back is never told by a word that sounds like service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Lifecycle


class Vocabulary(StrEnum):
    """Whose words are used."""

    TRIMTAB = "trimtab"
    """Our own: the lifecycle as it is recorded."""
    ROLLOUT = "rollout"
    """Training, Canary, Stable, Rolled Back."""
    MLFLOW = "mlflow"
    """The stages of MLflow: None, Staging, Production, Archived."""
    LIFECYCLE = "lifecycle"
    """Development, Staging, Approved, Production, Deprecated, Archived."""


_CARRYING = (Deployment.STABLE, Deployment.CANARY, Deployment.SHADOW)
_OUT_OF_USE = (Lifecycle.REJECTED, Lifecycle.QUARANTINED, Lifecycle.ARCHIVED)
_TRAFFIC = {
    Deployment.STABLE: "Stable",
    Deployment.CANARY: "Canary",
    Deployment.ROLLED_BACK: "Rolled Back",
}
_STAGES = {
    Lifecycle.DEVELOPMENT: "None",
    Lifecycle.STAGING: "Staging",
    Lifecycle.APPROVED: "Staging",
    Lifecycle.PRODUCTION: "Production",
    Lifecycle.REJECTED: "Archived",
    Lifecycle.DEPRECATED: "Archived",
    Lifecycle.ARCHIVED: "Archived",
    Lifecycle.QUARANTINED: "Archived",
}
_LIFECYCLES = {
    Lifecycle.DEVELOPMENT: "Development",
    Lifecycle.STAGING: "Staging",
    Lifecycle.APPROVED: "Approved",
    Lifecycle.PRODUCTION: "Production",
    Lifecycle.REJECTED: "Archived",
    Lifecycle.DEPRECATED: "Deprecated",
    Lifecycle.ARCHIVED: "Archived",
    Lifecycle.QUARANTINED: "Archived",
}


def foremost(deployments: Iterable[Deployed]) -> Deployment | None:
    """What a version is, of all its deployments: stable before canary before shadow, and
    where it carries no traffic, how the newest of them ended. None where it has none."""
    states = {}
    for deployed in sorted(deployments, key=lambda d: (d.since, d.id)):
        states[deployed.state] = deployed.since
    for state in _CARRYING:
        if state in states:
            return state
    return max(states, key=lambda state: states[state], default=None)


def status(
    lifecycle: Lifecycle, deployment: Deployment | None, vocabulary: Vocabulary = Vocabulary.TRIMTAB
) -> str:
    """The word of `vocabulary` for a version in this lifecycle state and deployment."""
    return _WORDS[vocabulary](lifecycle, deployment)


def _own(lifecycle: Lifecycle, _deployment: Deployment | None) -> str:
    return lifecycle.value


def _rollout(lifecycle: Lifecycle, deployment: Deployment | None) -> str:
    if lifecycle in _OUT_OF_USE:
        return "Rolled Back"
    if deployment in _TRAFFIC:
        return _TRAFFIC[deployment]
    if lifecycle is Lifecycle.PRODUCTION:
        return "Stable"
    over = lifecycle is Lifecycle.DEPRECATED or deployment is Deployment.RETIRED
    return "Rolled Back" if over else "Training"


def _mlflow(lifecycle: Lifecycle, deployment: Deployment | None) -> str:
    taken_back = lifecycle is Lifecycle.PRODUCTION and deployment is Deployment.ROLLED_BACK
    return "Archived" if taken_back else _STAGES[lifecycle]


def _lifecycle(lifecycle: Lifecycle, _deployment: Deployment | None) -> str:
    return _LIFECYCLES[lifecycle]


_WORDS: dict[Vocabulary, Callable[[Lifecycle, Deployment | None], str]] = {
    Vocabulary.TRIMTAB: _own,
    Vocabulary.ROLLOUT: _rollout,
    Vocabulary.MLFLOW: _mlflow,
    Vocabulary.LIFECYCLE: _lifecycle,
}
