"""What the gateway adds to bare ONNX Runtime, measured beside it in the same run.

One gateway process on loopback, a gradient-boosted model of 20 features, predictions
shipped to a control plane that takes them. The caller shares the machine with the server,
so requests a second are a lower bound; CPU is the server's own, from /proc.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.floor import Figure, Goal, cpu_seconds
from benchmarks.load import closed_loop, open_loop, post, quantile_ms
from benchmarks.processes import Server, free_port, server
from trimtab.artifacts.binding import Binding
from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.envelope import load_or_create_key, public_pem, seal
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.sdk.routing import (
    PAYLOAD_TYPE,
    ApiKey,
    ModelRoutes,
    Route,
    RoutingTable,
    Target,
    VersionEntry,
    serialise,
)

FEATURES = 20
SECRET = "b" * 43
BARE = "ONNX Runtime alone, one thread"


def a_model(trees: int) -> bytes:
    """A gradient-boosted classifier of `trees` trees over [N, 20] floats."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.random.default_rng(7).normal(size=(4000, FEATURES)).astype(np.float32)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    fitted = HistGradientBoostingClassifier(max_iter=trees, early_stopping=False)
    fitted.fit(rows, labels)
    options = {id(fitted): {"zipmap": False}}
    return bytes(to_onnx(fitted, rows[:1], options=options).SerializeToString())


