"""All pages, joined."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from trimtab.web import audit, home, login, refusals

ROUTERS: tuple[APIRouter, ...] = (
    login.router,
    home.router,
    audit.router,
)


def install(app: FastAPI) -> None:
    """Add every page to `app`, and let pages answer their errors."""
    for router in ROUTERS:
        app.include_router(router)
    refusals.install(app)
