"""Whatever is open has a moment at which somebody looks again, and that moment is kept."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Found


def nothing_waits_for_ever(look: Look) -> Iterator[Found]:
    """Every open rollout, remedy, retraining and request has a turn to come, and gets it."""
    pending = [row for row in look.approvals if row["phase"] == "pending"]
    open_ = [row for row in look.rollouts if row["phase"] not in ("promoted", "rolled_back")]
    for name, rows in (
        ("rollout", open_),
        ("remedy", look.open_remedies),
        ("retraining", look.open_retrainings),
        ("approval", pending),
    ):
        for row in rows:
            why = _stuck(look, row)
            if why is not None:
                yield Found(f"{name} {row['id']} is {row['phase']} and {why}", (row["id"],))


def _stuck(look: Look, row: sa.RowMapping) -> str | None:
    if row["due_at"] is None:
        return "nobody will look at it again"
    # A rollout whose share no gateway has taken up is looked at, again and again: `is_observed`.
    behind = row.get("intended_percent") != row.get("observed_percent")
    if look.waited_since is None or row["due_at"] > look.waited_since or behind:
        return None
    return f"has been due for {look.now - row['due_at']}"
