"""What gateways and feeds send and fetch: routing tables, reports, predictions, labels.

All of it concerns every tenant: one table routes for all, one report says what all are served,
and outcomes of any row judge the models that all share. So a tenant's credential is refused.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Depends, Header, Path, Query, Request, Response

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may
from trimtab.api.problems import UnsupportedMedia
from trimtab.kernel.errors import InvalidInput
from trimtab.monitoring.late import What
from trimtab.observations.batches import parse_labels, parse_predictions
from trimtab.registry import routing
from trimtab.sdk import shapes
from trimtab.workflows import late, release

router = strict.router("/api/v1", tag="gateways")

ARROW = "application/vnd.apache.arrow.stream"
BatchId = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80)]


async def arrow_body(request: Request) -> bytes:
    """The body of a request, if it says that it is an Arrow stream."""
    if request.headers.get("content-type", "").split(";")[0].strip() != ARROW:
        raise UnsupportedMedia(f"send content type {ARROW}", field="Content-Type")
    return await request.body()


ArrowBody = Annotated[bytes, Depends(arrow_body)]


def described(columns: str) -> dict[str, Any]:
    """A body that is no JSON, for the description of the interface: FastAPI sees only JSON
    and forms by itself."""
    schema = {"type": "string", "format": "binary", "description": columns}
    return {"requestBody": {"required": True, "content": {ARROW: {"schema": schema}}}}


LABEL_COLUMNS = (
    "An Arrow IPC stream (pyarrow.ipc.new_stream) with the columns prediction_id (string: what "
    "the gateway's answer carried), row (any integer: which row of that prediction, from 0) and "
    "label (any integer, 0 or 1, or boolean). No nulls."
)
PREDICTION_COLUMNS = (
    "An Arrow IPC stream of one model with the columns prediction_id, model, version, digest, "
    "endpoint and deployment (strings), row (any integer), at (timestamp with a time zone) and "
    "latency_ms (floating point), without nulls; and tenant (string or null), in.<feature> and "
    "out.<output>."
)


@router.get("/routing", summary="The signed routing table")
def get_routing(
    actor: Annotated[Actor, may("routing:read", fleet=True)],
    parts: PartsOf,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match", max_length=200)] = None,
) -> Response:
    """The newest table in its DSSE envelope; 304 where the caller has it already."""
    del actor
    epoch, sealed = release.publish_routing(parts)
    headers = {"ETag": f'"{epoch}"', "Cache-Control": "no-cache"}
    if if_none_match is not None and if_none_match.strip('W/"') == str(epoch):
        return Response(status_code=304, headers=headers)
    return Response(sealed, media_type="application/json", headers=headers)


@router.put("/gateways/{name}", status_code=204, summary="A gateway reports")
def report(
    name: Annotated[str, Path(max_length=80)],
    body: Annotated[dict[str, Any], Body()],
    actor: Annotated[Actor, may("gateways:report", fleet=True)],
    parts: PartsOf,
) -> Response:
    """What a gateway has applied, loaded, refused and shed."""
    epoch = body.get("epoch") or 0
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < 1 << 63:
        raise InvalidInput("a report names the epoch that was applied, or null", field="epoch")
    with parts.records.begin(actor, reason="report") as work:
        routing.note_report(work, name, epoch, body, parts.real_clock.now())
    return Response(status_code=204)


@router.post(
    "/predictions",
    status_code=202,
    summary="Predictions of a gateway",
    openapi_extra=described(PREDICTION_COLUMNS),
)
def predictions(
    batch_id: BatchId,
    body: ArrowBody,
    actor: Annotated[Actor, may("predictions:write", fleet=True)],
    parts: PartsOf,
) -> shapes.ReceiptShape:
    """Keep a batch of predictions. What is acknowledged is durable; a repeated batch is
    counted once."""
    receipt = late.keep(parts, actor, What.PREDICTIONS, batch_id, parse_predictions(body))
    return shapes.ReceiptShape.model_validate(receipt)


@router.post(
    "/labels",
    status_code=202,
    summary="Labels of predictions",
    openapi_extra=described(LABEL_COLUMNS),
)
def labels(
    batch_id: BatchId,
    body: ArrowBody,
    actor: Annotated[Actor, may("labels:write", fleet=True)],
    parts: PartsOf,
    model: Annotated[str, Query(max_length=63)],
) -> shapes.ReceiptShape:
    """Keep a batch of labels, whenever they become known; the newest of a prediction counts."""
    receipt = late.keep(parts, actor, What.LABELS, batch_id, parse_labels(model, body))
    return shapes.ReceiptShape.model_validate(receipt)
