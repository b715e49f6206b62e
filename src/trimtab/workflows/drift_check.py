"""Somebody asks whether a table has moved: it is read, compared, and the answer is on record.

All of it is done outside of any transaction but the two short ones: one reads the model and
which version is stable, the other enters what was found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trimtab.audit.work import Reading, Work
from trimtab.identity import service as identity
from trimtab.identity.reach import demand_grant, demand_own
from trimtab.incidents import store as incident_store
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.kernel.events import plain
from trimtab.kernel.ids import TenantId, new_id
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring import report
from trimtab.monitoring.checked import DriftChecked
from trimtab.monitoring.columns import FeatureKind, kind_of
from trimtab.monitoring.comparison import Comparison, Counted, Part, compare
from trimtab.monitoring.detection import DetectionConfig, configured
from trimtab.monitoring.reference import Reference
from trimtab.platform.named import Asker
from trimtab.policies.operation import Monitoring
from trimtab.profiles import codec
from trimtab.profiles.confined import Counts, Order
from trimtab.profiles.table import TableProfile
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Model, Version
from trimtab.workflows import about
from trimtab.workflows.parts import ENVIRONMENT, Parts
from trimtab.workflows.tables import Given, Tables
from trimtab.workflows.watch import Watch

PERMISSION = "drift:check"
REFERENCE, CURRENT = "reference_data", "current_data"
DEFAULT_TIER = 1
"""Of what belongs to no model: the one that asks most, as on the command line."""


@dataclass(frozen=True)
class Asked:
    """What somebody asks. `tenant` is whose data it is; None for the fleet's.

    Without `reference` it is that of the model; without `threshold`, that of the policy. `policy`
    and `tier` are given where no model is.
    """

    tenant: TenantId | None
    current: Given
    reference: Given | None = None
    model: str | None = None
    features: Sequence[str] | None = None
    threshold: float | None = None
    config: DetectionConfig = field(default_factory=DetectionConfig)
    window: int | None = None
    policy: str | None = None
    tier: int | None = None


@dataclass(frozen=True)
class Held:
    """By what the tables are held: of the model, or as was asked."""

    policy: str
    policy_digest: str
    tier: int
    demands: Monitoring
    features: tuple[str, ...] | None
    kinds: dict[str, FeatureKind]
    model: Model | None = None


@dataclass(frozen=True)
class Checked:
    """The answer. `document` is that of the comparison, in plain JSON types."""

    id: str
    at: datetime
    incident: str | None
    threshold: float
    held: Held
    document: dict[str, Any]
    windows: list[dict[str, Any]]


Then = Callable[[Work, Checked], object]


class DriftChecks:
    """Carries checks out; keeps the references of models that it has read."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._tables = Tables(parts)
        self._watch = Watch(parts)

    def check(self, actor: Actor, asked: Asked, then: Then) -> Checked:
        """Compare what was asked for, and enter that it was.

        Raises:
            NotPermitted: for this tenant or this model, `actor` may not.
            NotFound: no such model, no reference of it for this tenant, no such file.
            PolicyRefused: a file or a bucket that is not open to `actor`.
            InvalidInput: tables that cannot be compared; the columns are named.
            TooManyRequests: too many are at work.
        """
        demand_own(actor, asked.tenant)
        with self._parts.records.look() as reading:
            model = None if asked.model is None else store.model_named(reading, asked.model)
            tier = None if model is None else model.tier
            identity.demand_tenant(reading, asked.tenant)
            demand_grant(actor, PERMISSION, about.of_tier(tier, asked.tenant))
            version = None
            if asked.reference is None:
                version = _compared_with(reading, model, asked.tenant)
        held = self._held(asked, model)
        with self._parts.checking.take(actor.tenant):
            before, now = self._counted(actor, asked, held, model, version)
            found = _compared(before, now, held)
            digests = (_digest(before), _digest(now.whole))
        return self._entered(actor, asked, held, found, digests, then)

    def _held(self, asked: Asked, model: Model | None) -> Held:
        name = (model.policy if model else asked.policy) or self._parts.default_policy
        if name not in self._parts.policies:
            raise InvalidInput(
                f"there is no policy {ascii(name)[:60]}",
                field="policy",
                remedy=f"there are {', '.join(sorted(self._parts.policies))}",
            )
        policy = self._parts.policy(name)
        tier = model.tier if model else asked.tier or DEFAULT_TIER
        demands = policy.tier(tier).monitoring
        if asked.threshold is not None:
            demands = demands.model_copy(update={"false_discovery_rate": asked.threshold})
        try:
            demands = configured(demands, asked.config)
        except InvalidInput as error:
            raise InvalidInput(
                error.message, field=f"detection_config.{error.field}", remedy=error.remedy
            ) from error
        kinds = {f.name: FeatureKind(f.kind) for f in model.features} if model else {}
        wanted = None if asked.features is None else tuple(dict.fromkeys(asked.features))
        unknown = [] if model is None else [name for name in wanted or () if name not in kinds]
        if unknown:
            assert model is not None
            raise InvalidInput(
                f"{model.name} has no feature {ascii(unknown[0])[:80]}",
                field="features",
                remedy=f"it has {', '.join(list(kinds)[:20])}",
                faults=[(name, f"{model.name} does not have it") for name in unknown],
            )
        if model is not None and wanted is None:
            wanted = tuple(kinds)
        return Held(policy.name, policy.digest, tier, demands, wanted, kinds, model)

    def _counted(
        self, actor: Actor, asked: Asked, held: Held, model: Model | None, version: Version | None
    ) -> tuple[TableProfile, Counts]:
        """Both sides, the second like the first."""
        asker = Asker(actor.tenant, asked.tenant)
        limits = self._tables.limits()
        chosen = [n for n, k in held.kinds.items() if k is FeatureKind.CATEGORY]
        order = Order(limits, held.features, chosen)
        if asked.reference is not None:
            before = self._tables.count(asked.reference, order, asker).whole
        else:
            assert model is not None
            assert version is not None
            before = _profile(self._reference(model, version, asked.tenant), held)
        windows = Order(limits, held.features, chosen, asked.window)
        return before, self._tables.count(asked.current, windows, asker, before)

    def _reference(self, model: Model, version: Version, tenant: TenantId | None) -> Reference:
        """What a version learnt from; of the fleet's, a tenant's own rows where it tells them
        apart."""
        whole = self._watch.reference(model, version)
        if tenant is None or version.tenant is not None or not whole.tenants:
            return whole
        found = whole.tenants.get(tenant)
        if found is None:
            raise _without_reference(model)
        return found

    def _entered(
        self,
        actor: Actor,
        asked: Asked,
        held: Held,
        found: Comparison,
        digests: tuple[str, str],
        then: Then,
    ) -> Checked:
        changed = found.affected  # as a whole, or in any window
        whole = report.document(dataclasses.replace(found, parts=()), held.demands)
        seen = [report.affected(look) for look in changed]
        told = _printable({**whole, "drift_detected": bool(seen), "affected_features": seen})
        windows = [_printable(_window(part)) for part in found.parts]
        affected = [str(one["name"]) for one in told["affected_features"]]
        threshold = held.demands.false_discovery_rate
        with self._parts.records.begin(actor, reason="drift check") as work:
            incident = None
            if held.model is not None and actor.may("incidents:read"):
                incident = _open_incident(work, held.model.name, asked.tenant, affected)
            made = Checked(new_id("chk"), work.now, incident, threshold, held, told, windows)
            work.record(
                DriftChecked(
                    subject=made.id,
                    tenant=asked.tenant,
                    model=asked.model,
                    reference_digest=digests[0],
                    current_digest=digests[1],
                    rows_reference=found.rows_reference,
                    rows_current=found.rows_current,
                    compared=len(found.looks),
                    verdict=found.verdict.value,
                    drift_score=told["drift_score"],
                    affected=affected,
                    threshold=threshold,
                    config=plain(asked.config),
                    tier=held.tier,
                    policy_digest=held.policy_digest,
                )
            )
            then(work, made)
        return made


