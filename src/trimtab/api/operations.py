"""How the control plane is: health, metrics, and the stepped clock."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import PlainTextResponse

from trimtab import __version__
from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may, open_to_all
from trimtab.kernel.errors import Unavailable
from trimtab.platform.metrics import CONTENT_TYPE
from trimtab.sdk import shapes
from trimtab.workflows import condition, log_level
from trimtab.workflows.parts import Parts

router = strict.router(tag="operations")

NOT_CONFIGURED = "not configured"
SETTLE_SECONDS = 120.0
"""How long a step of the clock waits for what became due, in real time."""


@router.get(
    "/health",
    summary="Health",
    dependencies=[Depends(open_to_all)],
    responses={503: {"model": shapes.HealthShape, "description": "A part does not answer."}},
)
def health(parts: PartsOf, response: Response) -> shapes.HealthShape:
    """Every part that this process depends on; 503 while one does not answer."""
    own = condition.components(parts)
    healthy = all(state in condition.GOOD for state in own.values())
    components = {
        "redis": NOT_CONFIGURED,
        "s3": NOT_CONFIGURED,
        "mlflow": condition.registries(parts),
        "prometheus": NOT_CONFIGURED,
        **own,
    }
    response.status_code = 200 if healthy else 503
    return shapes.HealthShape(
        status="healthy" if healthy else "unhealthy",
        components=components,
        version=__version__,
        uptime=_uptime((parts.real_clock.now() - parts.started_at).total_seconds()),
    )


@router.get("/health/live", summary="Is it alive?", dependencies=[Depends(open_to_all)])
async def live() -> shapes.ProbeShape:
    """This process answers. Whoever restarts what does not asks here: a database that is away
    is no reason to."""
    return shapes.ProbeShape(status="alive")


@router.get("/health/ready", summary="May requests be sent?", dependencies=[Depends(open_to_all)])
def ready(parts: PartsOf, response: Response) -> shapes.ProbeShape:
    """Whether requests may be sent here: 503 while a part that answering needs does not, and
    from the moment at which this process is told to end. That another process has died, or
    that a bucket is away from all of them alike, is no reason not to ask this one."""
    elsewhere = ("roles", "s3")
    states = condition.components(parts)
    well = all(states[name] in condition.GOOD for name in states if name not in elsewhere)
    status = "leaving" if parts.leaving.is_set() else "ready" if well else "unready"
    response.status_code = 200 if status == "ready" else 503
    return shapes.ProbeShape(status=status)


@router.get(
    "/metrics",
    summary="Metrics",
    dependencies=[Depends(open_to_all)],
    response_class=PlainTextResponse,
)
def metrics(parts: PartsOf) -> Response:
    """Prometheus' text format."""
    return Response(parts.metrics.render(), media_type=CONTENT_TYPE)


@router.get("/api/v1/log-level", summary="Level of the log")
def log_level_now(
    actor: Annotated[Actor, may("operations:read", fleet=True)], parts: PartsOf
) -> shapes.LogLevelShape:
    """From which level up every process logs, and until when if that is not the setting."""
    del actor
    with parts.records.look() as reading:
        found = log_level.wanted(reading, parts.settings.log_level, real_clock=parts.real_clock)
    return shapes.LogLevelShape.model_validate(found)


@router.put("/api/v1/log-level", summary="Set the level of the log")
def set_log_level(
    body: shapes.SetLogLevel,
    actor: Annotated[Actor, may("operations:manage", fleet=True)],
    parts: PartsOf,
) -> shapes.LogLevelShape:
    """Log from this level up for some minutes, in every process, within seconds; then each goes
    back to its setting by itself."""
    with parts.records.begin(actor, reason=body.reason) as work:
        found = log_level.change(work, body.level, body.minutes, real_clock=parts.real_clock)
    return shapes.LogLevelShape.model_validate(found)


@router.get("/api/v1/clock", summary="Domain time")
def clock(
    actor: Annotated[Actor, may("models:read", reach=Reach.NOBODYS)], parts: PartsOf
) -> shapes.ClockShape:
    """Domain time, and whether everything that was due has been done."""
    del actor
    return _clock(parts)


@router.post("/api/v1/clock/step", summary="Step the clock")
def step(
    body: shapes.StepTo,
    actor: Annotated[Actor, may("clock:step", fleet=True)],
    parts: PartsOf,
    request: Request,
) -> shapes.ClockShape:
    """Move a stepped clock, and wait until everything that became due has been done."""
    del actor
    stepped = parts.stepped
    if stepped is None:
        raise Unavailable(
            "the clock of this control plane is the real one",
            remedy="start it with TRIMTAB_CLOCK=stepped:<RFC 3339 time> to step it",
        )
    stepped.step_to(body.to)
    if not request.app.state.loop.settle(SETTLE_SECONDS):
        raise Unavailable(
            f"not everything that was due was done within {SETTLE_SECONDS:g} seconds",
            remedy="look at /health and at the log; the step can be repeated",
        )
    return _clock(parts)


def _clock(parts: Parts) -> shapes.ClockShape:
    return shapes.ClockShape(
        now=parts.clock.now(),
        idle=parts.engine.idle(),
        failed_jobs=len(parts.engine.failed()),
    )


def _uptime(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 1440}d {minutes // 60 % 24}h {minutes % 60}m"
