"""What the invariants look at: present rows, and the entries of a stretch of the ledger.

Each question is asked once for a look, however many invariants need its answer, and is one
statement over a set of rows: what carries traffic, what is open, what has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from trimtab.approvals.store import APPROVALS
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.checks.store import RUNS
from trimtab.kernel.ids import Digest
from trimtab.policies.model import Policy, TierPolicy
from trimtab.registry.deployment_store import CARRYING, DEPLOYMENTS, PERMITS
from trimtab.registry.deployments import Deployment
from trimtab.registry.store import MODELS, VERSIONS
from trimtab.remediation.store import ACTION_PERMITS, REMEDIATIONS
from trimtab.retraining.store import RETRAININGS
from trimtab.rollouts.store import ROLLOUTS

Rows = Sequence[sa.RowMapping]

_SETTLED = ("promoted", "rolled_back")
_MOVED = "deployment.moved"
_MOST = 100_000
"""More turns of switches, and more departures, than there ever are."""

# Asked with every look, so built once: to compose a query costs more than to run it.
_TIERS = sa.select(MODELS.c.name, MODELS.c.tier)


def _carrying() -> sa.Select[Any]:
    d, v, p, a = DEPLOYMENTS.c, VERSIONS.c, PERMITS.c, APPROVALS.c
    joined = (
        DEPLOYMENTS.outerjoin(VERSIONS, (v.model == d.model) & (v.version == d.version))
        .outerjoin(PERMITS, p.id == d.permit)
        .outerjoin(APPROVALS, a.id == p.approval)
    )
    query = sa.select(
        d.id, d.model, d.tenant, d.environment, d.version, d.digest, d.state, d.percent,
        v.id.label("version_id"), v.digest.label("version_digest"), v.lifecycle,
        v.tenant.label("version_tenant"), v.signature, v.signer, v.reference_digest,
        v.holdout_digest, v.inspection,
        p.id.label("permit"), p.digest.label("permit_digest"), p.model.label("permit_model"),
        p.version.label("permit_version"), p.tenant.label("permit_tenant"),
        p.environment.label("permit_environment"), p.max_percent, p.policy_digest,
        p.issued_at, p.consumed_at, a.id.label("approval"), a.phase, a.target, a.decided_at,
    ).select_from(joined)  # fmt: skip
    return query.where(d.state.in_(CARRYING)).order_by(d.id)


def _crowded() -> sa.Select[Any]:
    d = DEPLOYMENTS.c
    place = (d.model, d.tenant, d.environment, d.state)
    number = sa.func.count().label("number")
    query = sa.select(*place, number).where(d.state.in_(("stable", "canary")))
    return query.group_by(*place).having(number > 1)


def _begun() -> sa.Select[Any]:
    r, p = REMEDIATIONS.c, ACTION_PERMITS.c
    query = sa.select(
        r.id, r.model, r.tenant, r.incident, r.action, r.target, r.phase, r.fence,
        r.started_at, r.executed_at, r.policy_digest, r.args, r.result, r.gate,
        p.id.label("permit"), p.remediation, p.incident.label("permit_incident"),
        p.action.label("permit_action"), p.args_digest, p.target.label("permit_target"),
        p.issued_at, p.expires_at, p.consumed_at, p.epoch,
    ).select_from(REMEDIATIONS.outerjoin(ACTION_PERMITS, p.id == r.permit))  # fmt: skip
    return query.where(r.started_at.is_not(None)).order_by(r.target, r.started_at, r.fence)


def _rollouts() -> sa.Select[Any]:
    c = ROLLOUTS.c
    named: sa.BindParameter[Any] = sa.bindparam("named", expanding=True)
    ids: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
    versions: sa.BindParameter[Any] = sa.bindparam("versions", expanding=True)
    wanted = c.phase.not_in(_SETTLED) | c.version_id.in_(versions) | c.id.in_(ids)
    query = sa.select(ROLLOUTS).where(wanted | (c.model + " " + c.version).in_(named))
    return query.order_by(c.started_at, c.id)


_CARRYING = _carrying()
_CROWDED = _crowded()
_BEGUN = _begun()
_ROLLOUTS = _rollouts()
_KEPT = sa.select(
    DEPLOYMENTS.c.id,
    DEPLOYMENTS.c.model,
    DEPLOYMENTS.c.version,
    DEPLOYMENTS.c.digest,
    DEPLOYMENTS.c.state,
).where(DEPLOYMENTS.c.state.in_((*CARRYING, Deployment.RETIRED.value)))
_APPROVALS = sa.select(APPROVALS).where(
    APPROVALS.c.phase.in_(("approved", "pending"))
    | APPROVALS.c.id.in_(sa.bindparam("ids", expanding=True))
)
_CONTRIBUTORS = sa.select(
    VERSIONS.c.id, VERSIONS.c.contributors, VERSIONS.c.digest, VERSIONS.c.lifecycle
).where(VERSIONS.c.id.in_(sa.bindparam("ids", expanding=True)))
_CHECKS = (
    sa.select(
        RUNS.c.id, RUNS.c.version_id, RUNS.c.name, RUNS.c.digest, RUNS.c.verdict, RUNS.c.attempt
    )
    .where(RUNS.c.version_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(RUNS.c.attempt)
)
_OPEN_REMEDIES = sa.select(
    REMEDIATIONS.c.id, REMEDIATIONS.c.target, REMEDIATIONS.c.phase, REMEDIATIONS.c.due_at
).where(REMEDIATIONS.c.phase.in_(("proposed", "permitted", "executing", "verifying", "failed")))
_OPEN_RETRAININGS = sa.select(RETRAININGS.c.id, RETRAININGS.c.phase, RETRAININGS.c.due_at).where(
    RETRAININGS.c.settled_at.is_(None)
)
_RETRAINED = sa.select(
    RETRAININGS.c.id,
    RETRAININGS.c.version_id,
    RETRAININGS.c.data_digest,
    RETRAININGS.c.challenger_digest,
).where(RETRAININGS.c.version_id.is_not(None))
_DEPLOYMENTS_BY_ID, _PERMITS_BY_ID, _APPROVALS_BY_ID = (
    sa.select(table).where(table.c.id.in_(sa.bindparam("ids", expanding=True)))
    for table in (DEPLOYMENTS, PERMITS, APPROVALS)
)


class Look:
    """A look at one snapshot.

    Args:
        reading: The snapshot.
        entries: The entries of the ledger to look at, in order and without a gap; all of
            them, or those since the last look.
        policies: Policies by digest: the limits under which something was decided. What was
            decided under a policy that is not here any more is not compared with its limits.
        has: Whether the bytes of a digest are stored; None where that is not to be asked.
        waited_since: What was due by then has had its turn, or is stuck; None where that is
            not to be asked, because nobody may have had the time.
    """

    def __init__(
        self,
        reading: Reading,
        entries: Sequence[Entry],
        *,
        policies: Mapping[Digest, Policy],
        has: Callable[[Digest], bool] | None = None,
        waited_since: datetime | None = None,
    ):
        self.reading = reading
        self.entries = entries
        self.now = reading.now
        self.has = has
        self.waited_since = waited_since
        self._policies = policies

    def of_kind(self, *kinds: str) -> list[Entry]:
        """The entries of these kinds whose payload is still there."""
        return [e for e in self.entries if e.kind in kinds and e.data is not None]

    def demands(self, model: str, policy_digest: str) -> TierPolicy | None:
        """What the policy with this digest demands of a model, if it is known."""
        policy, tier = self._policies.get(Digest(policy_digest)), self._tiers.get(model)
        return None if policy is None or tier is None else policy.tier(tier)

    @cached_property
    def _tiers(self) -> dict[str, int]:
        return {row["name"]: row["tier"] for row in self._rows(_TIERS)}

    @cached_property
    def carrying(self) -> Rows:
        """What carries traffic, with its version, its permit and that one's approval."""
        return self._rows(_CARRYING)

    @cached_property
    def kept(self) -> Rows:
        """What carries traffic or is the way back: place, version and digest."""
        return self._rows(_KEPT)

    @cached_property
    def crowded(self) -> Rows:
        """Places with more than one stable version, or more than one canary."""
        return self._rows(_CROWDED)

    @cached_property
    def deployments(self) -> dict[str, sa.RowMapping]:
        """The deployments that the entries speak of, by id."""
        return self._by_id(_DEPLOYMENTS_BY_ID, {e.subject for e in self.of_kind(_MOVED)})

    @cached_property
    def permits(self) -> dict[str, sa.RowMapping]:
        """The permits that the entries speak of, by id."""
        named = {str((e.data or {})["permit"]) for e in self.of_kind(_MOVED)}
        return self._by_id(_PERMITS_BY_ID, named)

    @cached_property
    def used_approvals(self) -> dict[str, sa.RowMapping]:
        """The approvals behind those permits, by id."""
        return self._by_id(_APPROVALS_BY_ID, {row["approval"] for row in self.permits.values()})

    @cached_property
    def approvals(self) -> Rows:
        """Every approval that stands or waits, and those that the entries speak of."""
        touched = {e.subject for e in self.entries if e.kind.startswith("approval.")}
        return self._rows(_APPROVALS, ids=touched)

    @cached_property
    def contributors(self) -> dict[str, tuple[set[str], str, str]]:
        """Of each version that an approval is about: who had a hand in it, its bytes, its state."""
        return {
            row["id"]: (set(row["contributors"]), row["digest"], row["lifecycle"])
            for row in self._rows(_CONTRIBUTORS, ids=self._asked_for())
        }

    @cached_property
    def newest_checks(self) -> dict[str, list[sa.RowMapping]]:
        """The newest run of each check on each version that an approval is about."""
        rows = self._rows(_CHECKS, ids=self._asked_for())
        newest = {(row["version_id"], row["name"]): row for row in rows}
        found: dict[str, list[sa.RowMapping]] = {}
        for (version_id, _), row in newest.items():
            found.setdefault(version_id, []).append(row)
        return found

    @cached_property
    def rollouts(self) -> Rows:
        """Rollouts that are open, or that the entries or what carries traffic belong to."""
        return self._rows(
            _ROLLOUTS,
            versions={str(r["version_id"]) for r in self.carrying if r["state"] == "canary"},
            ids={e.subject for e in self.entries if e.kind.startswith("rollout.")},
            named={f"{row['model']} {row['version']}" for row in self.deployments.values()},
        )

    @cached_property
    def begun(self) -> Rows:
        """Every remedy that was begun, with the permit of the gate that it was begun under."""
        return self._rows(_BEGUN)

    @cached_property
    def switches(self) -> Sequence[Entry]:
        """Every turn of a kill switch, in order."""
        kinds = ("kill_switch.set", "kill_switch.cleared")
        return ledger.entries(self.reading.connection, kinds=kinds, limit=_MOST)

    @cached_property
    def gone(self) -> dict[str, Entry]:
        """Who is here no more, with the entry that says so."""
        found = ledger.entries(self.reading.connection, kinds=("person.disabled",), limit=_MOST)
        return {entry.subject: entry for entry in found}

    def over(self, incidents: Iterable[str]) -> dict[str, int]:
        """Of these incidents, those that are over, with the sequence of the entry that says so."""
        kinds = ("incident.resolved",)
        found = ledger.newest_about(
            self.reading.connection, kinds, sorted(set(incidents)), until=self.reading.now
        )
        return {incident: entry.sequence for incident, entry in found.items()}

    @cached_property
    def open_remedies(self) -> Rows:
        """Remedies that something may still happen to."""
        return self._rows(_OPEN_REMEDIES)

    @cached_property
    def open_retrainings(self) -> Rows:
        """Retrainings that are not settled."""
        return self._rows(_OPEN_RETRAININGS)

    @cached_property
    def retrained(self) -> dict[str, sa.RowMapping]:
        """The retraining that made a version, by the version's id."""
        return {row["version_id"]: row for row in self._rows(_RETRAINED)}

    def _asked_for(self) -> set[str]:
        return {str(row["version_id"]) for row in self.approvals}

    def _by_id(self, query: sa.Select[Any], ids: set[str]) -> dict[str, sa.RowMapping]:
        return {row["id"]: row for row in self._rows(query, ids=ids)} if ids else {}

    def _rows(self, query: sa.Select[Any], **values: set[str]) -> Rows:
        return self.reading.rows(query, {name: sorted(given) for name, given in values.items()})
