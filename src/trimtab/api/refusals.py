"""What of a refused request is put on record: never its body, its credential or its address,
but the template of the address, the code, and names in the form that names have."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.types import Scope

from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput
from trimtab.registry.model import checked_name, checked_version
from trimtab.workflows.refusals import Key, Refusal, Refused, source

UNMATCHED = "unmatched"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_LONGEST_QUERY = 2000


def refused(scope: Scope) -> Refused | None:
    """Why this request was refused, if one of our surfaces refused it."""
    found: Refused | None = scope.get("state", {}).get("refused")
    return found


def on_record(scope: Scope, status: int) -> Key | None:
    """What is to be counted of a request that was answered so; None where it is of no weight."""
    why = refused(scope)
    if why is None or status < 400:
        return None
    actor: Actor | None = scope["state"].get("actor")
    if actor is None:
        unknown = status in (401, 403, 429)
        return source((scope.get("client") or (None,))[0]) if unknown else None
    if not why.grave:
        return None
    return Refusal(
        actor=actor,
        method=method_of(scope),
        route=route_of(scope),
        code=why.code,
        field=why.field,
        model=_named(scope, "model", checked_name),
        version=_named(scope, "version", checked_version),
    )


def route_of(scope: Scope) -> str:
    """The template of the address that was asked, which has no text of the caller."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))


def method_of(scope: Scope) -> str:
    """The method of a request; whatever a caller made up is one and the same."""
    method = str(scope["method"])
    return method if method in _METHODS else "other"


def _named(scope: Scope, what: str, checked: Callable[[str], str]) -> str | None:
    """The model or the version that a request names, if that can be the name of one."""
    text = scope["state"].get(what) or scope.get("path_params", {}).get(what)
    if text is None:
        query = scope.get("query_string", b"")[:_LONGEST_QUERY].decode("ascii", "replace")
        text = next(iter(parse_qs(query).get(what, ())), None)
    try:
        return None if text is None else checked(str(text))
    except InvalidInput:
        return None
