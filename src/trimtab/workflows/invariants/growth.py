"""Exposure grows by the ladder of its rollout, each step on evidence, and goes back to nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from trimtab.audit.ledger import Entry
from trimtab.kernel.clock import iso
from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Found


def rests_on_evidence(look: Look) -> Iterator[Found]:
    """Each step forward was intended on a verdict of pass, over outcomes that are known."""
    by_id = {row["id"]: row for row in look.rollouts}
    for entry in look.of_kind("rollout.step_intended"):
        analysis = (entry.data or {}).get("analysis")
        why = "without an analysis" if analysis is None else _not_evidence(analysis)
        rollout = by_id.get(entry.subject)
        if why is None and rollout is not None and analysis is not None:
            why = _too_little(look, rollout, analysis)
        if why is not None:
            what = f"a step forward was intended in entry {entry.sequence} {why}"
            yield Found(what, (entry.subject,))


def _not_evidence(analysis: dict[str, Any]) -> str | None:
    if analysis["verdict"] != "pass":
        return f"on a verdict of {analysis['verdict']}"
    if not analysis["canary_negatives"] > 0:
        return "without one known outcome"
    if not analysis["rules"]:
        return "by no rule"
    for rule in analysis["rules"]:
        numbers = (rule["against"], rule["in_favour"])
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            return f"by {rule['name']}, whose evidence is no number"
        if not rule["in_favour"] >= rule["in_favour_needed"]:
            return f"although {rule['name']} was not shown to be kept"
    return None


def _too_little(look: Look, rollout: sa.RowMapping, analysis: dict[str, Any]) -> str | None:
    demands = look.demands(rollout["model"], rollout["policy_digest"])
    if demands is None or analysis["step_events"] >= demands.rollout.min_events_per_step:
        return None
    return f"on {analysis['step_events']} outcomes of that step"


def follows_its_ladder(look: Look) -> Iterator[Found]:
    """A canary has a share of its open rollout; each growth is the next step of it."""
    for row in look.carrying:
        if row["state"] == "canary" and not _belongs(look, row):
            yield Found(
                f"{row['model']} {row['version']} is a canary of {row['percent']:g} % and no open "
                "rollout has reached that share",
                (row["id"],),
            )
    for entry in look.of_kind("deployment.moved"):
        data = entry.data or {}
        grew = not data["percent_after"] <= data["percent_before"]
        if grew and data["before"] in (None, "canary") and not _next_step(look, entry):
            yield Found(
                f"{data['model']} {data['version']} grew from {data['percent_before']:g} to "
                f"{data['percent_after']:g} % in entry {entry.sequence}, which is no step of it",
                (entry.subject,),
            )


def _belongs(look: Look, row: sa.RowMapping) -> bool:
    return any(
        rollout["version_id"] == row["version_id"]
        and rollout["phase"] not in ("promoted", "rolled_back")
        and row["percent"] in rollout["steps"][: rollout["step"] + 1]
        for rollout in look.rollouts
    )


def _next_step(look: Look, entry: Entry) -> bool:
    data = entry.data or {}
    for rollout in look.rollouts:
        same = (rollout["model"], rollout["version"]) == (data["model"], data["version"])
        if not (same and rollout["tenant"] == entry.tenant):
            continue
        steps = [0.0, *rollout["steps"]]
        if (data["percent_before"], data["percent_after"]) in pairwise(steps):
            return True
    return False


def goes_back_to_nothing(look: Look) -> Iterator[Found]:
    """What was rolled back carries no traffic; nothing is intended where a rollout ends."""
    for rollout in look.rollouts:
        ended = rollout["phase"] in ("rolling_back", "rolled_back")
        if ended and rollout["intended_percent"] != 0:
            yield Found(
                f"{rollout['model']} {rollout['version']} is {rollout['phase']}, and "
                f"{rollout['intended_percent']:g} % are intended for it",
                (rollout["id"],),
            )
        if rollout["phase"] == "rolled_back" and rollout["observed_percent"] != 0:
            yield Found(
                f"{rollout['model']} {rollout['version']} counts as rolled back, and "
                f"{rollout['observed_percent']:g} % were observed",
                (rollout["id"],),
            )


def is_observed(look: Look) -> Iterator[Found]:
    """What was intended is what gateways serve, by the next daily check at the latest."""
    for rollout in look.rollouts:
        behind = rollout["intended_percent"] != rollout["observed_percent"]
        if rollout["phase"] in ("promoted", "rolled_back") or not behind:
            continue
        # Nothing moves this moment on before what is intended has been observed.
        since = rollout["due_at"]
        if look.waited_since is not None and since is not None and since <= look.waited_since:
            yield Found(
                f"{rollout['model']} {rollout['version']}: {rollout['intended_percent']:g} % are "
                f"intended and {rollout['observed_percent']:g} % observed, since {iso(since)}",
                (rollout["id"],),
            )
