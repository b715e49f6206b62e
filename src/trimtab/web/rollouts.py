"""Rollouts: what is moving, on what evidence, and taking hold of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response

from trimtab.audit import ledger
from trimtab.audit.work import Reading, Work
from trimtab.identity.reach import demand_grant
from trimtab.policies.admission import Rollout as RolloutDemands
from trimtab.registry import store as registry
from trimtab.rollouts import service, store
from trimtab.rollouts.model import MOVES, Judged, Phase, Rollout, StepIntended
from trimtab.web import telling, words
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking, sending
from trimtab.web.telling import Line
from trimtab.web.versions import checked_reason
from trimtab.web.watching import Gauge
from trimtab.workflows import about, release
from trimtab.workflows.parts import Parts, policy_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50
_FAR = 100
_LOOKS = (Judged.kind, StepIntended.kind)


@dataclass(frozen=True)
class RuleRow:
    """A rule of the judge: its number, its limit, and how strong the evidence is."""

    name: str
    value: str
    limit: str
    interval: str | None
    gauge: Gauge | None
    harm: str
    health: str
    harmful: bool
    harmless: bool


@dataclass(frozen=True)
class Rung:
    """A step of the ladder, at its place between 0 and 100 percent."""

    percent: float
    reached: bool
    x: float


@dataclass(frozen=True)
class RolloutList:
    """What moves now, and what has settled."""

    moving: tuple[RolloutPage, ...]
    settled: tuple[Rollout, ...]
    older: str | None
    now: datetime


@dataclass(frozen=True)
class RolloutPage:
    """What is shown of one rollout."""

    rollout: Rollout
    rungs: tuple[Rung, ...]
    analysis: Mapping[str, Any] | None
    looked: bool
    """Whether the last look was at the step on which it stands."""
    rules: tuple[RuleRow, ...]
    min_events: int
    hold: timedelta
    on_step: timedelta
    undecided_allowed: int
    can: frozenset[str]
    why_not: str | None
    timeline: tuple[Line, ...]
    now: datetime

    @property
    def events(self) -> int:
        """Outcomes that are known of this step, as far as anybody has looked."""
        return int((self.analysis or {}).get("step_events") or 0) if self.looked else 0

    @property
    def more_events(self) -> int:
        """Outcomes that this step still needs before it can be judged at all."""
        return max(0, self.min_events - self.events)

    @property
    def earliest(self) -> datetime | None:
        """The next moment at which it can grow; None where it does not grow by itself."""
        rollout = self.rollout
        if rollout.phase is not Phase.RUNNING or rollout.due_at is None or not rollout.observed:
            return None
        return max(rollout.due_at, rollout.step_since + self.hold)

    @property
    def next_percent(self) -> float | None:
        """The share of the step after this one."""
        after = self.rollout.steps[self.rollout.step + 1 :]
        return after[0] if after else None


@router.get("/rollouts")
def rollout_list(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("rollouts:read")],
    before: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """What is moving?"""
    with parts.records.look() as reading:
        unsettled = [r for r in store.unsettled(reading) if visitor.sees(r.tenant)]
        moving = [_moving(reading, parts, visitor, rollout) for rollout in unsettled]
        listed = store.of_model(reading, tenant=visitor.tenant, after=before, limit=_PAGE)
        now = reading.now
    older = f"/rollouts?before={listed[-1].id}" if len(listed) == _PAGE else None
    settled = tuple(r for r in listed if r.settled)
    shown = RolloutList(tuple(moving), settled, older, now)
    return page(
        request, "rollouts.html", shown, title="Rollouts", active="rollouts", visitor=visitor
    )


@router.get("/rollouts/{rollout}")
def rollout_page(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("rollouts:read")],
    rollout: str,
) -> Response:
    """One rollout with its evidence."""
    demands = release.demands_of(parts, _seen(parts, visitor, rollout).id)
    with parts.records.look() as reading:
        shown = read(reading, visitor, rollout, demands)
    title = f"Rollout of {shown.rollout.model} {shown.rollout.version}"
    return page(request, "rollout.html", shown, title=title, active="rollouts", visitor=visitor)


@router.post("/rollouts/{rollout}/hold")
def hold(
    parts: PartsOf,
    visitor: Annotated[Visitor, sending("rollouts:operate", asks_about=True)],
    rollout: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Freeze it where it stands."""
    return _operate(parts, visitor, rollout, reason, "held", service.hold)


