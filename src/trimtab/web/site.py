"""All pages, joined."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from trimtab.web import (
    access,
    account,
    approvals,
    audit,
    compliance,
    configuration,
    connections,
    drift,
    home,
    incidents,
    interface,
    inventory,
    login,
    models,
    records,
    refusals,
    rollouts,
    switches,
    versions,
    waivers,
)

ROUTERS: tuple[APIRouter, ...] = (
    login.router,
    home.router,
    models.router,
    drift.router,
    versions.router,
    approvals.router,
    rollouts.router,
    incidents.router,
    inventory.router,
    records.router,
    connections.router,
    compliance.router,
    waivers.router,
    audit.router,
    account.router,
    access.router,
    switches.router,
    configuration.router,
    interface.router,
)


def install(app: FastAPI) -> None:
    """Add every page to `app`, and let pages answer their errors."""
    for router in ROUTERS:
        app.include_router(router)
    refusals.install(app)
