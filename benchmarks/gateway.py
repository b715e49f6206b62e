"""What the gateway adds to bare ONNX Runtime, measured beside it in the same run.

    python benchmarks/gateway.py [--seconds 3]

One gateway process on loopback, a gradient-boosted model of 20 features, predictions
shipped to a control plane that takes them. The caller shares the machine with the server,
so requests a second are a lower bound; CPU is the server's own, from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime

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
TICKS = os.sysconf("SC_CLK_TCK")


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


@dataclass(frozen=True)
class Gateway:
    """A running gateway process."""

    port: int
    popen: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def start_gateway(folder: Path, control: Control) -> Gateway:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    flags = {
        "control": f"http://127.0.0.1:{control.server_address[1]}",
        "state": folder / "state",
        "port": port,
        "routing-keys": folder / "routing.pem",
        "artifact-keys": folder / "artifact.pem",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    gateway = Gateway(port, subprocess.Popen([sys.executable, "-m", "trimtab.gateway", *arguments]))
    with httpx.Client(trust_env=False) as client:
        for _ in range(400):
            time.sleep(0.05)
            try:
                if client.get(f"http://127.0.0.1:{port}/v2/health/ready").is_success:
                    return gateway
            except httpx.TransportError:
                continue
    gateway.popen.kill()
    raise SystemExit("the gateway did not become ready")


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
    head = (
        f"POST /v2/models/bench/infer HTTP/1.1\r\nHost: bench\r\n{headers}"
        f"X-Api-Key: ak_bench.{SECRET}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise SystemExit(head.decode())
    length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


async def closed_loop(port: int, request: bytes, connections: int, seconds: float) -> int:
    """Calls that `connections` callers get answered, each sending when it has its answer."""
    end = time.perf_counter() + seconds

    async def caller() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.perf_counter() < end:
            await exchange(reader, writer, request)
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(caller() for _ in range(connections))))


async def open_loop(port: int, request: bytes, per_second: float, seconds: float) -> list[float]:
    """Latencies at a fixed rate, from the moment a call was due: waiting counts."""
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
    latencies: list[float] = []

    async def one(due: float) -> None:
        connection = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        await exchange(*connection, request)
        latencies.append(time.perf_counter() - due)
        idle.append(connection)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for i in range(int(per_second * seconds)):
            due = start + i / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    for _, writer in idle:
        writer.close()
    return latencies


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


def measure(gateway: Gateway, model: bytes, seconds: float) -> None:
    rows = np.random.default_rng(1).normal(size=(1000, FEATURES)).astype(np.float32)
    for name, request in (
        ("JSON", json_request(rows[:1])),
        ("binary", binary_request(rows[:1])),
    ):
        asyncio.run(closed_loop(gateway.port, request, 8, 0.3))
        before = gateway.cpu_seconds()
        count = asyncio.run(closed_loop(gateway.port, request, 16, seconds))
        cpu = (gateway.cpu_seconds() - before) / count
        print(
            f"single row, {name:6}: {count / seconds:8.0f} requests a second, "
            f"{cpu * 1e6:.0f} us of server CPU each: {1 / cpu:.0f} a CPU second"
        )
    one = bare(model, rows[:1], seconds / 3)
    print(f"single row, bare  : {1 / one.p50:8.0f} runs a second")

    batch = binary_request(rows)
    asyncio.run(closed_loop(gateway.port, batch, 2, 0.5))
    alone = bare(model, rows, seconds / 2)
    before = gateway.cpu_seconds()
    count = asyncio.run(closed_loop(gateway.port, batch, 2, seconds))
    served = (gateway.cpu_seconds() - before) / count
    print(
        f"batch of 1000     : {served * 1e3:8.2f} ms of server CPU a call, bare "
        f"{alone.cpu * 1e3:.2f} ms: {served / alone.cpu:.2f} times"
    )
    latencies = asyncio.run(open_loop(gateway.port, json_request(rows[:1]), 200, seconds))
    p50, p95 = np.quantile(latencies, [0.5, 0.95])
    print(
        f"200 a second      : p50 {p50 * 1e3:.2f} ms, p95 {p95 * 1e3:.2f} ms, bare p95 "
        f"{one.p95 * 1e3:.2f} ms: overhead p95 {(p95 - one.p95) * 1e3:.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--trees", type=int, default=100)
    arguments = parser.parse_args()
    model = a_model(arguments.trees)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        control = Control(folder, model)
        gateway = start_gateway(folder, control)
        try:
            measure(gateway, model, arguments.seconds)
        finally:
            gateway.popen.terminate()
            gateway.popen.wait(30)
            control.shutdown()
            control.server_close()


if __name__ == "__main__":
    main()
