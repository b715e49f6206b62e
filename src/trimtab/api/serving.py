"""What endpoints ask: which version answers me, and its bytes."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO, Literal

from anyio import to_thread
from anyio.lowlevel import checkpoint
from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from trimtab.api import direct, strict
from trimtab.api.access import Actor, PartsOf, PermittedAsker, asks, key_of, may, once
from trimtab.api.problems import RangeNotSatisfiable
from trimtab.audit.work import Reading
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound
from trimtab.registry import service as registry
from trimtab.registry.model import Lifecycle, Version
from trimtab.sdk import shapes
from trimtab.workflows import serving
from trimtab.workflows.parts import Parts

router = strict.router("/api/ml/model", tag="serving")

Asker = Annotated[PermittedAsker, asks("models:read")]
Downloader = Annotated[Actor, may("artifacts:download", asks_about=True)]
Endpoint = Annotated[str | None, Header(alias="X-Endpoint-Id", pattern=r"^[!-~]{1,256}$")]
"""As gateways take it: what they serve and what is said of it here must not differ."""
ModelName = Annotated[str | None, Query(max_length=63)]
AsOf = Annotated[
    shapes.Moment | None,
    Query(description="The version that answered then; left out, the one that answers now"),
]

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_PIECE_BYTES = 256 << 10
"""Of an answer. What a caller does not take waits in memory, and has to be taken in time: larger
pieces would cut slow callers, smaller ones cost more turns of the loop than copying."""


@direct.get(
    router, "/latest", summary="Which version answers me", response_model=shapes.LatestShape
)
async def latest(
    asker: Asker,
    request: Request,
    model: ModelName = None,
    endpoint: Endpoint = None,
    as_of: AsOf = None,
) -> Response:
    """The version that answers this endpoint, by which rule, and what was passed over.

    Without `model`, the key's default is meant. The endpoint id, or else the key, is what
    a canary is drawn by. With `as_of`, what was recorded at that moment decides, for the
    key and the tenant of today; what moved at that very moment has moved.
    """
    once(request, "X-Endpoint-Id")
    unit = endpoint or key_of(request)

    def found(reading: Reading, actor: Actor) -> str:
        latest = serving.latest(asker.parts, reading, actor, model, unit or actor.id, as_of)
        return shapes.LatestShape.model_validate(latest).model_dump_json()

    answer = await asker.ask(found, lambda actor: serving.wanted(actor, model, as_of))
    return Response(answer, media_type="application/json")  # valid: not to be validated again


@router.get("/download", summary="Bytes of a version")
def download(
    request: Request,
    actor: Downloader,
    parts: PartsOf,
    version: Annotated[str, Query(max_length=40)],
    model: ModelName = None,
    type: Annotated[Literal["onnx"], Query()] = "onnx",  # noqa: A002 - the name is the contract
    range_header: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", max_length=200)] = None,
) -> Response:
    """Stream an artifact whose digest and signature were verified before the first byte.

    Who only serves gets what is deployed to them: canary, stable, and the version that a
    rollback would go back to. A range of other bytes than `If-Range` names is not answered with
    a part, but with the whole.
    """
    del type
    once(request, "Range", "If-Range")
    with parts.records.look() as reading:
        name = serving.model_meant(reading, actor, model)
        found = serving.visible_version(reading, actor, name, version)
        serving.demand_bytes(reading, actor, found)
    etag = f'"{found.digest}"'
    if if_range is not None and if_range.strip() != etag:
        range_header = None
    first, last = _range(range_header, found.size_bytes)
    file = _verified(parts, found)
    with parts.records.begin(actor, reason="download") as work:
        registry.record_download(work, found, first, last)
    headers = {
        "Content-Length": str(last - first + 1),
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-transform",
        "Vary": "X-Api-Key, Authorization, X-Tenant-Id",
        "Content-Disposition": f'attachment; filename="{found.model}-{found.version}.onnx"',
        "X-Trimtab-Digest": found.digest,
        "X-Trimtab-Signer": found.signer,
        "X-Trimtab-Signature": f"/api/v1/models/{found.model}/versions/{found.version}/signature",
    }
    if range_header is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size_bytes}"
    return StreamingResponse(
        _pieces(file, first, last),
        status_code=200 if range_header is None else 206,
        headers=headers,
        media_type="application/octet-stream",
        background=BackgroundTask(file.close),
    )


def _verified(parts: Parts, version: Version) -> BinaryIO:
    """The open file, after its digest and its signature were verified.

    What is damaged is quarantined: nothing of it leaves, now or later.
    """
    if version.lifecycle in (Lifecycle.QUARANTINED, Lifecycle.REJECTED):
        raise NotFound(f"version {version.version} is {version.lifecycle.value}", field="version")
    try:
        return serving.open_verified(parts, version)
    except (IntegrityFailed, NotFound) as error:
        serving.quarantine(parts, version, str(error))
        raise IntegrityFailed(
            f"the stored bytes of {version.model} {version.version} are not those that were signed",
            remedy="it has been quarantined; use another version, and tell the owner",
        ) from error


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First and last byte that a Range header asks for; one range at most.

    Raises:
        InvalidInput: several ranges, or none at all.
        RangeNotSatisfiable: a range that this file does not have.
    """
    if header is None:
        return 0, size - 1
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        raise InvalidInput(
            "one range of bytes at most", field="Range", remedy="send bytes=FIRST-LAST"
        )
    if match[1] == "":
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    if first > last or first >= size:
        raise RangeNotSatisfiable(size)
    return first, last


async def _pieces(file: BinaryIO, first: int, last: int) -> AsyncIterator[memoryview]:
    """The bytes of a file from `first` to `last`, as they are wanted.

    They were hashed a moment ago, so the machine holds them: the loop copies them itself, and
    gives way to others between two pieces. Only what is not there any more, and would have to
    be waited for, is read in a thread.
    """
    at = first
    while at <= last:
        size = min(_PIECE_BYTES, last + 1 - at)
        piece = _at_hand(file, at, size) or await to_thread.run_sync(_from_disk, file, at, size)
        if not piece:
            return  # cut short under our hands: the answer lacks what its length promised
        at += len(piece)
        yield piece
        await checkpoint()


def _at_hand(file: BinaryIO, at: int, size: int) -> memoryview | None:
    """What the machine can give without waiting for a disk; None where that is nothing."""
    room = bytearray(size)
    try:
        taken = os.preadv(file.fileno(), [room], at, os.RWF_NOWAIT)
    except OSError:
        return None  # it would wait, or this kind of disk cannot tell
    return memoryview(room)[:taken] if taken else None


def _from_disk(file: BinaryIO, at: int, size: int) -> memoryview:
    return memoryview(os.pread(file.fileno(), size, at))
