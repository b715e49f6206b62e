"""Commands about other registries: connect one, read it, look at what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Most, Remote, asking

connect = typer.Typer(
    name="connect",
    help="Read a registry that you have. Nothing is ever written to it.",
    no_args_is_help=True,
)

AsOf = Annotated[
    str | None, typer.Option(help="As it stood then: a moment such as 2026-11-03T00:00:00Z.")
]
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for files to be looked into; 0: not at all.")
]


@connect.command("mlflow")
@asking
def connect_mlflow(
    address: Annotated[
        str, typer.Argument(envvar="MLFLOW_TRACKING_URI", help="The MLflow server.")
    ],
    name: Annotated[str | None, typer.Option(help="What to call it here.")] = None,
    login: Annotated[
        bool | None,
        typer.Option(
            "--login/--no-login",
            help="Log in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; or, where a "
            "connection did, no more.",
        ),
    ] = None,
    username: Annotated[
        str | None, typer.Option(help="Reference to the user name, as file:NAME.")
    ] = None,
    password: Annotated[
        str | None, typer.Option(help="Reference to the password, as file:NAME.")
    ] = None,
    bearer: Annotated[
        str | None,
        typer.Option(help="Reference to a token: env:MLFLOW_TRACKING_TOKEN, or file:NAME."),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="A header and a reference: X-Team=file:NAME.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A network that is not public and may be reached, as 10.2.0.0/16."),
    ] = None,
    wait: Wait = 20.0,
    *,
    remote: Remote,
    reason: Because = "connected from the command line",
    as_json: Json = False,
) -> None:
    """Read an MLflow server: its models, versions, runs and files, as an inventory with owners,
    gaps and evidence. Exit 0 if all of it was read, 3 if a part could not be, 2 if it cannot be
    read. To repeat it reads what has changed since."""
    from trimtab.cli.connecting import Wanted, connect_registry

    wanted = Wanted(
        address,
        name,
        login=login,
        username=username,
        password=password,
        bearer=bearer,
        headers=header or [],
        networks=network or [],
    )
    raise typer.Exit(connect_registry(remote, wanted, wait, reason, as_json=as_json))


@asking
def sync(
    connection: Annotated[
        str | None, typer.Argument(help="Name or id of a connection; else all of them.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything anew.")] = False,
    wait: Wait = 20.0,
    *,
    remote: Remote,
    reason: Because = "asked from the command line",
    as_json: Json = False,
) -> None:
    """Read connected registries now. Exit 0 if all was read, 3 if a part could not be, 2 if
    nothing could."""
    from trimtab.cli.connecting import sync_registries

    code = sync_registries(remote, connection, wait, reason, full=full, as_json=as_json)
    raise typer.Exit(code)


@asking
def inventory(
    connection: Annotated[str | None, typer.Option(help="Name or id of a connection.")] = None,
    text: Annotated[str | None, typer.Option(help="A part of the model's name.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="development, staging, production or archived.")
    ] = None,
    gap: Annotated[str | None, typer.Option(help="Only with a gap by this rule.")] = None,
    inspection: Annotated[
        str | None, typer.Option(help="clean, suspicious, malicious, unreadable or none.")
    ] = None,
    without_owner: Annotated[bool, typer.Option("--without-owner")] = False,
    incomplete: Annotated[bool, typer.Option("--incomplete")] = False,
    removed: Annotated[
        bool, typer.Option("--removed", help="What registries have no more.")
    ] = False,
    as_of: AsOf = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A file instead: .csv, .json or .parquet."),
    ] = None,
    limit: Most = 100,
    *,
    remote: Remote,
    as_json: Json = False,
) -> None:
    """What connected registries hold, now or as it was."""
    from trimtab.cli.connecting import Filters
    from trimtab.cli.inventoried import export, show
    from trimtab.cli.models import moment

    filters = Filters(
        connection=connection,
        text=text,
        stage=stage,
        gap=gap,
        inspection=inspection,
        without_owner=without_owner,
        incomplete=incomplete,
        removed=removed,
        as_of=moment(as_of),
    )
    if output is not None:
        export(remote, filters, output)
    else:
        show(remote, filters, limit=limit, as_json=as_json)


@asking
def record(
    model: Annotated[str, typer.Argument(help="Name of the model in its registry.")],
    version: Annotated[int, typer.Argument(help="Number of the version.")],
    connection: Annotated[str | None, typer.Option(help="Name or id of a connection.")] = None,
    as_of: AsOf = None,
    card: Annotated[
        Path | None,
        typer.Option(help="Write its model card here: .html, .pdf, .json or .cdx.json."),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="What happened to it, newest first.")
    ] = False,
    lineage: Annotated[
        bool, typer.Option("--lineage", help="What it comes from, and leads to.")
    ] = False,
    *,
    remote: Remote,
    as_json: Json = False,
) -> None:
    """One version that a registry holds: every field, and where it was read."""
    from trimtab.cli.inventoried import Which, show_history, show_record, write_card
    from trimtab.cli.models import moment

    which = Which(model, version, connection, moment(as_of))
    if card is not None:
        write_card(remote, which, card)
    elif lineage:
        from trimtab.cli.lineages import show_lineage

        show_lineage(remote, which, as_json=as_json)
    elif history:
        show_history(remote, which, as_json=as_json)
    else:
        show_record(remote, which, as_json=as_json)


@asking
def compliance(
    preview: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Rules instead: say only what they would change."
        ),
    ] = None,
    rulebook: Annotated[
        bool, typer.Option("--rulebook", help="Print the rules that are shipped, to edit them.")
    ] = False,
    *,
    remote: Remote,
    as_json: Json = False,
) -> None:
    """How the inventory stands by the rules, or what other rules would change."""
    from trimtab.cli.inventoried import show_preview, show_standing
    from trimtab.inventory.rulebook import default_text

    if rulebook:
        print(default_text(), end="")
    elif preview is not None:
        show_preview(remote, preview, as_json=as_json)
    else:
        show_standing(remote, as_json=as_json)


@asking
def connections(
    pause: Annotated[str | None, typer.Option(help="Read this one no more.")] = None,
    resume: Annotated[str | None, typer.Option(help="Read this one again.")] = None,
    *,
    remote: Remote,
    reason: Because = "from the command line",
    as_json: Json = False,
) -> None:
    """Registries that are connected, how reading them goes; pause or resume one."""
    from trimtab.cli.inventoried import show_connections

    show_connections(remote, pause=pause, resume=resume, reason=reason, as_json=as_json)
