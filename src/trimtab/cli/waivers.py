"""Commands about waivers: gaps that somebody answers for, until a day."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Most, asker, noun, show_one, show_rows

waivers = noun("waivers", "Waivers: gaps by the rules that somebody answers for, until a day.")


@waivers.command("list")
def list_waivers(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Those that have ended, too; oldest first.")
    ] = False,
    limit: Most = 100,
    as_json: Json = False,
) -> None:
    """Gaps that somebody answers for now, newest first."""
    from trimtab.cli.plane import plane

    with plane(asker(context)) as found:
        show_rows(
            found.client.compliance.waivers(in_force=not every),
            (
                ("id", lambda w: w.id),
                ("rule", lambda w: w.rule),
                ("model", lambda w: w.model),
                ("version", lambda w: "every" if w.version is None else w.version),
                ("until", lambda w: f"{w.expires_at:%Y-%m-%d %H:%M} UTC"),
                ("ended", lambda w: f"{w.revoked_at:%Y-%m-%d}" if w.revoked_at else ""),
                ("by", lambda w: w.granted_by),
                ("reason", lambda w: w.reason),
            ),
            as_json=as_json,
            limit=limit,
            prose=("model", "reason"),
        )


@waivers.command("grant")
def grant(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="The rule that has the gap, as owner-named.")],
    model: Annotated[str, typer.Argument(help="Name of the model in its registry.")],
    version: Annotated[int, typer.Argument(help="Number of a version that has the gap.")],
    until: Annotated[
        str, typer.Option(help="Its last day, UTC, as 2026-11-03; or a moment with its offset.")
    ],
    reason: Because,
    whole_model: Annotated[
        bool, typer.Option("--whole-model", help="For every version of the model.")
    ] = False,
    connection: Annotated[str | None, typer.Option(help="Name or id of a connection.")] = None,
    as_json: Json = False,
) -> None:
    """Answer for a gap until a day. It takes the role compliance or legal."""
    from trimtab.cli.inventoried import Which
    from trimtab.cli.plane import plane

    ends = _end(until)
    with plane(asker(context)) as found:
        made = found.client.compliance.waive(
            Which(model, version, connection).id(found.client),
            rule,
            expires_at=ends,
            whole_model=whole_model,
            reason=reason,
        )
    show_one(made, as_json=as_json)


@waivers.command("end")
def end(
    context: typer.Context,
    waiver: Annotated[str, typer.Argument(help="Id of the waiver: wav_...")],
    reason: Because,
    as_json: Json = False,
) -> None:
    """Let a waiver count no more: what it was about is a gap again."""
    from trimtab.cli.plane import plane

    with plane(asker(context)) as found:
        show_one(found.client.compliance.revoke(waiver, reason=reason), as_json=as_json)


def _end(until: str) -> datetime:
    from trimtab.kernel.clock import parse_end
    from trimtab.kernel.errors import InvalidInput

    try:
        return parse_end(until)
    except ValueError:
        raise InvalidInput(
            f"{ascii(until)[:60]} is no day",
            field="--until",
            remedy="write the last day of the waiver, such as 2026-11-03",
        ) from None
