"""Keys and tokens: what one shows to be somebody."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may, open_to_all
from trimtab.identity import rotation, service
from trimtab.sdk import shapes

router = strict.router("/api/v1", tag="identity")
published = strict.router(tag="identity")

KEY_SET_SECONDS = 60
"""How long the public keys may be kept: a new one is published for as long before it signs."""

Manager = Annotated[Actor, may("identity:manage")]
Host = Annotated[Actor, may("identity:manage", fleet=True)]


@router.delete("/keys/{key}", status_code=204, summary="Revoke a key")
def revoke_key(key: str, actor: Manager, parts: PartsOf) -> None:
    """Make a key useless; gateways refuse it with their next routing table."""
    with parts.records.begin(actor, reason="revoked") as work:
        service.revoke_key(work, key)


@router.post("/tokens", summary="Log in for a token", dependencies=[Depends(open_to_all)])
def log_in(body: shapes.Credentials, parts: PartsOf) -> shapes.TokenShape:
    """A short-lived bearer token for address and password."""
    person = service.authenticate_password(parts.records, body.email, body.password)
    return _token(service.token_for(parts.tokens, person))


@router.post("/token-keys", status_code=201, summary="Rotate the key of tokens")
def rotate_token_key(
    body: shapes.TokenKeyRotation, actor: Host, parts: PartsOf
) -> shapes.TokenKeyShape:
    """Sign tokens with a new key pair in a minute; those that are out stay good until they
    end. With `at_once` it signs now, and every token of before is of no use."""
    key = rotation.rotate(
        parts.records, actor, parts.token_keys, reason=body.reason, at_once=body.at_once
    )
    return shapes.TokenKeyShape(kid=key.kid, begins_at=key.begins)


@published.get(
    "/.well-known/jwks.json", summary="Public keys of tokens", dependencies=[Depends(open_to_all)]
)
def key_set(parts: PartsOf, response: Response) -> shapes.KeySetShape:
    """The public keys that verify our tokens, as a JSON Web Key Set."""
    response.headers["Cache-Control"] = f"public, max-age={KEY_SET_SECONDS}"
    return shapes.KeySetShape(keys=parts.tokens.key_set())


def _token(text: str) -> shapes.TokenShape:
    return shapes.TokenShape(
        access_token=text,
        token_type="Bearer",
        expires_in=int(service.TOKEN_LIFETIME.total_seconds()),
    )
