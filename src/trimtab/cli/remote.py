"""What the commands that ask a control plane share: who asks, where, and how it is shown."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trimtab.cli.tables import show_table

if TYPE_CHECKING:
    from trimtab.sdk.client import Client
    from trimtab.sdk.shapes import Answer, Request

R = TypeVar("R", bound="Request")
Column = tuple[str, Callable[[Any], object]]
"""The head of a column, and what stands in it of a row."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Because = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
Most = Annotated[int, typer.Option("--limit", min=1, help="At most so many rows.")]


@dataclass(frozen=True)
class Remote:
    """Where the control plane is, and who asks."""

    url: str
    key: str
    token: str
    tenant: str

    def client(self) -> Client:
        """A connection.

        Raises:
            NotAuthenticated: neither a key nor a token was given, or both.
        """
        from trimtab.kernel.errors import NotAuthenticated
        from trimtab.sdk.client import Client

        if bool(self.key) == bool(self.token):
            raise NotAuthenticated(
                "give one credential",
                remedy="set TRIMTAB_API_KEY, or TRIMTAB_TOKEN=$(trimtab token)",
            )
        return Client(
            self.url or "http://127.0.0.1:8000",
            key=self.key or None,
            token=self.token or None,
            tenant=self.tenant or None,
        )


def asking(
    command: Callable[..., None], *, address: str = "Address of a control plane."
) -> Callable[..., None]:
    """The same command with four options in the place of its `remote`: where the control plane
    is, and who asks. `address` is the help of the first."""
    options = {
        "url": typer.Option("--url", envvar="TRIMTAB_URL", help=address),
        "key": typer.Option(
            "--key", envvar="TRIMTAB_API_KEY", help="An API key; or", show_envvar=True
        ),
        "token": typer.Option(
            "--token", envvar="TRIMTAB_TOKEN", help="a bearer token.", show_envvar=True
        ),
        "tenant": typer.Option("--tenant", envvar="TRIMTAB_TENANT", help="Narrow to this tenant."),
    }
    taken: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.annotation is Remote:
            taken += (
                parameter.replace(name=name, annotation=Annotated[str, option], default="")
                for name, option in options.items()
            )
        else:
            taken.append(parameter)

    @functools.wraps(command)
    def called(**given: Any) -> None:
        remote = Remote(*(given.pop(name) for name in options))
        command(remote=remote, **given)

    called.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in taken}
    return called


def noun(name: str, about: str) -> typer.Typer:
    """The commands of one noun, all of which take who asks, and where."""
    made = typer.Typer(name=name, help=about, no_args_is_help=True)

    def asks(context: typer.Context, remote: Remote) -> None:
        context.obj = remote

    made.callback(help=about)(asking(asks, address="Address of the control plane."))
    return made


def asker(context: typer.Context) -> Remote:
    """Who asks, and where, of a command of a noun."""
    remote = context.obj
    assert isinstance(remote, Remote)
    return remote


def connected(context: typer.Context) -> Client:
    """The connection that a command asks by."""
    return asker(context).client()


def given(context: typer.Context, kind: type[R], /, **values: object) -> R:
    """What a command sends, of what it was called with; each field has the name of its option.

    Raises:
        InvalidInput: some of it cannot be sent; the options at fault are named.
    """
    from pydantic import ValidationError

    from trimtab.kernel.errors import InvalidInput
    from trimtab.sdk.shapes import said

    try:
        return kind(**values)
    except ValidationError as error:
        written = {str(p.name): (*p.opts, str(p.name))[0] for p in context.command.params}
        at_fault = {
            written.get(str(e["loc"][0]), str(e["loc"][0])): said(e["msg"]) for e in error.errors()
        }
        raise InvalidInput(
            "; ".join(f"{where}: {what}" for where, what in at_fault.items()),
            field=next(iter(at_fault)),
            remedy=f"correct {' and '.join(at_fault)}; "
            f"`{context.command_path} --help` says what each is for",
        ) from None


def show_rows(
    rows: Iterable[Answer],
    columns: Sequence[Column],
    *,
    as_json: bool,
    limit: int,
    prose: Collection[str] = (),
) -> None:
    """Print at most `limit` rows: as JSON, one array; else as a table, in which only cells of
    `prose` columns are wrapped."""
    from itertools import islice

    found = list(islice(rows, limit))
    if as_json:
        print(json.dumps([row.model_dump(mode="json") for row in found], indent=2))
        return
    heads = [head for head, _ in columns]
    show_table(heads, [[told(read(row)) for _, read in columns] for row in found], prose=prose)


def show_one(row: Answer, *, as_json: bool) -> None:
    """Print one thing: as JSON; else each of its fields on a line."""
    plain = row.model_dump(mode="json")
    if as_json:
        print(json.dumps(plain, indent=2))
        return
    width = max(map(len, plain))
    for name, value in plain.items():
        text = json.dumps(value) if isinstance(value, dict | list) else told(value)
        print(f"{name:<{width}}  {text}")


def told(value: object) -> str:
    """A value as a person reads it, with nothing in it that moves the cursor."""
    if value is None:
        return "-"
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)
