"""How tags of a registry are named, and what came of reading it, on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Most, Remote, asking, show_rows, told

Name = Annotated[str, typer.Argument(help="Name or id of a connection.")]


@asking
def naming(
    connection: Name,
    tag_map: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="First read tags by this file, YAML or JSON; an empty map is the shipped one.",
        ),
    ] = None,
    limit: Most = 100,
    *,
    remote: Remote,
    reason: Because = "from the command line",
    as_json: Json = False,
) -> None:
    """Tags of a registry that are not named or written alike; and by which map they are read."""
    from trimtab.cli.connecting import named
    from trimtab.cli.plane import plane
    from trimtab.policies.reading import read

    words = None if tag_map is None else read(tag_map.read_text("utf-8"), tag_map.name).data
    with plane(remote) as found:
        one = named(found.client, connection)
        if words is not None:
            found.client.connections.change(one.id, tag_map=words, reason=reason)
        rows = list(found.client.connections.lint(one.id))
    if not rows and not as_json:
        print("what its tags say is named and written alike")
        return
    show_rows(
        rows,
        (
            ("what", lambda r: r.sentence),
            ("field", lambda r: r.field),
            ("versions", lambda r: r.versions),
        ),
        as_json=as_json,
        limit=limit,
        prose=("what",),
    )


@asking
def syncs(
    connection: Name,
    limit: Most = 20,
    *,
    remote: Remote,
    as_json: Json = False,
) -> None:
    """What came of reading a registry, the last time first."""
    from trimtab.cli.connecting import named
    from trimtab.cli.plane import plane

    with plane(remote) as found:
        one = named(found.client, connection, past=True)
        rows = found.client.connections.syncs(one.id)
        show_rows(
            rows,
            (
                ("began", lambda s: f"{s.started_at:%Y-%m-%d %H:%M} UTC"),
                ("what", lambda s: s.scope if s.model is None else f"{s.scope} {told(s.model)}"),
                ("came to", lambda s: s.phase),
                ("seen", lambda s: s.counts.seen),
                ("added", lambda s: s.counts.added),
                ("changed", lambda s: s.counts.changed),
                ("removed", lambda s: s.counts.removed),
                ("not read", lambda s: s.counts.incomplete + s.counts.malformed),
                ("why", lambda s: s.reason),
            ),
            as_json=as_json,
            limit=limit,
            prose=("why",),
        )
