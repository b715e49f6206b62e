"""The commands of `trimtab`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from trimtab.cli.approvals import approvals
from trimtab.cli.connections import disconnect, webhook
from trimtab.cli.incidents import incidents
from trimtab.cli.inventory import compliance, connect, connections, inventory, record, sync
from trimtab.cli.models import models, versions
from trimtab.cli.naming import naming, syncs
from trimtab.cli.rollouts import rollouts
from trimtab.cli.waivers import waivers
from trimtab.kernel import garbage

PANELS = {
    "Begin": ("demo", "drift", "profile", "serve"),
    "Registries that you have": (
        "connect",
        "inventory",
        "record",
        "compliance",
        "waivers",
        "sync",
        "connections",
        "syncs",
        "naming",
        "webhook",
        "disconnect",
    ),
    "Models": ("models", "versions", "approvals", "rollouts", "incidents"),
    "The control plane": (
        "health",
        "token",
        "config",
        "policy",
        "audit",
        "work",
        "gateway",
        "migrate",
    ),
}
"""The commands in the order in which one comes to need them."""


class InPanels(TyperGroup):
    """Commands that help shows as `PANELS` has them; one that it forgot is shown all the same."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        there, self.commands = self.commands, {}
        for panel, names in PANELS.items():
            for name in names:
                command = self.commands[name] = there.pop(name)
                assert isinstance(command, TyperCommand | TyperGroup)
                command.rich_help_panel = panel
        self.commands |= there


app = typer.Typer(
    name="trimtab",
    cls=InPanels,
    help="Decide which model may carry production traffic, watch it, explain it, repair it, "
    "and prove every decision.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config = typer.Typer(help="Settings: what they are and where they come from.")
audit = typer.Typer(help="The audit ledger: verify it, export it.")
policy = typer.Typer(help="Policies: what is demanded of each tier.")
app.add_typer(config, name="config")
app.add_typer(audit, name="audit")
app.add_typer(policy, name="policy")
for noun in (connect, waivers, models, versions, approvals, rollouts, incidents):
    app.add_typer(noun)
for command in (
    *(sync, connections, syncs, naming, webhook, disconnect),
    *(inventory, record, compliance),
):
    app.command()(command)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@app.command()
def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End when the story is over; else the pages stay open.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="File for the report, as JSON.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the pages; else a free one.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another draw of the traffic.")] = None,
    fault_month: Annotated[int | None, typer.Option(help="Month of the fault, 3 to 12.")] = None,
    fault_feature: Annotated[str | None, typer.Option(help="Feature that it is in.")] = None,
    fault_factor: Annotated[float | None, typer.Option(help="Factor, as 1.609344.")] = None,
    home: Annotated[Path | None, typer.Option(help="An empty folder to use, and to keep.")] = None,
) -> None:
    """Play the whole story on real data, live, in a few minutes."""
    from trimtab.cli.demo import play

    code = play(
        stay=not leave,
        report=report,
        port=port,
        seed=seed,
        home=home,
        fault_month=fault_month,
        fault_feature=fault_feature,
        fault_factor=fault_factor,
    )
    raise typer.Exit(code)


