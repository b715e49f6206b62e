"""Keys and tokens: what one shows to be somebody."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from trimtab.api import strict
from trimtab.api.access import (
    Actor,
    Asker,
    PartsOf,
    Reach,
    address_of,
    key_text,
    may,
    open_to_all,
)
from trimtab.api.paging import Pages, going_on
from trimtab.api.repeats import Repeats
from trimtab.identity import entry, keys, rotation, service, standing
from trimtab.identity.model import Person
from trimtab.registry import store as registry
from trimtab.sdk import shapes

router = strict.router("/api/v1", tag="identity")
published = strict.router(tag="identity")

KEY_SET_SECONDS = 60
"""How long the public keys may be kept: a new one is published for as long before it signs."""

Reader = Annotated[Actor, may("identity:read", reach=Reach.OWN)]
Manager = Annotated[Actor, may("identity:manage", reach=Reach.OWN)]
Host = Annotated[Actor, may("identity:manage", fleet=True)]


@router.get("/keys", summary="List keys")
def list_keys(
    actor: Reader,
    parts: PartsOf,
    pages: Pages,
    account: Annotated[str | None, Query(max_length=80)] = None,
) -> shapes.Page[shapes.KeyShape]:
    """Keys in the order in which they were issued, with their last use; a tenant sees its own."""
    parts.key_uses.flush()
    after, limit = pages.place(actor), pages.limit
    with parts.records.look() as reading, going_on():
        found = keys.listed(reading, tenant=actor.tenant, account=account, after=after, limit=limit)
    items = [
        shapes.KeyShape.model_validate(key).model_copy(update={"last_used_at": used_at})
        for key, used_at in found
    ]
    return shapes.Page(items=items, next=pages.page(actor, items, lambda key: key.id))


@router.post("/service-accounts/{account}/keys", status_code=201, summary="Issue a key")
def issue_key(
    account: str, body: shapes.NewKey, actor: Manager, parts: PartsOf, repeat: Repeats
) -> shapes.IssuedKey:
    """A further key of an account, whose text is shown this once: to replace one, issue the
    next, use it, then revoke the first."""
    lifetime = None if body.lifetime_days is None else timedelta(days=body.lifetime_days)
    with parts.records.begin(actor, reason=body.reason) as work:
        if body.default_model is not None:
            registry.model_named(work, body.default_model, field="default_model")
        key, text = service.issue_key(
            work,
            service.account_of(work, account),
            scopes=None if body.scopes is None else tuple(body.scopes),
            default_model=body.default_model,
            lifetime=lifetime,
            wrapping=parts.wrapping,
        )
        scopes = list(key.scopes)
        issued = shapes.IssuedKey(account=account, key_id=key.id, key=text, scopes=scopes)
        return repeat.keep(work, issued)


@router.delete("/keys/{key}", status_code=204, summary="Revoke a key")
def revoke_key(key: str, actor: Manager, parts: PartsOf) -> None:
    """Make a key useless, with all tokens that were got for it; gateways refuse it with their
    next routing table."""
    with parts.records.begin(actor, reason="revoked") as work:
        service.revoke_key(work, key)


@router.post("/tokens", summary="Log in for a token", dependencies=[Depends(open_to_all)])
def log_in(body: shapes.Credentials, parts: PartsOf, request: Request) -> shapes.TokenShape:
    """A short-lived bearer token for address and password."""
    return _token(service.token_for(parts.tokens, _entering(parts, request, body)))


@router.post("/tokens/exchange", summary="A token for a key", dependencies=[Depends(open_to_all)])
def exchange(
    parts: PartsOf, request: Request, body: shapes.Exchange | None = None
) -> shapes.TokenShape:
    """A short-lived bearer token for the key in X-Api-Key: it may do what the key may, or less,
    and ends with it."""
    text = key_text(request)
    wanted = None if body is None else body.scopes
    with Asker.of(request).known() as (reading, _):
        claims = keys.exchanged(reading, text, wanted)
    return _token(parts.tokens.issue(claims, lifetime=service.TOKEN_LIFETIME))


@router.post("/password", summary="Change one's password", dependencies=[Depends(open_to_all)])
def change_password(
    body: shapes.PasswordChange, parts: PartsOf, request: Request
) -> shapes.TokenShape:
    """Another password of one's own. All sessions and tokens end with the old one; the answer
    is a fresh token."""
    person = _entering(parts, request, body)
    standing.demand_other(body.password, body.new_password)
    fresh = standing.new_hash(body.new_password)
    with parts.records.begin(person.actor(), reason="chose another password") as work:
        changed = standing.change_password(work, person, fresh)
    return _token(service.token_for(parts.tokens, changed))


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


def _entering(
    parts: PartsOf, request: Request, body: shapes.Credentials | shapes.PasswordChange
) -> Person:
    """The person whose address and password these are."""
    return entry.enter(
        parts.records,
        parts.brakes,
        body.email,
        body.password,
        address=address_of(request),
        at=parts.real_clock.now(),
    )


def _token(text: str) -> shapes.TokenShape:
    return shapes.TokenShape(
        access_token=text,
        token_type="Bearer",
        expires_in=int(service.TOKEN_LIFETIME.total_seconds()),
    )
