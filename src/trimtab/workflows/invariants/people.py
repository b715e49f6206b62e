"""Approvals: by distinct persons who had no hand in it, on checks that passed, and by no clock."""

from __future__ import annotations

from collections.abc import Iterator, Set

import sqlalchemy as sa

from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Found

_LIVING = ("approved", "production")


def approvers_are_distinct(look: Look) -> Iterator[Found]:
    """Every person has one vote, and nobody who asked for it or contributed has any."""
    for row in look.approvals:
        people = [vote["person"] for vote in row["votes"]]
        contributed, _, _ = look.contributors.get(row["version_id"], (set(), "", ""))
        barred = {*row["excluded"], *contributed, row["requested_person"]}
        if len(set(people)) < len(people):
            yield Found(f"somebody voted twice on approval {row['id']}", (row["id"],))
        for person in sorted(barred.intersection(people)):
            what = f"{person} had a hand in what approval {row['id']} is about, and voted on it"
            yield Found(what, (row["id"], person))


def approval_was_given(look: Look) -> Iterator[Found]:
    """What stands as approved was signed by as many as were asked, or met every criterion."""
    for row in look.approvals:
        if row["phase"] != "approved":
            continue
        if row["automatic"]:
            failed = [c["name"] for c in row["criteria"] if c.get("met") is not True]
            if failed or not row["criteria"]:
                what = f"approval {row['id']} was automatic, and not every criterion was met"
                yield Found(what, (row["id"],))
        elif not _signed(row):
            yield Found(f"approval {row['id']} stands with too few signatures", (row["id"],))
        elif not _in_time(row):
            yield Found(f"approval {row['id']} was given after its time had run out", (row["id"],))


def quorum_stood(look: Look) -> Iterator[Found]:
    """When exposure grew, enough of those who had signed were still here, and it was in time."""
    for entry in look.of_kind("deployment.moved"):
        data = entry.data or {}
        grew = not data["percent_after"] <= data["percent_before"]
        # To go back to what was stable in a place needs no quorum of today.
        if not grew or data["before"] not in (None, "canary"):
            continue
        permit = look.permits.get(data["permit"])
        row = None if permit is None else look.used_approvals.get(permit["approval"])
        if row is None:
            continue
        grown = f"{data['model']} {data['version']} grew in entry {entry.sequence}"
        left = {p for p, gone in look.gone.items() if gone.sequence < entry.sequence}
        if not row["automatic"] and not _signed(row, without=left):
            yield Found(f"{grown}, and too few who signed were still here", (row["id"],))
        if row["due_at"] is not None and row["due_at"] <= entry.at:
            yield Found(f"{grown}, when its approval had run out", (row["id"],))


def _signed(row: sa.RowMapping, without: Set[str] = frozenset()) -> bool:
    yes = [v for v in row["votes"] if v["approve"] and v["person"] not in without]
    by_role = [
        len({vote["person"] for vote in yes if vote["role"] == step["role"]}) >= step["people"]
        for step in row["steps"]
    ]
    no = not all(vote["approve"] for vote in row["votes"])
    enough = len({vote["person"] for vote in yes}) >= row["min_people"]
    return bool(row["steps"]) and all(by_role) and enough and not no


def _in_time(row: sa.RowMapping) -> bool:
    decided = row["decided_at"]
    return decided is not None and (row["due_at"] is None or bool(decided < row["due_at"]))


def checks_have_passed(look: Look) -> Iterator[Found]:
    """What is approved has passed each of its checks when it was last run, on the same bytes."""
    for row in look.approvals:
        _, digest, lifecycle = look.contributors.get(row["version_id"], (set(), "", ""))
        if row["phase"] != "approved" or lifecycle not in _LIVING:
            continue
        runs = [r for r in look.newest_checks.get(row["version_id"], []) if r["digest"] == digest]
        if not runs:
            yield Found(f"approval {row['id']} stands, and nothing was checked", (row["id"],))
        if digest != row["target"]["digest"]:
            yield Found(f"approval {row['id']} stands for other bytes", (row["id"],))
        for run in runs:
            if run["verdict"] != "pass":
                what = f"approval {row['id']} stands, and {run['name']} is {run['verdict']}"
                yield Found(what, (row["id"], run["id"]))


def votes_are_persons(look: Look) -> Iterator[Found]:
    """A vote is entered by the person whose it is: no clock and no machine ever says yes."""
    for entry in look.of_kind("approval.voted"):
        person = (entry.data or {})["person"]
        if person != entry.actor:
            what = f"entry {entry.sequence} is a vote of {person}, entered by {entry.actor}"
            yield Found(what, (entry.subject,))
