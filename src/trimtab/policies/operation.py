"""Slices of a policy for a version in service: watched, diagnosed, repaired, retrained."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from trimtab.policies import units as u
from trimtab.policies.units import Direction, Slice, down, free, listed, up


class ActionName(StrEnum):
    """What remediation can do."""

    NOTIFY_TEAM = "notify_team"
    ROLLBACK_MODEL = "rollback_model"
    SCALE_RESOURCES = "scale_resources"
    UPDATE_THRESHOLDS = "update_thresholds"
    RETRAIN_MODEL = "retrain_model"


class OnTie(StrEnum):
    """What happens to a challenger that is neither better nor worse than the champion."""

    KEEP_CHAMPION = "keep_champion"
    PROMOTE_CHALLENGER = "promote_challenger"


class Effects(Slice):
    """The smallest change that matters to anybody; a smaller one is not called drift."""

    ks_d: Annotated[u.HarmShare, down("Kolmogorov-Smirnov distance of a numeric feature.")]
    wasserstein_scaled: Annotated[u.Scaled, down("Wasserstein distance of a numeric feature.")]
    psi_nats: Annotated[u.Nats, down("Population stability index of any feature.")]
    category_mass: Annotated[u.HarmShare, down("Probability mass that moved between categories.")]


class Sensitivity(Slice):
    """What the smallest effects are multiplied by, where somebody asks for more or less."""

    low_factor: Annotated[u.Factor, free("At low sensitivity.")]
    medium_factor: Annotated[u.Factor, free("At medium sensitivity.")]
    high_factor: Annotated[u.Factor, free("At high sensitivity.")]

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if not self.low_factor > self.medium_factor > self.high_factor:
            raise ValueError("the factors must fall from low to high sensitivity")
        return self


class Streams(Slice):
    """Detectors on the course of a feature, window after window."""

    page_hinkley_allowance_scaled: Annotated[
        u.Scaled, free("Change that is tolerated for ever, in deviations of the course.")
    ]
    page_hinkley_threshold_scaled: Annotated[
        u.Scaled, free("Sum of changes that is an alarm, in deviations of the course.")
    ]
    adwin_error_share: Annotated[u.HarmShare, free("ADWIN's delta: false alarms of one look.")]
    warm_up_windows: Annotated[u.Windows, free("Windows that only teach.")]


class PsiBands(Slice):
    """Severity of a population stability index; below `low_nats` there is none."""

    low_nats: Annotated[u.Nats, down("From here: low.")]
    medium_nats: Annotated[u.Nats, down("From here: medium.")]
    high_nats: Annotated[u.Nats, down("Above this: high.")]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.low_nats < self.medium_nats < self.high_nats:
            raise ValueError("the bands must rise from low to high")
        return self


class Triggers(Slice):
    """A value above its trigger asks for action."""

    accuracy_decay_percent_points: Annotated[u.PercentPoints, down("Loss of accuracy.")]
    precision_decay_percent_points: Annotated[u.PercentPoints, down("Loss of precision.")]
    recall_decay_percent_points: Annotated[u.PercentPoints, down("Loss of recall.")]
    data_psi_nats: Annotated[u.Nats, down("Stability index of an input feature.")]
    concept_psi_nats: Annotated[u.Nats, down("Stability index of the predictions.")]
    null_rate_increase_share: Annotated[u.HarmShare, down("Rise of a feature's null rate.")]
    brier_increase: Annotated[u.Score, down("Rise of the Brier score.")]


class Detector(Slice):
    """One witness of drift; witnesses of one group look at the same evidence."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$"), free("Detector.")]
    group: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$"), free("Its group.")]
    votes: Annotated[u.Weight, free("Weight of its vote.")]

    def __str__(self) -> str:
        return f"{self.name} ({self.group}) x {self.votes:g}"


