"""The least that an answer costs with the same server and the same framework."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()

_ANSWER = {"model": "model-0000", "version": "1.0.0", "reason": "x" * 500}


@app.get("/constant")
async def constant() -> JSONResponse:
    """The same every time."""
    return JSONResponse(_ANSWER)


PIECE = 256 << 10


async def plain(scope: Any, _receive: Any, send: Any) -> None:
    """A whole application that answers everything with one file, in pieces."""
    if scope["type"] != "http":
        return
    path = Path(os.environ["BENCHMARK_FILE"])
    length = str(path.stat().st_size).encode()
    headers = [(b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
