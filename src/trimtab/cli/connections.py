"""Commands about one connection: what its registry is to tell us, and its end."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from trimtab.cli.remote import Because, Json, Remote, asking, told

_PAUSE_SECONDS = 0.3

Name = Annotated[str, typer.Argument(help="Name or id of a connection.")]


@asking
def webhook(
    connection: Name,
    secret: Annotated[
        str | None,
        typer.Option(help="Believe messages that are signed with this secret: file:NAME."),
    ] = None,
    *,
    remote: Remote,
    reason: Because = "from the command line",
    as_json: Json = False,
) -> None:
    """What to register at an MLflow 3 server, so that it says when something happens there; and
    the secret that its messages are signed with."""
    from trimtab.cli.connecting import named
    from trimtab.cli.plane import plane

    with plane(remote) as found:
        client = found.client
        one = named(client, connection)
        if secret is not None:
            one = client.connections.change(one.id, webhook=secret, reason=reason)
    if as_json:
        print(json.dumps(one.webhook.model_dump(mode="json"), indent=2))
        return
    print(f"address  {told(one.webhook.url)}")
    print("events   " + "\n         ".join(one.webhook.events))
    if one.webhook.known:
        print("secret   the same as in the file that the connection names")
    else:
        print("secret   none yet: put one into a file, and name it with --secret file:NAME")
    if found.ours:
        print(
            "no control plane runs at this address when this command has ended: start trimtab "
            "serve, and ask again",
            file=sys.stderr,
        )
    elif not one.webhook.url.startswith("https://"):
        print("MLflow sends to https alone, unless it is set up for development", file=sys.stderr)


@asking
def disconnect(
    connection: Name,
    reason: Because,
    *,
    remote: Remote,
    as_json: Json = False,
) -> None:
    """Read a registry no more, for good: its versions count no more, and stay in the history."""
    from trimtab.cli.connecting import named, removed
    from trimtab.cli.plane import plane

    with plane(remote, work=True) as found:
        client = found.client
        there = any(connection in (one.id, one.name) for one in client.connections.list())
        before = None if there else removed(client, connection)
        one = before or client.connections.remove(named(client, connection).id, reason=reason)
        while found.ours and one.tally.versions:  # what was started for this ends with it
            time.sleep(_PAUSE_SECONDS)
            one = client.connections.get(one.id)
    if as_json:
        print(json.dumps(one.model_dump(mode="json"), indent=2))
        return
    assert one.removed_at is not None
    word = "was removed before, at" if before else "removed at"
    print(f"{told(one.name)} {word} {one.removed_at:%Y-%m-%d %H:%M} UTC: it is read no more")
    if one.tally.versions:
        print(f"{one.tally.versions} of its versions count still, and soon no more")
    print("what was known of its versions: trimtab inventory --removed")
