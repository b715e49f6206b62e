"""Commands about rollouts."""

from __future__ import annotations

from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Most, connected, noun, show_one, show_rows

rollouts = noun("rollouts", "Rollouts: what is moving, and taking hold of it.")

Rollout = Annotated[str, typer.Argument(help="Id of the rollout: rol_...")]


@rollouts.command("list")
def list_rollouts(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    limit: Most = 100,
    as_json: Json = False,
) -> None:
    """Rollouts, newest first."""
    with connected(context) as client:
        show_rows(
            client.rollouts.list(model=model),
            (
                ("id", lambda r: r.id),
                ("model", lambda r: r.model),
                ("version", lambda r: r.version),
                ("tenant", lambda r: r.tenant),
                ("phase", lambda r: r.phase),
                ("intended", lambda r: f"{r.intended_percent:g} %"),
                ("observed", lambda r: f"{r.observed_percent:g} %"),
                ("outcome", lambda r: r.outcome_reason),
            ),
            as_json=as_json,
            limit=limit,
            prose=("outcome",),
        )


@rollouts.command("show")
def show_rollout(context: typer.Context, rollout: Rollout, as_json: Json = False) -> None:
    """One rollout, with its last analysis."""
    with connected(context) as client:
        show_one(client.rollouts.get(rollout), as_json=as_json)


@rollouts.command("start")
def start(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[str, typer.Argument(help="An approved version of it.")],
    reason: Because,
    as_json: Json = False,
) -> None:
    """Release an approved version."""
    with connected(context) as client:
        show_one(client.rollouts.start(model, version, reason=reason), as_json=as_json)


@rollouts.command("hold")
def hold(context: typer.Context, rollout: Rollout, reason: Because, as_json: Json = False) -> None:
    """Freeze traffic where it stands. Safe to repeat."""
    with connected(context) as client:
        show_one(client.rollouts.hold(rollout, reason=reason), as_json=as_json)


@rollouts.command("resume")
def resume(
    context: typer.Context, rollout: Rollout, reason: Because, as_json: Json = False
) -> None:
    """Let a held rollout run on. Safe to repeat."""
    with connected(context) as client:
        show_one(client.rollouts.resume(rollout, reason=reason), as_json=as_json)


@rollouts.command("abort")
def abort(context: typer.Context, rollout: Rollout, reason: Because, as_json: Json = False) -> None:
    """Take a rollout back for good. Safe to repeat."""
    with connected(context) as client:
        show_one(client.rollouts.abort(rollout, reason=reason), as_json=as_json)
