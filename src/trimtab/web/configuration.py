"""Settings: what is in force here, and where it comes from. Secrets are never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request, Response

from trimtab.identity.demands import Reach
from trimtab.identity.reach import demand_fleet
from trimtab.platform.settings import Row, explain
from trimtab.platform.settings_kinds import Source
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor, looking

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Configuration:
    """Settings that somebody has set, and those that are as they come."""

    profile: str
    chosen: tuple[Row, ...]
    defaults: tuple[Row, ...]


@router.get("/settings")
def settings(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("identity:read", reach=Reach.FLEET)],
) -> Response:
    """The effective settings, as `trimtab config explain` tells them."""
    demand_fleet(visitor.actor)
    rows = explain(parts.settings)
    shown = Configuration(
        profile=parts.settings.profile.value,
        chosen=tuple(row for row in rows if row.source is not Source.DEFAULT),
        defaults=tuple(row for row in rows if row.source is Source.DEFAULT),
    )
    return page(
        request, "settings.html", shown, title="Settings", active="account", visitor=visitor
    )
