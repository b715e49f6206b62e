"""Commands about this machine's control plane and its settings."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from trimtab.kernel.errors import NotFound, Unavailable

_IN = "    "
_LEAST_SENTENCE = 40
"""Characters that a sentence needs beside other columns, so that it can be read there."""


def show_settings(*, as_json: bool) -> None:
    """Print every setting."""
    from trimtab.platform.settings import explain, load_settings

    rows = explain(load_settings())
    if as_json:
        print(json.dumps([{**vars(row), "source": row.source.value} for row in rows], indent=2))
        return
    _table(
        ("setting", "value", "from", "meaning"),
        [
            (row.name, row.value, row.source.value, f"{row.description} {row.note}".strip())
            for row in rows
        ],
    )


def show_policy(name: str, tier: int, *, as_json: bool) -> None:
    """Print every number of a policy for one tier."""
    from trimtab.policies.explain import explain
    from trimtab.policies.loader import load_chosen

    rows = explain(load_chosen(name), tier)
    if as_json:
        print(json.dumps([vars(row) for row in rows], indent=2, default=str))
        return
    print(f"policy {name}, tier {tier} (1 is the highest; --tier shows another one)\n")
    _table(
        ("key", "value", "unit", "meaning"),
        [(row.key, str(row.value), row.unit, row.description) for row in rows],
    )


def show_health(url: str, *, as_json: bool) -> bool:
    """Print how the control plane is; return whether it is healthy.

    Raises:
        Unavailable: nobody answers, or not as a control plane does.
    """
    import httpx

    from trimtab.platform.settings import load_settings
    from trimtab.platform.whereabouts import served_at
    from trimtab.sdk import shapes
    from trimtab.sdk.client.wire import read

    address = url or served_at(load_settings(env_file=None))
    try:
        answer = httpx.get(f"{address}/health", timeout=10)
    except httpx.TransportError as error:
        raise Unavailable(
            f"nobody answers at {address}", remedy="start it with `make up`, or give --url"
        ) from error
    read(shapes.HealthShape, answer)
    body = answer.json()
    if as_json:
        print(json.dumps(body, indent=2))
    else:
        print(f"{body['status']}  version {body['version']}  up {body['uptime']}")
        for name, state in body["components"].items():
            print(f"  {name:<12} {state}")
    return answer.status_code == 200


def local_token(email: str, url: str = "") -> str:
    """A token signed with the key in this machine's data folder, for its control plane at `url`
    (by default where it is asked).

    Raises:
        NotFound: there is nobody with this address, nothing was started here yet, or its records
            are elsewhere.
    """
    from trimtab.audit.work import Records
    from trimtab.identity import store
    from trimtab.identity.keyring import KeyFolder
    from trimtab.identity.service import token_for
    from trimtab.identity.tokens import OVERLAP, Tokens
    from trimtab.kernel.clock import SystemClock
    from trimtab.platform.database import Database
    from trimtab.platform.settings import load_settings
    from trimtab.platform.whereabouts import demand_records, served_at

    settings = load_settings()
    keys = settings.home / "keys"
    if not any(keys.glob("tokens*.pem")):
        raise NotFound("nothing was started here yet", remedy="start it once with `make up`")
    demand_records(settings)
    clock = SystemClock()
    with Records(Database(settings.database()), clock).look() as reading:
        person = store.person_by_email(reading, email)
    if person is None:
        raise NotFound(f"there is nobody with the address {email}", field="email")
    folder = KeyFolder(keys, clock, overlap=OVERLAP)
    return token_for(Tokens(url or served_at(settings), folder.ring, clock), person)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows whose last column is a sentence: beside the others where there is room for it, else,
    and for programs, below them. Names are never cut."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    names = [max(map(len, column)) for column in zip(columns, *rows, strict=True)][:-1]
    if sum(names) + 2 * len(names) + _LEAST_SENTENCE > console.width:
        for *named, sentence in rows:
            print("  ".join(named).rstrip())
            print(textwrap.fill(sentence, console.width, initial_indent=_IN, subsequent_indent=_IN))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column != columns[-1])
    for row in rows:
        table.add_row(*row)
    console.print(table)