class Quorum(Slice):
    """When drift is confirmed for action."""

    min_votes: Annotated[u.Weight, free("Fewest votes that confirm.")]
    repeat_witness_share: Annotated[
        u.Share, free("What a vote counts when a heavier one of its group has spoken.")
    ]
    detectors: Annotated[
        tuple[Detector, ...],
        listed("Who votes.", Direction.NEUTRAL),
    ]

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        names = [detector.name for detector in self.detectors]
        if len(set(names)) != len(names):
            raise ValueError("a detector is named twice")
        if self.votes(names) < self.min_votes:
            raise ValueError("all detectors together do not reach min_votes")
        return self

    def votes(self, alarmed: list[str]) -> float:
        """Votes of the detectors named in `alarmed`, dependent witnesses discounted.

        The heaviest vote of a group counts in full, each further one by
        `repeat_witness_share`: two statistics of one window are not two witnesses.
        """
        total = 0.0
        for group in {detector.group for detector in self.detectors}:
            votes = [d.votes for d in self.detectors if d.group == group and d.name in alarmed]
            if votes:
                total += max(votes) + self.repeat_witness_share * (sum(votes) - max(votes))
        return total


class Monitoring(Slice):
    """What is watched, how often, and what counts as moved."""

    window_hours: Annotated[u.Hours, free("Length of the stretch of events that is judged.")]
    drift_every_minutes: Annotated[u.Minutes, down("Time between two looks at the inputs.")]
    performance_every_minutes: Annotated[
        u.Minutes, down("Time between two looks at the labelled outcomes.")
    ]
    min_rows_global: Annotated[u.Rows, free("Fewest rows of a window over all tenants.")]
    min_rows_tenant: Annotated[u.Rows, free("Fewest rows of a tenant's window.")]
    min_rows_dataset: Annotated[u.Rows, free("Fewest rows of a whole data set.")]
    label_wait_hours: Annotated[
        u.Hours, free("After its end a window waits so long for its labels before it is judged.")
    ]
    late_allowance_hours: Annotated[
        u.Hours,
        free("Rows that come no later than this after the end of their window re-open it."),
    ]
    count_repeats: Annotated[
        bool,
        free("Whether an outcome whose row repeats an earlier one exactly counts again."),
    ]
    min_label_coverage: Annotated[u.Share, up("Lowest share of predictions with a label.")]
    episode_days: Annotated[
        u.Days,
        free("A drift that begins so soon after the last signal of an incident joins it."),
    ]
    consecutive_windows: Annotated[u.Windows, down("Windows in a row before it is believed.")]
    false_discovery_rate: Annotated[
        u.HarmShare, free("Expected share of false alarms among the features called moved.")
    ]
    max_false_positive_rate: Annotated[u.HarmShare, down("Highest false positive rate.")]
    max_null_rate_increase_share: Annotated[
        u.HarmShare, down("Rise of a null rate that is tolerated without a finding.")
    ]
    max_new_category_mass: Annotated[
        u.HarmShare, down("Probability mass of unseen categories that is tolerated.")
    ]
    min_vanished_category_mass: Annotated[
        u.HarmShare, down("A category with at least this mass that is gone is a finding.")
    ]
    effects_global: Effects
    effects_tenant: Effects
    effects_dataset: Effects
    sensitivity: Sensitivity
    streams: Streams
    psi_bands: PsiBands
    triggers: Triggers
    quorum: Quorum

    @model_validator(mode="after")
    def _waits_no_longer_than_it_allows(self) -> Self:
        if self.late_allowance_hours < self.label_wait_hours:
            raise ValueError("late_allowance_hours is below label_wait_hours")
        return self


class UnitChange(Slice):
    """What it takes to say that a feature arrives in another unit."""

    min_rows: Annotated[u.Rows, up("Fewest rows on either side.")]
    min_factor_ratio: Annotated[u.Ratio, up("Smallest factor that is called a unit change.")]
    max_residual_ks_d: Annotated[u.Share, down("Distance that may be left once undone.")]
    min_explained_share: Annotated[u.Share, up("Share of the shift that undoing removes.")]


class Diagnosis(Slice):
    """How sure a diagnosis must be."""

    min_report_confidence: Annotated[u.Share, up("Below this, no cause is named.")]
    min_action_confidence: Annotated[u.Share, up("Below this, nothing acts by itself.")]
    min_lead_share: Annotated[u.Share, up("Lead in confidence over the second cause.")]
    calm_windows: Annotated[
        u.Windows, free("Windows before an incident that are read as the calm stretch.")
    ]
    changes_within_days: Annotated[
        u.Days, free("A deployment so long before an incident may have caused it.")
    ]
    unit_change: UnitChange

    @model_validator(mode="after")
    def _acts_on_what_it_reports(self) -> Self:
        if self.min_action_confidence < self.min_report_confidence:
            raise ValueError("min_action_confidence is below min_report_confidence")
        return self