@router.post("/rollouts/{rollout}/resume")
def resume(
    parts: PartsOf,
    visitor: Annotated[Visitor, sending("rollouts:operate", asks_about=True)],
    rollout: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Let it run on."""
    demands = release.demands_of(parts, _seen(parts, visitor, rollout).id)

    def run_on(work: Work, rollout_id: str) -> Rollout:
        return service.resume(work, rollout_id, demands=demands)

    return _operate(parts, visitor, rollout, reason, "resumed", run_on, grows=True)


@router.post("/rollouts/{rollout}/abort")
def abort(
    parts: PartsOf,
    visitor: Annotated[Visitor, sending("rollouts:operate", asks_about=True)],
    rollout: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Take it back."""
    return _operate(parts, visitor, rollout, reason, "aborted", service.abort)


def read(
    reading: Reading, visitor: Visitor, rollout_id: str, demands: RolloutDemands
) -> RolloutPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such rollout, or it is another tenant's.
    """
    rollout = store.get(reading, rollout_id)
    visitor.demand_sight(rollout.tenant, "rollout")
    told = telling.timeline(reading, visitor, [rollout.id])
    return _standing(reading, visitor, rollout, demands, told)


def _moving(reading: Reading, parts: Parts, visitor: Visitor, rollout: Rollout) -> RolloutPage:
    """One that moves, without its history."""
    model = registry.model_named(reading, rollout.model)
    return _standing(reading, visitor, rollout, policy_of(parts, model)[0].rollout, ())


def _looked(reading: Reading, rollout: Rollout) -> bool:
    """Whether anybody has looked since the step was taken: the look that led to it is none."""
    found = ledger.entries(
        reading.connection, ref=rollout.id, kinds=_LOOKS, limit=1, newest_first=True
    )
    return bool(found) and found[0].kind == Judged.kind


def _standing(
    reading: Reading,
    visitor: Visitor,
    rollout: Rollout,
    demands: RolloutDemands,
    told: tuple[Line, ...],
) -> RolloutPage:
    """Where a rollout stands, what it has shown, and what can be done about it."""
    analysis = rollout.last_analysis
    why_not = _why_not(reading, rollout, visitor)
    return RolloutPage(
        rollout=rollout,
        rungs=tuple(
            Rung(percent, number < rollout.step or (number == rollout.step and rollout.observed),
                 percent)
            for number, percent in enumerate(rollout.steps)
        ),
        analysis=analysis,
        looked=_looked(reading, rollout),
        rules=tuple(_rule(rule) for rule in (analysis or {}).get("rules", ())),
        min_events=demands.min_events_per_step,
        hold=timedelta(hours=demands.min_hold_hours),
        on_step=reading.now - rollout.step_since,
        undecided_allowed=demands.max_inconclusive_looks,
        can=frozenset() if why_not else _possible(reading, rollout, visitor),
        why_not=why_not,
        timeline=told,
        now=reading.now,
    )  # fmt: skip


def _possible(reading: Reading, rollout: Rollout, visitor: Visitor) -> frozenset[str]:
    moves = MOVES[rollout.phase]
    possible = {"hold"} if Phase.HELD in moves else set()
    growth = about.rollout(reading, rollout, grows=True)
    if rollout.phase is Phase.HELD and visitor.actor.may("rollouts:operate", growth):
        possible.add("resume")
    if Phase.ROLLING_BACK in moves:
        possible.add("abort")
    return frozenset(possible)


def _why_not(reading: Reading, rollout: Rollout, visitor: Visitor) -> str | None:
    if rollout.settled:
        return f"it is {words.words(rollout.phase.value)}; nothing can move it any more"
    if not visitor.may("rollouts:operate"):
        return "your roles do not operate rollouts"
    if visitor.tenant is not None and rollout.tenant != visitor.tenant:
        return "it is for the whole fleet, and you answer for one tenant"
    if not visitor.actor.may("rollouts:operate", about.rollout(reading, rollout, grows=False)):
        return "your roles operate rollouts on conditions that this one does not fulfil"
    return None


def _rule(rule: Mapping[str, Any]) -> RuleRow:
    rate = rule["name"] == "false_positive_rate"
    low, high = rule["interval"] or (None, None)
    value, limit = rule["value"], float(rule["limit"])
    return RuleRow(
        name="false-positive rate" if rate else "ratio to the active version",
        value=words.share(value) if rate else _times(value),
        limit=words.share(limit, 1) if rate else _times(limit),
        interval=f"{words.share(low)} to {words.share(high)}" if rate and low is not None else None,
        gauge=Gauge(value, low, high, limit),
        harm=strength(_evidence(rule["against"]), float(rule["against_needed"])),
        health=strength(_evidence(rule["in_favour"]), float(rule["in_favour_needed"])),
        harmful=bool(rule["harmful"]),
        harmless=bool(rule["harmless"]),
    )


def strength(evidence: float, needed: float) -> str:
    """The evidence beside what is needed; far beyond it, only that it is."""
    if evidence > _FAR * needed:
        return f"over {_FAR} times the {needed:g} needed"
    if evidence >= 2 * needed:
        return f"{evidence / needed:.0f} times the {needed:g} needed"
    shown = f"{evidence:.0f}" if evidence >= 10 else f"{evidence:.2g}"
    return f"{shown} of the {needed:g} needed"


def _evidence(value: object) -> float:
    """An e-value; one too large for a number was written down as a word."""
    return float(value) if isinstance(value, int | float | str) else 0.0


def _times(value: object) -> str:
    return f"{value:.2f} times" if isinstance(value, int | float) else "unknown"


def _seen(parts: Parts, visitor: Visitor, rollout_id: str) -> Rollout:
    with parts.records.look() as reading:
        rollout = store.get(reading, rollout_id)
    visitor.demand_sight(rollout.tenant, "rollout")
    return rollout


def _operate(
    parts: Parts,
    visitor: Visitor,
    rollout_id: str,
    reason: str,
    done: str,
    verb: Callable[[Work, str], Rollout],
    *,
    grows: bool = False,
) -> Response:
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        rollout = store.get(work, rollout_id)
        visitor.demand_sight(rollout.tenant, "rollout")
        visitor.demand_say(rollout.tenant)
        moved = about.rollout(work, rollout, grows=grows)
        demand_grant(visitor.actor, "rollouts:operate", moved)
        verb(work, rollout_id)
    return see_other(words.path("rollouts", rollout_id) + f"?done={done}")