@app.command()
def drift(
    reference: Annotated[str, typer.Argument(help="The table when all was well.")],
    current: Annotated[str, typer.Argument(help="The table now: file, folder, profile, address.")],
    features: Annotated[str | None, typer.Option(help="Only these columns: a,b.")] = None,
    policy_name: Annotated[
        str, typer.Option("--policy", help="Preset, or a file: where the limits come from.")
    ] = "standard",
    tier: Annotated[int, typer.Option(min=1, max=4, help="Risk tier; 1 is the highest.")] = 1,
    by: Annotated[str | None, typer.Option(help="Compare each value of this column apart.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of time, for --window.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Compare window by window: 1d, 12h, 1w, or 200 rows.")
    ] = None,
    sensitivity: Annotated[str, typer.Option(help="low, medium or high.")] = "medium",
    algorithms: Annotated[
        str,
        typer.Option(
            help="Detectors that vote: all, or some of ks,psi,wasserstein,adwin,page_hinkley,ddm."
        ),
    ] = "all",
    quorum: Annotated[
        float | None, typer.Option(min=0.1, help="Votes that confirm; else the policy's.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="File for all numbers; - prints them.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="File for a report with pictures, to send around.")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use; else all.")] = None,
) -> None:
    """Has the data moved? Exit 0: no, 1: yes, 3: too little to tell, 2: cannot be compared.

    A column has MOVED when a change matters and chance cannot explain it: "of limit" is 1 where \
it begins to matter. A FINDING is what a count shows: lost values, new or vanished categories, a \
column that is stuck. D is the largest difference, over all values, in the share of rows above a \
value.

    trimtab drift reference.parquet current.parquet --html report.html

    trimtab drift reference.csv current.csv --time day --window 1w
    """
    from trimtab.cli.drift import Asked
    from trimtab.cli.drift import drift as run

    asked = Asked(
        reference=reference,
        current=current,
        features=features,
        policy=policy_name,
        tier=tier,
        by=by,
        time=time,
        window=window,
        sensitivity=sensitivity,
        algorithms=algorithms,
        quorum=quorum,
        json=as_json,
        html=html,
        cores=cores,
    )
    raise typer.Exit(run(asked))


@app.command()
def profile(
    source: Annotated[str, typer.Argument(help="A table: file, folder, address.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    like: Annotated[
        str | None, typer.Option(help="Count like this table or profile: exact when compared.")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use; else all.")] = None,
) -> None:
    """Keep what drift needs of a table: small, and without its rows."""
    from trimtab.cli.drift import keep

    keep(source, output, like=like, cores=cores)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    no_work: Annotated[
        bool, typer.Option("--no-work", help="Only interface and pages: see `trimtab work`.")
    ] = False,
) -> None:
    """Run the control plane: interface, pages and all work in one process."""
    with garbage.loading():
        from trimtab.worker import serve as run

    raise typer.Exit(run(port=port, work=not no_work))


@app.command()
def work(
    role: Annotated[
        list[str] | None,
        typer.Option(help="release, watch, repair or gate; may be repeated. Default: all."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for /health and /metrics.")
    ] = None,
) -> None:
    """Do the work of an installation on PostgreSQL, beside `trimtab serve --no-work`."""
    with garbage.loading():
        from trimtab.worker import work as run

    raise typer.Exit(run(role or [], port=port))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def gateway(context: typer.Context) -> None:
    """Run the serving process; its options are those of python -m trimtab.gateway."""
    import os

    from trimtab.gateway.__main__ import main

    raise typer.Exit(main(context.args, os.environ))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from trimtab.platform import migrate as migrations
    from trimtab.platform.database import Database
    from trimtab.platform.settings import load_settings

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    run = migrations.upgrade(Database(settings.database()))
    typer.echo("ran " + ", ".join(run) if run else "nothing to do: the schema is the newest")


@app.command()
def token(
    email: Annotated[str, typer.Option(help="Whose token.")] = "admin@localhost",
) -> None:
    """A short-lived token for the local interface, for whoever may read its keys."""
    from trimtab.cli.local import local_token

    typer.echo(local_token(email))


@app.command()
def health(
    url: Annotated[str, typer.Option(help="Address of the control plane.")] = "",
    as_json: Json = False,
) -> None:
    """Ask the running control plane how it is; exit 1 if it is not healthy."""
    from trimtab.cli.local import show_health

    raise typer.Exit(0 if show_health(url, as_json=as_json) else 1)


@config.command("explain")
def config_explain(as_json: Json = False) -> None:
    """Every setting: its value, where it comes from, what it means."""
    from trimtab.cli.local import show_settings

    show_settings(as_json=as_json)


@audit.command("verify")
def audit_verify(
    export: Annotated[
        Path | None, typer.Argument(help="An export to verify offline; else the live ledger.")
    ] = None,
    key: Annotated[str, typer.Option(help="The verifier key that you know from elsewhere.")] = "",
    head: Annotated[
        list[Path] | None,
        typer.Option(
            help="A signed head that you have kept elsewhere; may stand there again.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify the ledger; exit 1 if anything is not as it must be."""
    from trimtab.cli.ledger import verify_export, verify_live

    good = (
        verify_live(head or [], as_json=as_json)
        if export is None
        else verify_export(export, key or None, head or [], as_json=as_json)
    )
    raise typer.Exit(0 if good else 1)


@audit.command("invariants")
def audit_invariants(as_json: Json = False) -> None:
    """Look whether the records are as they must be; exit 1 if anything is not."""
    from trimtab.cli.ledger import check_invariants

    raise typer.Exit(0 if check_invariants(as_json=as_json) else 1)


@audit.command("export")
def audit_export(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    tenant: Annotated[str, typer.Option(help="Only this tenant's entries, with proofs.")] = "",
) -> None:
    """Write the ledger as JSON Lines, for an independent verifier."""
    from trimtab.cli.ledger import write_export

    entries = write_export(output, tenant or None)
    typer.echo(f"{entries} entries written to {output}")


@policy.command("explain")
def policy_explain(
    name: Annotated[str, typer.Argument(help="Name of a preset, or a file.")] = "standard",
    tier: Annotated[int, typer.Option(min=1, max=4, help="Risk tier; 1 is the highest.")] = 1,
    as_json: Json = False,
) -> None:
    """Every number that a policy demands of a tier, with its unit and its meaning."""
    from trimtab.cli.local import show_policy

    show_policy(name, tier, as_json=as_json)
