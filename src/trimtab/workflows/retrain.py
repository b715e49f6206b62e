"""Trigger -> data checked -> training -> challenger against champion -> intake again, or kept.

The rows are those that the gateway served and labels came in for. Exact repeats are taken
once. The latest share is kept back for the comparison: champion and challenger are judged
on the same later rows, which neither has learnt from.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading, Work
from trimtab.checks import performance
from trimtab.diagnosis import store as diagnosis_store
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Incident
from trimtab.kernel.actor import system
from trimtab.kernel.ids import Digest
from trimtab.observations.frame import Frame
from trimtab.policies.model import TierPolicy
from trimtab.registry import store
from trimtab.registry.model import Model, TrainingTrigger, Version
from trimtab.remediation import endings
from trimtab.remediation import service as remediation
from trimtab.remediation import store as remediation_store
from trimtab.remediation.model import Phase as RemedyPhase
from trimtab.remediation.model import Remediation
from trimtab.retraining import service as retraining
from trimtab.retraining import store as retraining_store
from trimtab.retraining import training
from trimtab.retraining.comparison import Scored, compare
from trimtab.retraining.data import Demands, Table, check_data
from trimtab.retraining.model import Decision, Phase, Retraining
from trimtab.workflows import intake
from trimtab.workflows.parts import Parts, policy_of
from trimtab.workflows.watch import rows_between

TIME = "at"
_MIB = 1 << 20
_RETRAIN = system("retrain")

OUTLIER_REACH = 3.0
"""Tukey's outer fences, in interquartile ranges: what lies beyond is noted, and decides
nothing."""

SEED = 7
"""Of every training: the same rows give the same challenger."""


@dataclass(frozen=True)
class Rows:
    """Distinct labelled rows in order of time: those to learn from, and the later ones."""

    learn: pa.Table
    later: pa.Table


def waiting_for(reading: Reading, incident: Incident, demands: TierPolicy) -> str | None:
    """What a retraining would have to wait for, or None."""
    began, until = incident.drift_start, reading.now
    frame = None if began is None else rows_between(reading, incident.model, began, until)
    if began is None or frame is None:
        return None
    learn, later = _split(_scoped(frame, incident.tenant), began, until, demands)
    short = demands.retraining.min_rows - len(learn)
    if short > 0:
        return f"{short} more distinct labelled rows are needed to learn from"
    short = demands.checks.performance.min_holdout_rows - len(later)
    return f"{short} more distinct labelled rows are needed to compare on" if short > 0 else None


def learns_from(incident: Incident) -> datetime:
    """The moment from which on the rows are such as a challenger has to cope with."""
    return incident.drift_start or incident.detected_at


def begin(work: Work, begun: Remediation, demands: TierPolicy, model: Model) -> None:
    """Ask for a challenger, as a permitted remedy; the run goes on by its own events."""
    incident = incident_store.get(work, begun.incident)
    found = diagnosis_store.newest_of(work, incident.id)
    cause = None if found is None else found.analysis.cause
    champion = store.find_version(work, model.name, str(begun.args["champion_version"]))
    assert champion is not None
    retraining.request(
        work,
        model=model.name,
        tenant=begun.tenant,
        trigger=TrainingTrigger.DRIFT,
        incident=incident.id,
        cause=None if cause is None else cause.type.value,
        champion=champion.version,
        champion_digest=champion.digest,
        policy_digest=begun.policy_digest,
        data_from=learns_from(incident),
        data_until=work.now,
        patience=_patience(demands),
    )


def check(parts: Parts, entry: Entry) -> None:
    """Look at the data of a run before anything learns from them."""
    with parts.records.look() as reading:
        run = retraining_store.get(reading, entry.subject)
        if run.phase is not Phase.REQUESTED:
            return
        model = store.model_named(reading, run.model)
        rows = rows_of(reading, run, model, policy_of(parts, model)[0])
    demands, _ = policy_of(parts, model)
    report = check_data(_checked_table(rows.learn, model), _data_demands(run, demands))
    blob = parts.blobs.put(io.BytesIO(_parquet(rows.learn)), max_bytes=1 << 30)
    with parts.records.begin(_RETRAIN, reason="its data", cause=entry.sequence) as work:
        retraining.record_data_check(
            work, run.id, report, digest=blob.digest, patience=_patience(demands)
        )


def train(parts: Parts, entry: Entry) -> None:
    """Train a challenger in a child of its own."""
    with parts.records.look() as reading:
        run = retraining_store.get(reading, entry.subject)
        model = store.model_named(reading, run.model)
    if run.phase is not Phase.DATA_CHECKED or run.data_digest is None:
        return
    demands, _ = policy_of(parts, model)
    content = parts.blobs.read_verified(run.data_digest, max_bytes=1 << 30)
    with parts.scratch.folder() as place:
        result = training.train(
            pq.read_table(io.BytesIO(content)),
            training.Recipe(
                features=model.feature_names,
                label=model.label,
                time=TIME,
                seed=SEED,
                hyperparameters={},
                max_rows=demands.retraining.max_rows,
                max_parity=demands.retraining.max_score_difference,
                max_single_auc=demands.retraining.max_single_feature_auc,
            ),
            demands.retraining,
            max_model_mib=int(demands.checks.child.max_artifact_mib),
            folder=place,
        )
    if isinstance(result, training.Challenger):
        parts.blobs.put(io.BytesIO(result.onnx), expected=result.digest, max_bytes=1 << 30)
    with parts.records.begin(_RETRAIN, reason="training ended", cause=entry.sequence) as work:
        retraining.record_training(
            work,
            run.id,
            result,
            attempt=run.attempts + 1,
            max_attempts=demands.retraining.max_attempts,
            patience=_patience(demands),
        )


def judge(parts: Parts, entry: Entry) -> None:
    """Compare challenger and champion on the same later rows."""
    with parts.records.look() as reading:
        run = retraining_store.get(reading, entry.subject)
        if run.phase is not Phase.TRAINED or run.challenger_digest is None:
            return
        model = store.model_named(reading, run.model)
        champion = store.find_version(reading, run.model, run.champion)
        demands, _ = policy_of(parts, model)
        rows = rows_of(reading, run, model, demands)
    assert champion is not None
    assert run.cutoff is not None
    later = parts.blobs.put(io.BytesIO(_parquet(rows.later)), max_bytes=1 << 30)
    label = np.asarray(rows.later[model.label].to_numpy(), dtype=np.float64)
    comparison = compare(
        _scored(parts, model, run.challenger_digest, run.cutoff, later.digest, demands),
        _scored(parts, model, champion.digest, champion.cutoff, later.digest, demands),
        label,
        demands.retraining,
        min_rows=int(demands.checks.performance.min_holdout_rows),
    )
    with parts.records.begin(_RETRAIN, reason="compared", cause=entry.sequence) as work:
        retraining.record_comparison(work, run.id, comparison, patience=_patience(demands))


def submit(parts: Parts, entry: Entry) -> None:
    """Hand a challenger that is better in, like any other version."""
    with parts.records.look() as reading:
        run = retraining_store.get(reading, entry.subject)
        if run.phase is not Phase.JUDGED or run.comparison is None:
            return
        if run.comparison["decision"] != Decision.PROMOTE.value:
            return
        model = store.model_named(reading, run.model)
        demands, _ = policy_of(parts, model)
        rows = rows_of(reading, run, model, demands)
        before = _handed_in(reading, run)
    # There is one by a try that did not get further; labels have come since, perhaps.
    version = before or _hand_in(parts, run, rows)
    with parts.records.begin(_RETRAIN, reason="handed in", cause=entry.sequence) as work:
        retraining.submit(work, run.id, version.id)
        for remedy in _remedies(work, run):
            if remedy.phase is RemedyPhase.EXECUTING and remedy.fence is not None:
                remediation.executed(
                    work,
                    remedy.id,
                    fence=remedy.fence,
                    result={"version": version.version, "retraining": run.id},
                    patience=4 * _patience(demands),
                )


def ended(parts: Parts, entry: Entry) -> None:
    """A run without a challenger ends its remedy; where it failed, a person has to look."""
    with parts.records.begin(_RETRAIN, reason="no challenger", cause=entry.sequence) as work:
        run = retraining_store.get(work, entry.subject)
        model = store.model_named(work, run.model)
        demands, _ = policy_of(parts, model)
        why = run.reason or run.phase.value
        for remedy in _remedies(work, run):
            if run.phase is Phase.KEPT:
                _came_to_nothing(work, remedy, why, demands)
                continue
            endings.fail(work, remedy.id, why, patience=_patience(demands))
            incidents.escalate_open(work, remedy.incident, f"retraining: {why}")


def _came_to_nothing(work: Work, remedy: Remediation, why: str, demands: TierPolicy) -> None:
    """A challenger that was not better: nothing changed, and later rows may tell more."""
    assert remedy.fence is not None
    patience = _patience(demands)
    remediation.executed(
        work, remedy.id, fence=remedy.fence, result={"kept": why}, patience=patience
    )
    endings.begin_verifying(
        work, remedy.id, look_at=work.now + patience, deadline=work.now + patience
    )
    endings.without_effect(work, remedy.id, why)


def promoted(parts: Parts, entry: Entry) -> None:
    """When the challenger has become stable, begin to measure whether it has helped."""
    data = entry.data or {}
    if data.get("phase") != "promoted":
        return
    with parts.records.begin(_RETRAIN, reason="it serves", cause=entry.sequence) as work:
        for run in retraining_store.listed(work, model=str(data["model"])):
            if run.version_id is None:
                continue
            version = store.version_by_id(work, run.version_id)
            model = store.model_named(work, run.model)
            demands, _ = policy_of(parts, model)
            window = timedelta(hours=demands.monitoring.window_hours)
            for remedy in _remedies(work, run) if version.version == data["version"] else []:
                endings.begin_verifying(
                    work,
                    remedy.id,
                    look_at=work.now + 2 * window,
                    deadline=work.now + 2 * _patience(demands),
                )


def overdue(reading: Reading) -> list[tuple[str, str]]:
    """Runs with which nobody went on until their deadline."""
    return [(found, reading.moment) for found in retraining_store.due(reading, reading.now)]


def expire(parts: Parts, run_id: str) -> None:
    """End a run with which nobody went on in time: its place is free, and a person is told."""
    with parts.records.begin(_RETRAIN, reason="nobody went on with it in time") as work:
        retraining.expire(work, run_id)


def rows_of(reading: Reading, run: Retraining, model: Model, demands: TierPolicy) -> Rows:
    """The rows of a run: the same whenever it is asked for, as labels that come later aside."""
    frame = rows_between(reading, run.model, run.data_from, run.data_until)
    if frame is None:
        nothing = _table(None, model)
        return Rows(nothing, nothing)
    learn, later = _split(_scoped(frame, run.tenant), run.data_from, run.data_until, demands)
    return Rows(_table(learn, model), _table(later, model))


def _split(
    frame: Frame, began: datetime, until: datetime, demands: TierPolicy
) -> tuple[Frame, Frame]:
    """The rows to learn from, and the later ones.

    The border is a moment, not a count: labels that come in late never move a row from
    one side to the other.
    """
    border = began + (until - began) * (1 - demands.retraining.validation_share)
    early = frame.at < np.datetime64(border.replace(tzinfo=None), "us")
    return frame.where(early), frame.where(~early)


def _scoped(frame: Frame, tenant: str | None) -> Frame:
    """The tenant's labelled rows, each once, in order of time."""
    own = frame if tenant is None else frame.where(frame.tenant == tenant)
    known = own.where(own.known).without_repeats()
    return known.where(np.argsort(known.at, kind="stable"))


