"""The pages: rendered here, each the answer to one question."""

from __future__ import annotations

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the pages to `app`, whose `state.parts` must be set before the first request.

    To be called after the interface has installed its own answers to errors: those stay
    in charge of every address that is not a page.
    """
    from trimtab.web import site

    site.install(app)
