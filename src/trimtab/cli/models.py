"""Commands about models and their versions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Most, connected, given, noun, show_one, show_rows

models = noun("models", "Models: what is registered, and where it carries traffic.")
versions = noun("versions", "Versions of a model: look at them, hand one in.")

Model = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[str, typer.Argument(help="Semantic version, or its number.")]
AsOf = Annotated[
    str | None, typer.Option(help="As it stood then: a moment such as 2015-03-01T00:00:00Z.")
]


def moment(text: str | None) -> datetime | None:
    """A moment as it was written, with its offset.

    Raises:
        InvalidInput: it is none.
    """
    from trimtab.kernel.errors import InvalidInput

    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{ascii(text)[:60]} is no moment",
            field="as_of",
            remedy="write it with its offset, such as 2015-03-01T00:00:00Z",
        ) from None


@models.command("list")
def list_models(
    context: typer.Context, as_of: AsOf = None, limit: Most = 100, as_json: Json = False
) -> None:
    """Models by name, each with its newest version."""
    with connected(context) as client:
        show_rows(
            client.models.list(as_of=moment(as_of)),
            (
                ("name", lambda m: m.name),
                ("owner", lambda m: m.owner),
                ("tier", lambda m: m.tier),
                ("newest", lambda m: m.newest_version),
                ("status", lambda m: m.newest_status),
                ("carries", lambda m: ", ".join(f"{p.version} {p.state}" for p in m.deployed_to)),
            ),
            as_json=as_json,
            limit=limit,
            prose=("owner", "carries"),
        )


@models.command("show")
def show_model(
    context: typer.Context, model: Model, as_of: AsOf = None, as_json: Json = False
) -> None:
    """One model."""
    with connected(context) as client:
        show_one(client.models.get(model, as_of=moment(as_of)), as_json=as_json)


@versions.command("list")
def list_versions(
    context: typer.Context,
    model: Model,
    as_of: AsOf = None,
    limit: Most = 100,
    as_json: Json = False,
) -> None:
    """Versions of a model, oldest first."""
    with connected(context) as client:
        show_rows(
            client.models.versions(model, as_of=moment(as_of)),
            (
                ("version", lambda v: v.version),
                ("number", lambda v: v.number),
                ("tenant", lambda v: v.tenant),
                ("status", lambda v: v.status),
                ("signed", lambda v: v.is_signed),
                (
                    "carries",
                    lambda v: ", ".join(f"{p.environment} {p.state}" for p in v.deployments),
                ),
                ("held because", lambda v: v.held_because),
            ),
            as_json=as_json,
            limit=limit,
            prose=("carries", "held because"),
        )


@versions.command("show")
def show_version(
    context: typer.Context,
    model: Model,
    version: Version,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """One version, and all that is known of it."""
    with connected(context) as client:
        found = client.models.version(model, version, as_of=moment(as_of))
        show_one(found, as_json=as_json)


@versions.command("upload")
def upload(
    context: typer.Context,
    model: Model,
    version: Annotated[str, typer.Argument(help="Semantic version that it is to have.")],
    artifact: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The model, ONNX.")],
    reference: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Training rows, Parquet.")
    ],
    holdout: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Rows to check on, Parquet.")
    ],
    cutoff: Annotated[float, typer.Option(min=0.0, max=1.0, help="From where on it is a yes.")],
    reason: Because,
    parent: Annotated[str | None, typer.Option(help="Version that it comes from.")] = None,
    as_json: Json = False,
) -> None:
    """Hand in a version: a model and two tables. Checks start by themselves."""
    from trimtab.sdk import shapes

    new = given(
        context,
        shapes.NewVersion,
        version=version,
        cutoff=cutoff,
        parent=parent,
        reason=reason,
    )
    with connected(context) as client:
        made = client.models.upload(
            model,
            new,
            artifact=artifact.read_bytes(),
            reference=reference.read_bytes(),
            holdout=holdout.read_bytes(),
        )
    show_one(made, as_json=as_json)
