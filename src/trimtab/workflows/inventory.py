"""The registry's record as people need it: what is known of models and versions in all rooms.

Each listing asks each room once, however many models or versions it has. With `at` it tells
what was true at that moment, to whom may see it today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.approvals import store as approval_store
from trimtab.approvals.history import approvals_then
from trimtab.approvals.model import Approval, Vote
from trimtab.audit.work import Reading
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import TenantId
from trimtab.monitoring.history import Judged, judged
from trimtab.registry import deployment_store, history, store, vocabulary
from trimtab.registry.deployments import Deployed
from trimtab.registry.model import Lifecycle, Model, Version
from trimtab.registry.vocabulary import Vocabulary
from trimtab.rollouts.history import Looked, looks
from trimtab.workflows.measured import Measured, newest_rate
from trimtab.workflows.parts import Parts
from trimtab.workflows.serving import visible_version


@dataclass(frozen=True)
class View:
    """How somebody looks at the record: as of when (None for now), and in whose words."""

    at: datetime | None = None
    vocabulary: Vocabulary = Vocabulary.TRIMTAB


NOW = View()


@dataclass(frozen=True)
class Approved:
    """The newest request for approval of a version, and who said yes to it."""

    id: str
    phase: str
    automatic: bool
    approved_by: tuple[Vote, ...]
    requested_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True)
class VersionRecord:
    """A version with everything that is known of it."""

    version: Version
    status: str
    deployments: tuple[Deployed, ...]
    is_signed: bool
    approval: Approved | None
    false_positive_rate: Measured | None


@dataclass(frozen=True)
class ModelRecord:
    """A model with its newest version and the places in which its versions carry traffic."""

    model: Model
    newest_version: str | None
    newest_status: str | None
    framework: str | None
    deployed_to: tuple[Deployed, ...]


def models(
    reading: Reading, actor: Actor, view: View, *, after: str = "", limit: int = 100
) -> list[ModelRecord]:
    """Models by name, those behind `after`.

    Raises:
        InvalidInput: the moment of the view has not come.
    """
    history.demand_past(reading, view.at)
    return _models(
        reading, actor, view, store.models(reading, after=after, limit=limit, until=view.at)
    )


def model(reading: Reading, actor: Actor, view: View, name: str) -> ModelRecord:
    """One model.

    Raises:
        NotFound: there is none, or there was none then.
        InvalidInput: the moment of the view has not come.
    """
    return _models(reading, actor, view, [_model_then(reading, view, name)])[0]


def versions(
    reading: Reading, parts: Parts, actor: Actor, view: View, name: str
) -> list[VersionRecord]:
    """Versions of a model that `actor` may see, oldest first.

    Raises:
        NotFound: there is no such model, or there was none then.
        InvalidInput: the moment of the view has not come.
    """
    _model_then(reading, view, name)
    found = store.versions_of(reading, name, visible_to=actor.tenant, everyone=actor.tenant is None)
    if view.at is not None:
        found = history.versions_then(reading, found, view.at)
    return _versions(reading, parts, actor, view, name, found)


def version(
    reading: Reading, parts: Parts, actor: Actor, view: View, name: str, number: str
) -> VersionRecord:
    """One version that `actor` may see.

    Raises:
        NotFound: there is none, there was none then, or it is another tenant's.
        InvalidInput: the moment of the view has not come.
    """
    history.demand_past(reading, view.at)
    found = [visible_version(reading, actor, name, number)]
    if view.at is not None:
        found = history.versions_then(reading, found, view.at)
    if not found:
        raise NotFound(
            f"{ascii(name)[:60]} had no version {ascii(number)[:30]} then",
            field="version",
            remedy="ask about a later moment, or leave as_of out",
        )
    return _versions(reading, parts, actor, view, name, found)[0]


def deployments(reading: Reading, actor: Actor, view: View, name: str) -> list[Deployed]:
    """Where versions of a model carry or carried traffic, as far as `actor` may see.

    Raises:
        NotFound: there is no such model, or there was none then.
        InvalidInput: the moment of the view has not come.
    """
    _model_then(reading, view, name)
    return _deployments(reading, actor, view, (name,))


def _model_then(reading: Reading, view: View, name: str) -> Model:
    history.demand_past(reading, view.at)
    found = store.model_named(reading, name)
    if view.at is not None and found.created_at > view.at:
        raise NotFound(
            f"there was no model called {ascii(name)[:80]} then",
            field="model",
            remedy="ask about a later moment, or leave as_of out",
        )
    return found


def _models(
    reading: Reading, actor: Actor, view: View, found: Sequence[Model]
) -> list[ModelRecord]:
    names = [known.name for known in found]
    newest = store.newest_versions(
        reading,
        names,
        visible_to=actor.tenant,
        everyone=actor.tenant is None,
        until=view.at,
    )
    states: dict[str, Lifecycle] = {known.id: known.lifecycle for known in newest.values()}
    if view.at is not None:
        states = history.lifecycles_then(reading, list(states), view.at)
    placed: Mapping[str, list[Deployed]] = defaultdict(list)
    for deployed in _deployments(reading, actor, view, names):
        placed[deployed.model].append(deployed)
    return [
        _model(known, newest.get(known.name), states, placed[known.name], view) for known in found
    ]


def _model(
    known: Model,
    newest: store.Newest | None,
    states: Mapping[str, Lifecycle],
    placed: Sequence[Deployed],
    view: View,
) -> ModelRecord:
    carrying = tuple(d for d in placed if d.state.value in deployment_store.CARRYING)
    if newest is None:
        return ModelRecord(known, None, None, None, carrying)
    own = [deployed for deployed in placed if deployed.version == newest.version]
    word = vocabulary.status(states[newest.id], vocabulary.foremost(own), view.vocabulary)
    return ModelRecord(known, newest.version, word, newest.framework, carrying)


def _versions(
    reading: Reading, parts: Parts, actor: Actor, view: View, name: str, found: Sequence[Version]
) -> list[VersionRecord]:
    ids = [known.id for known in found]
    placed: Mapping[str, list[Deployed]] = defaultdict(list)
    for deployed in _deployments(reading, actor, view, (name,)):
        placed[deployed.version].append(deployed)
    asked = _newest_approvals(reading, actor, view, ids)
    windows = _windows(reading, actor, view, name, found)
    looked: Mapping[str, list[Looked]] = defaultdict(list)
    for look in looks(reading, ids, at=view.at) if actor.may("rollouts:read") else ():
        looked[look.version_id].append(look)
    return [
        VersionRecord(
            version=known,
            status=vocabulary.status(
                known.lifecycle, vocabulary.foremost(placed[known.version]), view.vocabulary
            ),
            deployments=tuple(placed[known.version]),
            is_signed=known.signer == parts.signer.key_id,
            approval=asked.get(known.id),
            false_positive_rate=newest_rate(
                known.version, windows[_scope(actor, known)], looked[known.id]
            ),
        )
        for known in found
    ]


def _deployments(
    reading: Reading, actor: Actor, view: View, names: Sequence[str]
) -> list[Deployed]:
    placed = (
        deployment_store.of_models(reading, names)
        if view.at is None
        else history.deployments_then(reading, names, view.at)
    )
    return [d for d in placed if actor.tenant is None or d.tenant in (None, actor.tenant)]


def _newest_approvals(
    reading: Reading, actor: Actor, view: View, ids: Sequence[str]
) -> dict[str, Approved]:
    if not actor.may("approvals:read"):
        return {}
    asked = approval_store.of_versions(reading, ids)
    if view.at is not None:
        asked = approvals_then(reading, asked, view.at)
    return {approval.target.version_id: _approved(approval) for approval in asked}


def _approved(approval: Approval) -> Approved:
    return Approved(
        id=approval.id,
        phase=approval.phase.value,
        automatic=approval.automatic,
        approved_by=tuple(vote for vote in approval.votes if vote.approve),
        requested_at=approval.requested_at,
        decided_at=approval.decided_at,
    )


def _windows(
    reading: Reading, actor: Actor, view: View, name: str, found: Sequence[Version]
) -> Mapping[TenantId | None, list[Judged]]:
    windows: Mapping[TenantId | None, list[Judged]] = defaultdict(list)
    if actor.may("windows:read"):
        scopes = {_scope(actor, known) for known in found}
        for window in judged(reading, name, scopes, at=view.at):
            windows[None if window.tenant is None else TenantId(window.tenant)].append(window)
    return windows


def _scope(actor: Actor, version: Version) -> TenantId | None:
    """Whose rows a version is measured on: those of its tenant, or else of who asks."""
    return version.tenant if version.tenant is not None else actor.tenant
