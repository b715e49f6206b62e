"""Commands about incidents."""

from __future__ import annotations

from typing import Annotated

import typer

from trimtab.cli.remote import Json, Most, connected, noun, show_one, show_rows

incidents = noun("incidents", "Incidents: what broke, and why.")

Incident = Annotated[str, typer.Argument(help="Id of the incident: inc-...")]


@incidents.command("list")
def list_incidents(
    context: typer.Context,
    all_of_them: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    limit: Most = 100,
    as_json: Json = False,
) -> None:
    """Incidents, newest first: those that are open, or all."""
    with connected(context) as client:
        show_rows(
            client.monitoring.incidents(all_of_them=all_of_them, model=model),
            (
                ("id", lambda i: i.id),
                ("model", lambda i: i.model),
                ("tenant", lambda i: i.tenant),
                ("severity", lambda i: i.severity),
                ("phase", lambda i: i.phase),
                ("detected", lambda i: i.detected_at),
                ("title", lambda i: i.title),
            ),
            as_json=as_json,
            limit=limit,
            prose=("title",),
        )


@incidents.command("show")
def show_incident(context: typer.Context, incident: Incident, as_json: Json = False) -> None:
    """One incident, with its timeline."""
    with connected(context) as client:
        show_one(client.monitoring.incident(incident), as_json=as_json)


@incidents.command("cause")
def cause(context: typer.Context, incident: Incident, as_json: Json = False) -> None:
    """What broke, with the evidence for and against."""
    with connected(context) as client:
        show_one(client.monitoring.root_cause(incident), as_json=as_json)
