"""The audit ledger: who did what, and is the record whole?"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may
from trimtab.api.paging import LongPages
from trimtab.audit import ledger
from trimtab.audit.heads import read_note
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.events import kinds
from trimtab.sdk import shapes
from trimtab.workflows import proof

router = strict.router("/api/v1/audit", tag="audit")

Reader = Annotated[Actor, may("audit:read", reach=Reach.OWN)]
Verifier = Annotated[Actor, may("audit:verify", reach=Reach.OWN)]


@router.get("/entries", summary="Entries of the ledger")
def list_entries(
    actor: Reader,
    parts: PartsOf,
    paging: LongPages,
    after: Annotated[int, Query(ge=0, lt=1 << 63, description="only those behind it")] = 0,
    kind: Annotated[list[str] | None, Query(max_length=20)] = None,
    ref: Annotated[str | None, Query(max_length=200, description="an id it mentions")] = None,
) -> shapes.Page[shapes.EntryShape]:
    """Entries in order; a tenant sees its own."""
    for one in kind or ():
        _demand_kind(one)
    place = paging.place_as(actor, int)
    with parts.records.look() as reading:
        found = ledger.entries(
            reading.connection,
            after=max(after, place or 0),
            kinds=kind or (),
            ref=ref,
            tenant=actor.tenant,
            limit=paging.limit,
        )
    return shapes.Page(
        items=[shapes.EntryShape.model_validate(e) for e in found],
        next=paging.page(actor, found, lambda e: str(e.sequence)),
    )


@router.get("/head", summary="The signed head")
def head(
    actor: Annotated[Actor, may("audit:read", reach=Reach.NOBODYS)], parts: PartsOf
) -> shapes.HeadShape:
    """The present head, signed, and the key to verify it with."""
    del actor
    note = parts.heads.sign()
    size, root = read_note(note)
    return shapes.HeadShape(
        size=size, root=root.hex(), note=note, verifier_key=parts.heads.signer.verifier_key
    )


@router.post("/verify", summary="Verify the whole ledger")
def verify(
    actor: Annotated[Actor, may("audit:verify", fleet=True)], parts: PartsOf, request: Request
) -> shapes.VerificationShape:
    """Walk the whole ledger, against every head that was ever published. A tenant takes its
    export, and verifies that with `trimtab audit verify`."""
    result = proof.verify(parts)
    # The pages show the last verification, whichever way somebody asked for it.
    request.app.state.verified = proof.Verified(parts.real_clock.now(), actor.name, result)
    return shapes.VerificationShape.model_validate(result)


@router.get(
    "/export",
    summary="Export for an independent verifier",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def export(actor: Verifier, parts: PartsOf) -> StreamingResponse:
    """JSON Lines: the head, then every entry; a tenant's export carries inclusion proofs."""
    return StreamingResponse(proof.export(parts, actor.tenant), media_type="application/jsonl")


def _demand_kind(kind: str) -> None:
    """No entry of a kind that there is not would read as: nothing like it has happened."""
    known = kinds()
    if kind not in known:
        things = sorted({k.partition(".")[0] for k in known})
        same = sorted(k for k in known if k.partition(".")[0] == kind.partition(".")[0])
        raise InvalidInput(
            f"{ascii(kind)[:80]} is no kind of entry",
            field="kind",
            remedy=f"the kinds are: {', '.join(same)}"
            if same
            else f"a kind begins with what it is about: {', '.join(things)}",
        )