def _compared_with(reading: Reading, model: Model | None, tenant: TenantId | None) -> Version:
    """The version that answers a tenant now, its own before the fleet's.

    Raises:
        InvalidInput: there is no model.
        NotFound: none of it is stable for this tenant.
    """
    if model is None:
        raise InvalidInput(
            "what is compared with is missing",
            field=REFERENCE,
            remedy="send it, or name a model in model_id, whose own is then taken",
        )
    placed = deployment_store.carrying(reading, ENVIRONMENT, model=model.name)
    stable = {d.tenant: d.version for d in placed if d.state is Deployment.STABLE}
    number = stable.get(tenant) or stable.get(None)
    found = None if number is None else store.find_version(reading, model.name, number)
    if found is None:
        raise _without_reference(model)
    return found


def _without_reference(model: Model) -> NotFound:
    return NotFound(
        f"{model.name} has no reference here: no version of it is stable for whom you ask about",
        field=REFERENCE,
        remedy="send reference_data, or release a version first",
    )


def _profile(reference: Reference, held: Held) -> TableProfile:
    wanted = held.features or ()
    return TableProfile(reference.rows, {n: reference.features[n] for n in wanted})


def _compared(before: TableProfile, now: Counts, held: Held) -> Comparison:
    """The comparison, of tables that can be compared.

    Raises:
        InvalidInput: they cannot; every column is named.
    """
    _demand_known(before, now.whole, held)
    parts = [Counted(None, one.begin, one.end, one.profile, None) for one in now.windows]
    try:
        found = compare(before, now.whole, held.demands, parts=parts, features=held.features)
    except (ArithmeticError, ValueError, IndexError, AssertionError) as error:
        # Of stored profiles alone, which may say what no table does.
        raise InvalidInput(
            "these tables cannot be compared: a profile contradicts itself",
            field=CURRENT,
            remedy="make it anew: trimtab profile FILE -o PROFILE",
        ) from error
    faults = [(one.column, f"{one.message}; {one.remedy}") for one in found.problems]
    if held.features is not None:  # somebody wants just these
        faults += [(name, f"column {name}: {why}") for name, why in found.skipped.items()]
    faults += _of_other_kind(before, held)
    if faults or found.verdict is Verdict.ERROR:
        raise _not_comparable(faults)
    return found


