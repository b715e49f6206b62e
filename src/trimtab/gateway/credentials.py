"""Who calls: the tenant comes from the credential, the header may only narrow it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trimtab.kernel.errors import InvalidInput, NotAuthenticated, NotPermitted
from trimtab.sdk.routing import RoutingTable

Headers = Iterable[tuple[bytes, bytes]]

_SINGLE = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"x-tenant-id",
        b"x-endpoint-id",
        b"content-length",
        b"content-encoding",
        b"inference-header-content-length",
    }
)
_TENANT = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_ENDPOINT = re.compile(rb"[!-~]{1,256}")
_CREDENTIAL = re.compile(r"(ak_[A-Za-z0-9]{1,64})\.([!-~]{1,256})")


@dataclass(frozen=True)
class Caller:
    """Somebody with a valid key; tenant None is the fleet, which is served globally."""

    key: str
    tenant: str | None
    endpoint: str
    """What a canary is drawn by: X-Endpoint-Id, or the key."""
    fleet: bool
    """Whether the key itself is bound to no tenant."""


def single_headers(headers: Headers) -> dict[bytes, bytes]:
    """The headers that we read, each of which may stand only once.

    Raises:
        InvalidInput: one stands twice; which of them counts is not ours to guess.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE:
            if name in found:
                raise InvalidInput(f"{name.decode()} stands twice", field=name.decode())
            found[name] = value
    return found


def identify(headers: Mapping[bytes, bytes], table: RoutingTable) -> Caller:
    """The caller that the credential names, narrowed by `X-Tenant-Id`.

    Raises:
        NotAuthenticated: no credential, two, or one that the table does not know.
        NotPermitted: the header names another tenant than the key.
        InvalidInput: a tenant or endpoint that is no identifier.
    """
    match = _CREDENTIAL.fullmatch(_credential(headers))
    if match is None:
        raise NotAuthenticated("this is no key", remedy="keys read ak_<id>.<secret>")
    name, secret = match.groups()
    key = table.by_key.get(name)
    given = hashlib.sha256(secret.encode()).hexdigest()
    # An unknown id costs the same comparison, so that time does not tell which ids exist.
    known = hmac.compare_digest(given, key.sha256 if key is not None else "0" * 64)
    if key is None or not known:
        raise NotAuthenticated("the key is unknown or was revoked")
    tenant = _narrowed(headers.get(b"x-tenant-id"), key.tenant)
    endpoint = headers.get(b"x-endpoint-id")
    if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
        raise InvalidInput(
            "X-Endpoint-Id is 1 to 256 printable characters without spaces", field="x-endpoint-id"
        )
    drawn_by = key.id if endpoint is None else endpoint.decode()
    return Caller(key.id, tenant, drawn_by, key.tenant is None)


def _credential(headers: Mapping[bytes, bytes]) -> str:
    bearer, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
    if bearer is None and api_key is None:
        raise NotAuthenticated("no credential", remedy="send X-Api-Key or Authorization: Bearer")
    if bearer is None or api_key is None:
        value = api_key or b""
        if bearer is not None:
            scheme, _, value = bearer.partition(b" ")
            if scheme.lower() != b"bearer":
                raise NotAuthenticated("the scheme is not Bearer")
        return value.decode("latin-1")
    raise NotAuthenticated("two credentials", remedy="send X-Api-Key or Authorization, not both")


def _narrowed(header: bytes | None, tenant: str | None) -> str | None:
    if header is None:
        return tenant
    if not _TENANT.fullmatch(header):
        raise InvalidInput("X-Tenant-Id is no tenant", field="x-tenant-id")
    named = header.decode()
    if tenant is not None and named != tenant:
        raise NotPermitted("the key is not of this tenant", field="x-tenant-id")
    return named
