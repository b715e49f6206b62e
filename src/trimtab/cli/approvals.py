"""Commands about requests for approval."""

from __future__ import annotations

from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Most, connected, noun, show_one, show_rows
from trimtab.cli.tables import short

approvals = noun("approvals", "Requests for approval: what waits, and deciding.")

Approval = Annotated[str, typer.Argument(help="Id of the request: apr_...")]


@approvals.command("list")
def list_approvals(
    context: typer.Context,
    phase: Annotated[str | None, typer.Option(help="Only those in this phase: pending.")] = None,
    limit: Most = 100,
    as_json: Json = False,
) -> None:
    """Requests, newest first; `show` and `--json` have the whole of a digest."""
    with connected(context) as client:
        show_rows(
            client.approvals.list(phase=phase),
            (
                ("id", lambda a: a.id),
                ("model", lambda a: a.target.model),
                ("version", lambda a: a.target.version),
                ("phase", lambda a: a.phase),
                ("needs", lambda a: ", ".join(f"{s.people} {s.role}" for s in a.steps)),
                ("votes", lambda a: len(a.votes)),
                ("digest", lambda a: short(a.target.digest)),
            ),
            as_json=as_json,
            limit=limit,
            prose=("needs",),
        )


@approvals.command("show")
def show_approval(context: typer.Context, approval: Approval, as_json: Json = False) -> None:
    """One request, with its votes."""
    with connected(context) as client:
        show_one(client.approvals.get(approval), as_json=as_json)


@approvals.command("vote")
def vote(
    context: typer.Context,
    approval: Approval,
    digest: Annotated[str, typer.Option(help="Digest of the bytes that you looked at.")],
    reason: Because,
    approve: Annotated[
        bool, typer.Option("--approve/--reject", help="Yes or no; one has to be said.")
    ],
    as_json: Json = False,
) -> None:
    """Say yes or no to exactly these bytes; others are a conflict."""
    with connected(context) as client:
        made = client.approvals.vote(approval, approve=approve, digest=digest, reason=reason)
    show_one(made, as_json=as_json)


@approvals.command("withdraw")
def withdraw(
    context: typer.Context, approval: Approval, reason: Because, as_json: Json = False
) -> None:
    """Take back a request for a version of one's own."""
    with connected(context) as client:
        show_one(client.approvals.withdraw(approval, reason=reason), as_json=as_json)