class Control(ThreadingHTTPServer):
    """Hands out one sealed table and one artifact, and takes what is shipped."""

    daemon_threads = True

    def __init__(self, folder: Path, model: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        key = load_or_create_key(folder / "routing.key")
        signer = ArtifactSigner(folder / "artifact.key", max_metadata_bytes=1 << 20)
        (folder / "routing.pem").write_bytes(public_pem(key.public_key()))
        (folder / "artifact.pem").write_bytes(signer.public_pem)
        digest = sha256_of(model)
        binding = Binding("bench", "1.0.0", None, digest)
        bundle = signer.sign(model, binding)
        now = datetime(2015, 7, 1, tzinfo=UTC)
        route = Route(None, Target("1.0.0", digest, "per_1"), None)
        table = RoutingTable(
            "trimtab/bench",
            1,
            now,
            now + timedelta(days=1),
            (ModelRoutes("bench", (route,)),),
            (ApiKey("ak_bench", hashlib.sha256(SECRET.encode()).hexdigest(), None),),
            (VersionEntry(digest, "bench", "1.0.0", None),),
        )
        self.table = seal(serialise(table), PAYLOAD_TYPE, key)
        self.model = model
        signature = {"bundle": bundle.decode(), "binding": binding.to_bytes().decode()}
        self.signature = json.dumps(signature).encode()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Control

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def reply(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.headers.get("If-None-Match") == '"1"':
            self.reply(304)
        elif self.path == "/api/v1/routing":
            self.reply(200, self.server.table)
        elif self.path.endswith("/signature"):
            self.reply(200, self.server.signature)
        else:
            self.reply(200, self.server.model)

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.reply(200)

    def do_PUT(self) -> None:
        self.do_POST()


@contextmanager
def gateway(folder: Path, control: Control) -> Iterator[Server]:
    """The real gateway, serving the one model that `control` hands out."""
    port = free_port()
    flags = {
        "control": f"http://127.0.0.1:{control.server_address[1]}",
        "state": folder / "state",
        "port": port,
        "routing-keys": folder / "routing.pem",
        "artifact-keys": folder / "artifact.pem",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    with server(["trimtab.gateway", *arguments], port, "/v2/health/ready") as running:
        yield running


def binary_request(rows: np.ndarray[Any, Any]) -> bytes:
    """A whole HTTP request with one binary tensor, wanting binary tensors back."""
    raw = rows.astype("<f4").tobytes()
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "X",
                    "datatype": "FP32",
                    "shape": list(rows.shape),
                    "parameters": {"binary_data_size": len(raw)},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    head += b" " * (-len(head) % 4)
    return http_request(head + raw, f"Inference-Header-Content-Length: {len(head)}\r\n")


def json_request(rows: np.ndarray[Any, Any]) -> bytes:
    """A whole HTTP request with one JSON tensor."""
    data = [round(float(value), 4) for value in rows.ravel()]
    tensor = {"name": "X", "datatype": "FP32", "shape": list(rows.shape), "data": data}
    return http_request(json.dumps({"inputs": [tensor]}).encode(), "")


def http_request(body: bytes, headers: str) -> bytes:
    return post("/v2/models/bench/infer", body, f"{headers}X-Api-Key: ak_bench.{SECRET}\r\n")


@dataclass(frozen=True)
class Bare:
    """ONNX Runtime alone: seconds of CPU a call, and the latency."""

    cpu: float
    p50: float
    p95: float


def bare(model: bytes, rows: np.ndarray[Any, Any], seconds: float) -> Bare:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for _ in range(20):
        session.run(None, {"X": rows})
    times: list[float] = []
    cpu = time.process_time()
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        session.run(None, {"X": rows})
        times.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / len(times)
    return Bare(cpu, float(np.quantile(times, 0.5)), float(np.quantile(times, 0.95)))


def measure(*, tiny: bool) -> list[Figure]:
    """One row a request, a thousand rows a request, and what a call waits."""
    seconds, runs, trees = (0.2, 1, 10) if tiny else (1.2, 3, 100)
    model = a_model(trees)
    rows = np.random.default_rng(1).normal(size=(1000, FEATURES)).astype(np.float32)
    with tempfile.TemporaryDirectory() as place, Control(Path(place), model) as control:
        try:
            with gateway(Path(place), control) as serving:
                asyncio.run(closed_loop(serving.port, json_request(rows[:1]), 8, 0.3))
                asyncio.run(closed_loop(serving.port, binary_request(rows), 2, 0.3))
                rounds = [_round(serving, model, rows, seconds) for _ in range(runs)]
        finally:
            control.shutdown()
    return _figures(rounds)


Round = dict[str, float]


def _round(serving: Server, model: bytes, rows: np.ndarray[Any, Any], seconds: float) -> Round:
    found: Round = {}
    for name, request, callers in (
        ("json", json_request(rows[:1]), 16),
        ("binary", binary_request(rows[:1]), 16),
        ("batch", binary_request(rows), 2),
    ):
        before = cpu_seconds(serving.pid)
        count = asyncio.run(closed_loop(serving.port, request, callers, seconds))
        found[name] = count / seconds
        found[f"{name} cpu"] = (cpu_seconds(serving.pid) - before) / count
    one, many = bare(model, rows[:1], seconds / 3), bare(model, rows, seconds / 2)
    found |= {"bare one": 1 / one.p50, "bare one p95": one.p95, "bare batch cpu": many.cpu}
    single = json_request(rows[:1])
    latencies = asyncio.run(open_loop(serving.port, lambda _: single, 200, seconds))
    found["p95"] = quantile_ms(latencies, 0.95) - one.p95 * 1e3
    return found


def _figures(rounds: Sequence[Round]) -> list[Figure]:
    def runs(name: str, factor: float = 1.0) -> list[float]:
        return [found[name] * factor for found in rounds]

    alone, goal = runs("bare one"), Goal(3000, at_least=True)
    per_cpu = [1 / found["binary cpu"] for found in rounds]
    return [
        Figure("one row, binary", "requests/s", runs("binary"), alone, BARE, goal),
        Figure("one row, JSON", "requests/s", runs("json"), alone, BARE, goal),
        Figure("one row, binary, by server CPU", "a CPU second", per_cpu, alone, BARE),
        Figure(
            "1,000 rows, binary: server CPU",
            "ms/call",
            runs("batch cpu", 1e3),
            runs("bare batch cpu", 1e3),
            BARE,
            Goal(1.5, by_ratio=True),
        ),
        Figure("one row at 200/s: p95 beyond bare", "ms", runs("p95"), goal=Goal(3)),
    ]