def _table(frame: Frame | None, model: Model) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for feature in model.features:
        kind = pa.string() if feature.kind == "category" else pa.float32()
        values: Any = [] if frame is None else frame.features[feature.name]
        columns[feature.name] = pa.array(values, kind)
    columns[model.label] = pa.array([] if frame is None else frame.label, pa.int8())
    columns[TIME] = pa.array([] if frame is None else frame.at, pa.timestamp("us"))
    return pa.table(columns)


def _checked_table(table: pa.Table, model: Model) -> Table:
    features = {
        f.name: np.asarray(table[f.name].to_pylist(), dtype=str)
        if f.kind == "category"
        else table[f.name].to_numpy().astype(np.float64)
        for f in model.features
    }
    return Table(
        features,
        table[model.label].to_numpy().astype(np.float64),
        table[TIME].to_numpy(),
    )


def _data_demands(run: Retraining, demands: TierPolicy) -> Demands:
    def moment(at: datetime) -> np.datetime64:
        return np.datetime64(at.replace(tzinfo=None), "us")

    return Demands(
        min_rows=int(demands.retraining.min_rows),
        min_rows_per_class=demands.retraining.min_rows_per_class,
        max_null_rate=demands.retraining.max_null_rate,
        min_label_coverage=demands.monitoring.min_label_coverage,
        max_duplicate_share=demands.retraining.max_duplicate_share,
        max_single_auc=demands.retraining.max_single_feature_auc,
        outlier_reach=OUTLIER_REACH,
        time_from=moment(run.data_from),
        time_until=moment(run.data_until),
    )