class RollbackTriggers(Slice):
    """A remedy that makes things worse by this much is undone."""

    error_rate_increase: Annotated[u.Increase, down("Rise of the error rate.")]
    latency_increase: Annotated[u.Increase, down("Rise of the 95th percentile of latency.")]


class Recovery(Slice):
    """When a remedy has worked."""

    healthy_windows: Annotated[u.Windows, up("Healthy windows in a row that prove it.")]
    max_windows: Annotated[u.Windows, down("Windows to wait; then it has not recovered.")]
    tolerance_share: Annotated[u.HarmShare, down("Distance from the level before.")]
    windows_before: Annotated[
        u.Windows, free("Windows before an incident that its level is taken from.")
    ]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_windows < self.healthy_windows:
            raise ValueError("max_windows leaves no room for healthy_windows")
        return self


class Remediation(Slice):
    """The limits that the safety gate holds every action to."""

    automatic_actions: Annotated[
        tuple[ActionName, ...], listed("Actions that need no person.", Direction.SUBSET)
    ]
    max_retries: Annotated[u.Attempts, down("Attempts after the first that failed.")]
    cooldown_minutes: Annotated[u.Minutes, up("Shortest gap between actions on a target.")]
    max_actions_per_day: Annotated[u.Actions, down("Most actions on a target in 24 hours.")]
    max_cpu_cores: Annotated[u.Cores, down("Most processor cores for one action.")]
    max_memory_gib: Annotated[u.Gibibytes, down("Most memory for one action.")]
    permit_lifetime_minutes: Annotated[u.Minutes, down("A permit for an action ends then.")]
    rollback_triggers: RollbackTriggers
    recovery: Recovery


class Retraining(Slice):
    """When a model is trained again, on what, and what the result must show."""

    every_days: Annotated[u.Days, down("Time between two scheduled runs.")]
    retry_after_days: Annotated[
        u.Days, free("After a challenger that was not better, the next attempt waits so long.")
    ]
    new_rows: Annotated[u.Rows, down("New labelled rows that call for a run.")]
    min_rows: Annotated[u.Rows, up("Fewest labelled rows to train on.")]
    min_rows_per_class: Annotated[u.Rows, up("Fewest of these rows with either outcome.")]
    max_rows: Annotated[u.Rows, free("Rows that one run learns from; of more, a sample of them.")]
    max_duplicate_share: Annotated[u.HarmShare, down("Share of rows that repeat another.")]
    max_single_feature_auc: Annotated[
        u.Auc, down("One feature that tells more than this by itself is taken for the label.")
    ]
    max_null_rate: Annotated[u.HarmShare, down("Highest null rate of a training feature.")]
    validation_share: Annotated[
        float,
        Field(gt=0, lt=1),
        u.Unit("share, 0 to 1", u.SHARE_WORDS),
        up("Latest share of the rows, kept back to judge on."),
    ]
    max_false_positive_rate: Annotated[
        u.HarmShare, down("False positive rate at which the cut-off is chosen.")
    ]
    min_gain_percent_points: Annotated[u.PercentPoints, up("Gain over the champion.")]
    max_p_value_share: Annotated[u.HarmShare, down("A gain counts below this p-value.")]
    max_score_difference: Annotated[
        u.ScoreDifference,
        down("Difference between the scores of the exported model and of the trained one."),
    ]
    max_attempts: Annotated[u.Tries, down("Training processes that one run may begin.")]
    on_tie: Annotated[OnTie, free("What happens when neither is better.")]
    max_seconds: Annotated[u.Seconds, free("Longest run of the training process.")]
    max_memory_mib: Annotated[u.Mebibytes, free("Most memory of the training process.")]

    @model_validator(mode="after")
    def _learns_from_what_it_asks_for(self) -> Self:
        if self.max_rows < self.min_rows:
            raise ValueError("max_rows is below min_rows")
        return self
