"""A server that answers like MLflow and means no good.

    with Simulator(seed=1) as evil:
        evil.answers["GET /version"] = login_page
        ... ask evil.url ...

Without further answers it is a small registry that behaves: `MODELS` models with two versions
each, of runs in one experiment, with files. Each trick is a function that answers a `Request`.
"""

from __future__ import annotations

import functools
import gzip
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.mlflow_server.serving import Handler, Serving

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MODELS = 3
SCRIPT = "</td><script>alert(1)</script>\u202e{{7*7}}"
METADATA = "http://169.254.169.254/latest/meta-data/secret-path?token=x"


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    server: Simulator


@dataclass(frozen=True)
class Reply:
    """An answer: its body whole, or in pieces for as long as there are some."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def pieces(self) -> Iterable[bytes] | bytes:
        """The body as it is sent."""
        if isinstance(self.body, bytes) or hasattr(self.body, "__next__"):
            return self.body  # type: ignore[no-any-return]
        return json.dumps(self.body).encode()


Answer = Callable[[Request], Reply]


class Simulator(Serving):
    """The server; `answers` has what is answered to a method and path, for the longest beginning
    of them that is there."""

    def __init__(self, seed: int = 0):
        self.random = random.Random(seed)
        self.answers: dict[str, Answer] = dict(_well_behaved())
        self.requests: list[Request] = []
        self.ended = threading.Event()
        super().__init__(_handler(self))

    def __exit__(self, *error: Any) -> None:
        self.ended.set()
        super().__exit__(*error)

    def answer(self, request: Request) -> Reply:
        """What it says to a request."""
        self.requests.append(request)
        asked = f"{request.method} {request.path}"
        known = [begin for begin in self.answers if asked.startswith(begin)]
        if not known:
            return Reply({"error_code": "ENDPOINT_NOT_FOUND", "message": "no"}, 404)
        return self.answers[max(known, key=len)](request)


def always(body: Any, status: int = 200, **headers: str) -> Answer:
    """The same each time."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: Reply(body, status, named)


def version(name: str, number: int, **changed: Any) -> dict[str, Any]:
    """A version as MLflow writes it."""
    return {
        "name": name,
        "version": str(number),
        "creation_timestamp": 1_700_000_000_000,
        "last_updated_timestamp": 1_700_000_000_000,
        "current_stage": "None",
        "source": f"mlflow-artifacts:/1/run-{name}-{number}/artifacts/model",
        "run_id": f"run-{name}-{number}",
        "status": "READY",
        **changed,
    }


def model(name: str, **changed: Any) -> dict[str, Any]:
    """A registered model as MLflow writes it."""
    times = {"creation_timestamp": 1_700_000_000_000, "last_updated_timestamp": 1_700_000_000_000}
    return {"name": name, **times, **changed}


def run(run_id: str, **data: Any) -> dict[str, Any]:
    """A run as MLflow writes it."""
    info = {"run_id": run_id, "experiment_id": "1", "status": "FINISHED", "start_time": 1}
    info |= {"artifact_uri": f"mlflow-artifacts:/1/{run_id}/artifacts", "lifecycle_stage": "active"}
    return {"info": info, "data": data or {"metrics": [_metric("accuracy", 0.9)]}}


def _metric(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": 1, "step": 0}


def models_page(*items: Any, token: Any = None) -> Answer:
    """A page of registered models."""
    return always(_page("registered_models", items, token))


def versions_page(*items: Any, token: Any = None) -> Answer:
    """A page of versions."""
    return always(_page("model_versions", items, token))


def _page(key: str, items: Iterable[Any], token: Any) -> dict[str, Any]:
    return {key: list(items), **({} if token is None else {"next_page_token": token})}


def endless_pages(request: Request) -> Reply:
    """Pages with a new token each."""
    number = int(request.query.get("page_token", "0"))
    return Reply(_page("model_versions", [version("m", number + 1)], str(number + 1)))


def circling_pages(request: Request) -> Reply:
    """Three pages that lead back to the second."""
    token = {"": "a", "a": "b", "b": "a"}[request.query.get("page_token", "")]
    return Reply(_page("model_versions", [version("m", 1)], token))


def login_page(_request: Request) -> Reply:
    """What a proxy that asks for a password shows, with status 200."""
    page = b"<!doctype html><title>Sign in</title><form method=post><input name=password></form>"
    return Reply(page, headers={"Content-Type": "text/html"})


def redirect(to: str, status: int = 302) -> Answer:
    """Somewhere else."""
    return always(b"", status, Location=to)


def endless_body(_request: Request) -> Reply:
    """JSON that never ends, in chunks."""
    return Reply(_forever(b'{"registered_models": [' + b"1," * 30_000))


def dripping_body(request: Request) -> Reply:
    """One byte now and then, and never the last."""
    return Reply(_dripping(request.server))


def huge_body(_request: Request) -> Reply:
    """Five gigabytes, and says so."""
    return Reply(_forever(b"x" * 65536), headers={"Content-Length": str(5 << 30)})


def gzip_bomb(_request: Request) -> Reply:
    """A small body that is a large one."""
    return Reply(_bomb(), headers={"Content-Encoding": "gzip"})


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b"0" * (64 << 20), 1)


