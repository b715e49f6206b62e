"""The least that an answer costs with the same server and the same framework."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()

_ANSWER = {"model": "model-0000", "version": "1.0.0", "reason": "x" * 500}


@app.get("/constant")
async def constant() -> JSONResponse:
    """The same every time."""
    return JSONResponse(_ANSWER)
