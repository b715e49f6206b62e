"""What a policy number is: its unit, its bounds, and which way is stricter.

A number's type carries unit and bounds; the words `up`, `down` and so on attach the
description and the direction. Everything that compares, explains or documents policies
reads these annotations, so a number is described in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Direction(StrEnum):
    """How two tiers are compared on one key; the riskier one never asks for less."""

    STRICT_UP = "strict_up"
    """A larger value asks for more; true asks for more than false."""
    STRICT_DOWN = "strict_down"
    """A smaller value asks for more; false asks for more than true."""
    SUPERSET = "superset"
    """The riskier tier lists at least what the less risky one lists."""
    SUBSET = "subset"
    """The riskier tier lists at most what the less risky one lists."""
    LADDER = "ladder"
    """After the same number of steps, the riskier tier has not gone further."""
    PEOPLE = "people"
    """The riskier tier asks for at least as many signatures in all."""
    NEUTRAL = "neutral"
    """Neither way is stricter; the tiers are free."""


@dataclass(frozen=True)
class Unit:
    """The unit of a number, and the words that a key in this unit must contain one of."""

    name: str
    words: tuple[str, ...]


class Slice(BaseModel):
    """A part of a policy: frozen, every key required, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )


def _described(description: str, direction: Direction) -> Any:
    return Field(description=description, json_schema_extra={"direction": direction.value})


def up(description: str) -> Any:
    """A key where more is stricter."""
    return _described(description, Direction.STRICT_UP)


def down(description: str) -> Any:
    """A key where less is stricter."""
    return _described(description, Direction.STRICT_DOWN)


def free(description: str) -> Any:
    """A key where neither way is stricter."""
    return _described(description, Direction.NEUTRAL)


def listed(description: str, direction: Direction) -> Any:
    """A key that holds a list, compared as `direction` says."""
    return Field(
        description=description, json_schema_extra={"direction": direction.value}, min_length=1
    )


SHARE_WORDS = ("share", "rate", "precision", "recall", "coverage", "confidence", "mass", "ks_d")

Share = Annotated[float, Field(ge=0, le=1), Unit("share, 0 to 1", SHARE_WORDS)]
# A limit on harm: half of everything going wrong is not a limit any more.
HarmShare = Annotated[float, Field(ge=0, le=0.5), Unit("share, 0 to 1", SHARE_WORDS)]
# An increase relative to what was before; 1 is a doubling.
Increase = Annotated[float, Field(ge=0, le=1), Unit("relative increase", ("increase",))]
Percent = Annotated[float, Field(ge=0, le=100), Unit("percent", ("percent",))]
PercentPoints = Annotated[float, Field(ge=0, le=50), Unit("percentage points", ("percent_points",))]
Nats = Annotated[float, Field(gt=0, le=1), Unit("nats", ("nats",))]
Scaled = Annotated[float, Field(gt=0, le=10), Unit("reference standard deviations", ("scaled",))]
Ratio = Annotated[float, Field(ge=1, le=100), Unit("ratio", ("ratio",))]
Factor = Annotated[float, Field(gt=0, le=10), Unit("factor", ("factor",))]
Weight = Annotated[float, Field(gt=0, le=100), Unit("votes", ("votes",))]
# Of an interval: at one half it would say nothing, at one it would be everything.
Confidence = Annotated[float, Field(gt=0.5, lt=1), Unit("share, 0 to 1", ("confidence",))]
Auc = Annotated[float, Field(gt=0.5, le=1), Unit("area under the ROC curve", ("auc",))]
ScoreDifference = Annotated[
    float, Field(gt=0, le=0.1), Unit("difference of scores", ("score_difference",))
]
Score = Annotated[float, Field(gt=0, le=1), Unit("Brier score", ("brier",))]
Usd = Annotated[float, Field(ge=0, le=1e12), Unit("US dollars a year", ("usd",))]

Seconds = Annotated[int, Field(ge=1, le=86_400), Unit("seconds", ("seconds",))]
Minutes = Annotated[int, Field(ge=1, le=525_600), Unit("minutes", ("minutes",))]
Hours = Annotated[int, Field(ge=1, le=8_760), Unit("hours", ("hours",))]
Days = Annotated[int, Field(ge=1, le=3_650), Unit("days", ("days",))]
Mebibytes = Annotated[int, Field(ge=1, le=1_048_576), Unit("MiB", ("mib",))]
Gibibytes = Annotated[int, Field(ge=1, le=1_024), Unit("GiB", ("gib",))]
Cores = Annotated[int, Field(ge=1, le=1_024), Unit("CPU cores", ("cores",))]
Rows = Annotated[int, Field(ge=1, le=10**9), Unit("rows", ("rows",))]
Events = Annotated[int, Field(ge=1, le=10**9), Unit("events", ("events", "errors"))]
People = Annotated[int, Field(ge=1, le=50), Unit("people", ("people",))]
Windows = Annotated[int, Field(ge=1, le=1_000), Unit("windows", ("windows",))]
Looks = Annotated[int, Field(ge=1, le=100_000), Unit("looks", ("looks",))]
Nodes = Annotated[int, Field(ge=1, le=10**6), Unit("graph nodes", ("nodes",))]
Attempts = Annotated[int, Field(ge=0, le=100), Unit("attempts", ("retries",))]
Tries = Annotated[int, Field(ge=1, le=100), Unit("attempts", ("attempts",))]
Actions = Annotated[int, Field(ge=0, le=1_000), Unit("actions", ("actions",))]