def _demand_known(before: TableProfile, now: TableProfile, held: Held) -> None:
    known = {*before.columns, *before.skipped, *now.columns, *now.skipped}
    unknown = [name for name in held.features or () if name not in known]
    if unknown:
        raise _not_comparable([(n, f"column {n} is in neither table") for n in unknown])


def _of_other_kind(before: TableProfile, held: Held) -> list[tuple[str, str]]:
    """Features of the model that the reference has in another kind."""
    return [
        (name, f"column {name} is {kind_of(one).value} in the reference, {kind.value} in the model")
        for name, kind in held.kinds.items()
        if (one := before.columns.get(name)) is not None and kind_of(one) is not kind
    ]


def _not_comparable(faults: list[tuple[str, str]]) -> InvalidInput:
    columns = ", ".join(dict.fromkeys(name for name, _ in faults))
    return InvalidInput(
        f"the tables cannot be compared, nobody has looked: {columns[:400]}",
        field=CURRENT,
        remedy="correct the columns that errors names, or leave them out of features",
        faults=faults,
    )


def _open_incident(
    reading: Reading, model: str, tenant: TenantId | None, affected: Sequence[str]
) -> str | None:
    """The newest open incident of a model about one of these features, of this tenant or of
    the fleet."""
    found = [
        one
        for one in incident_store.active(reading, tenant=tenant)
        if one.model == model and one.feature in affected and one.tenant in (None, tenant)
    ]
    return found[-1].id if found else None


def _window(part: Part) -> dict[str, Any]:
    """A window, with the features that have changed in it; all of each would be far too much."""
    changed = sorted((look for look in part.looks if look.changed), key=lambda x: -x.magnitude)
    return {
        "begin": part.begin,
        "end": part.end,
        "rows": part.rows,
        "verdict": part.verdict.value,
        "affected_features": [report.affected(look) for look in changed],
    }


def _digest(profile: TableProfile) -> str:
    return "sha256:" + hashlib.sha256(codec.to_bytes(profile)).hexdigest()


def _printable(value: Any) -> Any:
    """Plain JSON that every reader takes: numbers that are not finite are null, and of text
    that is none, what can be told."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inner) for inner in value]
    return value
