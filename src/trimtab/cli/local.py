"""Commands about this machine's control plane and its settings."""

from __future__ import annotations

import json
from collections.abc import Sequence

from trimtab.kernel.errors import NotFound, Unavailable


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
    from trimtab.policies.loader import load_preset

    rows = explain(load_preset(name), tier)
    if as_json:
        print(json.dumps([vars(row) for row in rows], indent=2, default=str))
        return
    _table(
        ("key", "value", "unit", "meaning"),
        [(row.key, str(row.value), row.unit, row.description) for row in rows],
    )


def show_health(url: str, *, as_json: bool) -> bool:
    """Print how the control plane is; return whether it is healthy.

    Raises:
        Unavailable: nobody answers.
    """
    import httpx

    from trimtab.platform.settings import load_settings

    address = url or load_settings(env_file=None).public_origin()
    try:
        answer = httpx.get(f"{address}/health", timeout=10)
    except httpx.TransportError as error:
        raise Unavailable(
            f"nobody answers at {address}", remedy="start it with `make up`, or give --url"
        ) from error
    body = answer.json()
    if as_json:
        print(json.dumps(body, indent=2))
    else:
        print(f"{body['status']}  version {body['version']}  up {body['uptime']}")
        for name, state in body["components"].items():
            print(f"  {name:<12} {state}")
    return answer.status_code == 200


def local_token(email: str) -> str:
    """A token signed with the key in this machine's data folder.

    Raises:
        NotFound: there is nobody with this address, or nothing was started here yet.
    """
    from trimtab.audit.work import Records
    from trimtab.identity import store
    from trimtab.identity.service import TOKEN_LIFETIME
    from trimtab.identity.tokens import Tokens, load_or_create_rsa
    from trimtab.kernel.clock import SystemClock
    from trimtab.platform.database import Database
    from trimtab.platform.settings import load_settings

    settings = load_settings()
    keys = settings.home / "keys" / "tokens.pem"
    if not keys.exists():
        raise NotFound("nothing was started here yet", remedy="start it once with `make up`")
    clock = SystemClock()
    with Records(Database(settings.database()), clock).look() as reading:
        person = store.person_by_email(reading, email)
    if person is None:
        raise NotFound(f"there is nobody with the address {email}", field="email")
    tokens = Tokens(settings.public_origin(), load_or_create_rsa(keys), clock)
    return tokens.issue(person.id, lifetime=TOKEN_LIFETIME)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