def _scored(
    parts: Parts,
    model: Model,
    digest: Digest,
    cutoff: float,
    data: Digest,
    demands: TierPolicy,
) -> Scored:
    with (
        parts.blobs.held(digest) as stored,
        parts.blobs.held(data) as rows,
        parts.scratch.folder() as place,
    ):
        scored = performance.score(
            stored,
            digest,
            rows,
            features=list(model.feature_names),
            label=model.label,
            limits=demands.checks.child,
            folder=place,
        )
    return Scored(digest, scored.scores, cutoff)


def _handed_in(reading: Reading, run: Retraining) -> Version | None:
    """The version that this run has handed in already, under whatever number it got."""
    for version in store.versions_of(reading, run.model, everyone=True):
        ours = version.lineage.get("retraining") == run.id
        if ours and version.created_by == _RETRAIN.id:
            return version
    return None


def _hand_in(parts: Parts, run: Retraining, rows: Rows) -> Version:
    assert run.challenger_digest is not None
    assert run.cutoff is not None
    content = parts.blobs.read_verified(run.challenger_digest, max_bytes=1 << 30)
    figures = run.metrics or {}
    given = intake.Upload(
        model=run.model,
        version=run.proposed_version,
        tenant=run.tenant,
        framework="scikit-learn, ONNX",
        cutoff=run.cutoff,
        training_metrics={
            name: float(value)
            for name, value in figures.items()
            if name in ("precision", "recall", "f1", "false_positive_rate", "brier")
        },
        training_trigger=run.trigger,
        parent=run.champion,
        lineage={
            "retraining": run.id,
            "incident": run.incident,
            "data_digest": run.data_digest,
            "rows": run.rows,
            "seed": SEED,
            "recipe": training.RECIPE,
        },
        digest=run.challenger_digest,
        artifact=io.BytesIO(content),
        reference=io.BytesIO(_parquet(rows.learn)),
        holdout=io.BytesIO(_parquet(rows.later)),
        numbered=False,  # the champion may be of another recipe: that is known only now
    )
    return intake.upload(parts, _RETRAIN, given, reason=f"retraining {run.id}")


def _remedies(reading: Reading, run: Retraining) -> list[Remediation]:
    """The remedies under way that this run carries out."""
    if run.incident is None:
        return []
    return [
        r
        for r in remediation_store.of_incident(reading, run.incident)
        if r.action.value == "retrain_model" and r.phase is RemedyPhase.EXECUTING
    ]


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _patience(demands: TierPolicy) -> timedelta:
    windows = demands.remediation.recovery.max_windows
    return timedelta(hours=demands.monitoring.window_hours) * windows
