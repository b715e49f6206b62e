"""All pages, joined."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from trimtab.web import (
    approvals,
    audit,
    drift,
    home,
    incidents,
    interface,
    login,
    models,
    refusals,
    rollouts,
    versions,
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
    audit.router,
    interface.router,
)


def install(app: FastAPI) -> None:
    """Add every page to `app`, and let pages answer their errors."""
    for router in ROUTERS:
        app.include_router(router)
    refusals.install(app)
