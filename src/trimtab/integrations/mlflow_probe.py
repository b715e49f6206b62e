"""A first look at an MLflow server: who answers, who we are there, and whether we could write."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from trimtab.integrations.mlflow_calls import API, RIGHTS, Calls, Missing, Refused
from trimtab.integrations.mlflow_credentials import Credentials, Kind
from trimtab.integrations.mlflow_json import NotMlflow, list_of
from trimtab.inventory.source import Probe
from trimtab.kernel.errors import NotPermitted

_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}[0-9A-Za-z.+-]{0,40}")
_WRITES = frozenset({"EDIT", "MANAGE"})
_READS = frozenset({"READ", "USE", "NO_PERMISSIONS"})
_USER = "user"


def probe(calls: Calls, credentials: Credentials) -> Probe:
    """As `Source.probe`; nothing is written.

    Raises:
        Unavailable: it does not answer, or not as an MLflow server does.
        NotAuthenticated, NotPermitted: it refuses our credentials.
    """
    said = calls.plain("/version")
    text = said.body.decode("utf-8", "replace").strip()
    if said.status == 200 and text.startswith("<"):
        raise NotMlflow("a web page, perhaps a log-in before the server")
    if said.status != 200 or not _VERSION.fullmatch(text):
        raise NotMlflow(f"/version answers with status {said.status}: {calls.said(said.body)}")
    list_of(calls.get(f"{API}/registered-models/search", {"max_results": 1}), "registered_models")
    may_write, warnings = _rights(calls, credentials)
    if may_write and credentials.kind is not Kind.NONE:
        warnings.append(
            "these credentials could write to this server; nothing here does, but give an "
            "account that may only read"
        )
    if credentials.well_known:
        warnings.append(
            "the password of the administrator is the one that servers are delivered with: "
            "anybody can have it; change it"
        )
    if calls.origin.startswith("http://") and not _is_loopback(calls.origin):
        warnings.append(
            "the address is plain http: whoever is on the way reads the credentials and can "
            "change what is read; use https"
        )
    return Probe(f"MLflow {text}", credentials.identity, may_write, tuple(warnings))


def _rights(calls: Calls, credentials: Credentials) -> tuple[bool | None, list[str]]:
    if credentials.kind is Kind.NONE:
        return True, ["the server asks nobody who they are: whoever reaches it can write"]
    if credentials.kind is not Kind.BASIC:
        return None, ["whether these credentials could write cannot be told by reading"]
    try:
        answer = calls.get(f"{API}/users/get", {"username": credentials.username})
    except (NotMlflow, Missing, Refused, NotPermitted):
        return None, [
            "the server does not tell what this account may do: it may have no accounts at all, "
            "and then whoever reaches it can write"
        ]
    user = answer.get(_USER)
    if not isinstance(user, Mapping):
        raise NotMlflow("its answer has no user")
    granted = set(_permissions(user)) | _granted_by_roles(calls)
    if user.get("is_admin") is not False or granted & _WRITES:
        return True, []
    if granted <= _READS:
        return None, [
            "this account has no right to write of its own; what the server gives to everybody "
            "cannot be read: see that its default permission is READ"
        ]
    return None, ["this account has rights of a kind that is not known here"]


def _granted_by_roles(calls: Calls) -> set[str]:
    """What newer servers tell of an account in another place."""
    try:
        return set(_permissions(calls.get(RIGHTS)))
    except (NotMlflow, Missing, Refused, NotPermitted):
        return set()  # an older server, which tells all of it with the user


def _permissions(user: Mapping[str, Any]) -> Iterator[str]:
    """What is granted to a user, for whatever kinds of things there are."""
    for value in user.values():
        if isinstance(value, list):
            for one in value:
                if isinstance(one, Mapping) and "permission" in one:
                    yield str(one["permission"])


def _is_loopback(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