def _forever(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def _dripping(server: Simulator) -> Iterator[bytes]:
    while not server.ended.wait(0.05):
        yield b" "


def echo_secrets(request: Request) -> Reply:
    """An error that repeats the credentials that came with the request."""
    told = f"not good enough: {request.headers.get('Authorization')}"
    return Reply({"error_code": "INVALID_PARAMETER_VALUE", "message": told}, 400)


def _well_behaved() -> Iterator[tuple[str, Answer]]:
    names = [f"model-{number}" for number in range(MODELS)]
    every = [version(name, number) for name in names for number in (1, 2)]

    def one_version(request: Request) -> Reply:
        asked = request.query["name"], request.query["version"]
        for found in every:
            if (found["name"], found["version"]) == asked:
                return Reply({"model_version": found})
        return missing(request)

    def runs(request: Request) -> Reply:
        asked = str(request.body["filter"])
        return Reply({"runs": [run(v["run_id"]) for v in every if f"'{v['run_id']}'" in asked]})

    experiment = {"experiment_id": "1", "name": "flowers", "lifecycle_stage": "active"}
    yield "GET /version", always(b"3.17.2")
    yield "GET /health", always(b"OK")
    yield f"GET {API}/registered-models/search", models_page(*map(model, names))
    yield f"GET {API}/model-versions/search", versions_page(*every)
    yield f"GET {API}/model-versions/get", one_version
    yield f"GET {API}/registered-models/get", missing
    yield f"GET {API}/runs/get", missing
    yield f"GET {API}/logged-models/", missing
    yield f"POST {API}/runs/search", runs
    yield f"POST {API}/logged-models/search", always({})
    yield f"POST {API}/experiments/search", always({"experiments": [experiment]})
    yield f"GET {PROXY}", files_of({"MLmodel": b"flavors: {}\n", "model.onnx": b"\x08\x07"})


def missing(_request: Request) -> Reply:
    """What MLflow says of what it does not have."""
    return Reply({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}, 404)


def files_of(files: Mapping[str, bytes]) -> Answer:
    """The list of the files of every version, and the files themselves."""

    def answer(request: Request) -> Reply:
        if request.path == PROXY:
            return listing(*({"path": name, "file_size": len(files[name])} for name in files))(
                request
            )
        return Reply(files[request.path.rpartition("/")[2]])

    return answer


def listing(*entries: Any) -> Answer:
    """A list of files as it stands there."""
    return always({"files": list(entries)})


def nested_folders(_request: Request) -> Reply:
    """In every folder there are more."""
    return Reply({"files": [{"path": name, "is_dir": True} for name in "abc"]})


def _handler(simulator: Simulator) -> type[Handler]:
    class Evil(Handler):
        def answered(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            said = json.loads(body) if body else None
            request = Request(self.command, parts.path, query, dict(self.headers), said, simulator)
            self._send(simulator.answer(request))

        def _send(self, reply: Reply) -> None:
            pieces = reply.pieces()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            chunked = not isinstance(pieces, bytes) and "Content-Length" not in reply.headers
            if isinstance(pieces, bytes):
                self.send_header("Content-Length", str(len(pieces)))
                pieces = [pieces]
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                if simulator.ended.is_set():
                    break
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                self.close_connection = True

    return Evil


def paused(seconds: float, then: Answer) -> Answer:
    """The same, later."""

    def answer(request: Request) -> Reply:
        time.sleep(seconds)
        return then(request)

    return answer
