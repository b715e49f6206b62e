"""Slices of a policy that decide whether a version may carry traffic, and how much."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from trimtab.policies import units as u
from trimtab.policies.units import Direction, Slice, down, free, listed, up

_EVERYBODY = 100.0


class CheckName(StrEnum):
    """The checks that a policy can require of a version."""

    ARTIFACT_INTEGRITY = "artifact_integrity"
    SCHEMA = "schema"
    SECURITY_SCAN = "security_scan"
    PERFORMANCE = "performance"


class Environment(StrEnum):
    """Where a version can be deployed."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class PerformanceDemands(Slice):
    """What a version must show on rows that it was not trained on."""

    min_holdout_rows: Annotated[u.Rows, up("Fewest labelled rows to judge on.")]
    min_precision: Annotated[u.Share, up("Lowest precision.")]
    min_recall: Annotated[u.Share, up("Lowest recall.")]
    max_false_positive_rate: Annotated[u.HarmShare, down("Highest false positive rate.")]
    max_regression_percent_points: Annotated[
        u.PercentPoints, down("Largest loss against production, on any metric judged here.")
    ]
    max_p_value_share: Annotated[
        u.HarmShare, down("A claimed improvement counts when its p-value is below this.")
    ]
    interval_confidence: Annotated[
        u.Confidence,
        up("Confidence of the intervals that must keep a limit whole, or are inconclusive."),
    ]


class ChildLimits(Slice):
    """What the child process that opens an untrusted artifact may use."""

    max_seconds: Annotated[u.Seconds, down("Longest run; then it is killed.")]
    max_memory_mib: Annotated[u.Mebibytes, down("Most memory.")]
    max_artifact_mib: Annotated[u.Mebibytes, down("Largest artifact that is opened.")]
    max_nodes: Annotated[u.Nodes, down("Most nodes in a model graph.")]


class BumpSuites(Slice):
    """What a version must pass besides, by how much of it is new."""

    major: Annotated[
        tuple[CheckName, ...],
        listed("After another architecture or signature, and at first.", Direction.SUPERSET),
    ]
    minor: Annotated[
        tuple[CheckName, ...], listed("After tuning, or more data.", Direction.SUPERSET)
    ]
    patch: Annotated[
        tuple[CheckName, ...], listed("After other data, or a mended case.", Direction.SUPERSET)
    ]

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if not set(self.patch) <= set(self.minor) <= set(self.major):
            raise ValueError("major must list what minor does, and minor what patch does")
        return self


class Checks(Slice):
    """What is checked before anybody is asked to approve."""

    required: Annotated[tuple[CheckName, ...], listed("Checks that must pass.", Direction.SUPERSET)]
    required_by_bump: BumpSuites
    performance: PerformanceDemands
    child: ChildLimits


class AutoApproval(Slice):
    """When no person has to sign; every required check must pass in any case."""

    allowed: Annotated[bool, down("Whether a version can be approved without a person.")]
    max_traffic_percent: Annotated[
        u.Percent, down("Most production traffic that is granted without a person.")
    ]
    max_metric_change_percent: Annotated[
        u.Percent, down("Largest relative change of any metric against the baseline.")
    ]
    min_retrained_gain_percent_points: Annotated[
        u.PercentPoints, up("A retrained version must improve by more than this.")
    ]
    first_deployment_needs_person: Annotated[
        bool, up("Whether the first version of a model is always put before a person.")
    ]


class ApprovalStep(Slice):
    """One signature line: so many distinct people who hold a role."""

    role: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$"), free("Role that signs.")]
    people: Annotated[u.People, up("Distinct people of this role.")]

    def __str__(self) -> str:
        return f"{self.role} x {self.people}"


class Approvals(Slice):
    """Who must sign. Whoever asked or contributed never counts; no key changes that."""

    excludes_requester: ClassVar[bool] = True

    auto_approve: AutoApproval
    steps: Annotated[tuple[ApprovalStep, ...], listed("Signatures, in order.", Direction.PEOPLE)]
    min_people: Annotated[u.People, up("Fewest distinct people over all steps.")]
    expires_days: Annotated[
        u.Days, down("A request or an approval that was not used by then is void.")
    ]

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        signatures = sum(step.people for step in self.steps)
        if self.min_people > signatures:
            raise ValueError(f"min_people is {self.min_people}, but the steps ask {signatures}")
        if len({step.role for step in self.steps}) != len(self.steps):
            raise ValueError("a role has two steps; give one step the sum of the people")
        return self


class Rollout(Slice):
    """How exposure grows, and what takes it back."""

    environments: Annotated[
        tuple[Environment, ...],
        # Free: a tier can be low in risk just because it may not reach production.
        listed("Environments that a version of this tier can enter.", Direction.NEUTRAL),
    ]
    max_traffic_percent: Annotated[u.Percent, free("Most traffic that any permit can grant.")]
    steps_percent: Annotated[
        tuple[u.Percent, ...], listed("Traffic after each step, ascending.", Direction.LADDER)
    ]
    min_events_per_step: Annotated[u.Events, up("Fewest labelled events to leave a step.")]
    count_repeats: Annotated[
        bool,
        free("Whether an outcome whose row repeats an earlier one exactly counts again."),
    ]
    min_hold_hours: Annotated[u.Hours, up("Shortest stay on a step.")]
    look_interval_minutes: Annotated[u.Minutes, down("Time between two looks.")]
    max_inconclusive_looks: Annotated[
        u.Looks, down("Looks on one step that may not decide; one more rolls back.")
    ]
    max_wrong_promotion_rate: Annotated[
        u.HarmShare, down("Chance, over all looks of a step, to pass a harmful version.")
    ]
    max_wrong_rollback_rate: Annotated[
        u.HarmShare, free("Chance, over all looks of a step, to roll back a healthy one.")
    ]
    max_false_positive_rate: Annotated[u.HarmShare, down("Highest false positive rate.")]
    max_ratio_to_active: Annotated[
        u.Ratio, down("Largest ratio of its false positive rate to the active version's.")
    ]
    max_error_rate: Annotated[u.HarmShare, down("Highest share of failed requests.")]
    max_accuracy_drop_percent_points: Annotated[
        u.PercentPoints, down("Largest loss of accuracy against the active version.")
    ]
    gross_harm_min_errors: Annotated[
        u.Events, down("Errors that suffice to roll back before the step has its events.")
    ]
    gross_harm_confidence: Annotated[
        u.Share, free("Confidence of the lower bound that gross harm is judged by.")
    ]

    @model_validator(mode="after")
    def _climbs(self) -> Self:
        steps = self.steps_percent
        if steps[0] <= 0 or any(a >= b for a, b in pairwise(steps)):
            raise ValueError("steps_percent must rise from above 0")
        if steps[-1] > self.max_traffic_percent:
            raise ValueError("the last of steps_percent is above max_traffic_percent")
        if steps[-1] != _EVERYBODY:
            raise ValueError("the last of steps_percent must be 100: promoted is for everybody")
        return self


class Permits(Slice):
    """How long a grant of exposure lasts unused."""

    permit_lifetime_minutes: Annotated[u.Minutes, down("A permit for exposure ends then.")]
    routing_table_lifetime_minutes: Annotated[
        u.Minutes, down("A routing table that nobody renewed stops canaries then.")
    ]
