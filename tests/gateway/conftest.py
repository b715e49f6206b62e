"""A control plane over real HTTP, real signed ONNX models, and gateways in front of them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from tests.patience import eventually

from trimtab.artifacts.binding import Binding
from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.envelope import load_or_create_key, public_pem, seal
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.gateway.__main__ import assemble, server
from trimtab.gateway.settings import Settings
from trimtab.kernel.clock import Clock, SystemClock
from trimtab.sdk.routing import (
    PAYLOAD_TYPE,
    ApiKey,
    Canary,
    InputSpec,
    ModelRoutes,
    Route,
    RoutingTable,
    TableClock,
    Target,
    VersionEntry,
    serialise,
)

NOW = datetime(2015, 7, 1, 12, tzinfo=UTC)
SECRETS = {"ak_fleet": "f" * 43, "ak_aa": "a" * 43, "ak_bb": "b" * 43}
KEYS = tuple(
    ApiKey(name, hashlib.sha256(secret.encode()).hexdigest(), tenant)
    for (name, secret), tenant in zip(SECRETS.items(), (None, "aa", "bb"), strict=True)
)


@functools.cache
def matrix_model(answer: float) -> bytes:
    """A regression over [N, 3] floats that answers the sum of a row plus `answer`."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    fitted = LinearRegression().fit(rows, rows.sum(axis=1) + answer)
    return bytes(to_onnx(fitted, rows[:1]).SerializeToString())


@functools.cache
def column_model() -> bytes:
    """A classifier over one tensor a column: two numbers and a text."""
    from onnx import TensorProto, helper

    def node(kind: str, sources: list[str], results: list[str], **attributes: Any) -> Any:
        domain = attributes.pop("domain", "")
        return helper.make_node(kind, sources, results, domain=domain, **attributes)

    ml = "ai.onnx.ml"
    nodes = [
        node("LabelEncoder", ["carrier"], ["code"], domain=ml, keys_strings=["aa", "bb"],
             values_floats=[0.0, 1.0], default_float=-1.0),
        node("Cast", ["hour"], ["hours"], to=TensorProto.FLOAT),
        node("Concat", ["distance", "hours", "code"], ["features"], axis=1),
        node("LinearClassifier", ["features"], ["label", "scores"], domain=ml,
             coefficients=[-1.0, -0.1, -1.0, 1.0, 0.1, 1.0], intercepts=[0.0, 0.0],
             classlabels_ints=[0, 1], post_transform="SOFTMAX"),
        node("ZipMap", ["scores"], ["probabilities"], domain=ml, classlabels_int64s=[0, 1]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "columns",
        [
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info("hour", TensorProto.INT64, [None, 1]),
            helper.make_tensor_value_info("carrier", TensorProto.STRING, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_value_info(
                "probabilities",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(
                        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
                    )
                ),
            ),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(ml, 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


class World:
    """The control plane: seals tables, signs artifacts, and remembers what it was told."""

    def __init__(self, folder: Path):
        self.key = load_or_create_key(folder / "routing.key")
        self.signer = ArtifactSigner(folder / "artifact.key", max_metadata_bytes=1 << 20)
        (folder / "routing.pem").write_bytes(public_pem(self.key.public_key()))
        (folder / "artifact.pem").write_bytes(self.signer.public_pem)
        self.folder = folder
        self.envelope = b""
        self.etag = ""
        self.artifacts: dict[tuple[str, str, str | None], tuple[bytes, bytes, bytes]] = {}
        self.reports: list[dict[str, Any]] = []
        self.batches: dict[str, bytes] = {}
        self.deliveries = 0
        self.answer_predictions_with = 200
        self.requests: list[str] = []
        self._http = WorldServer(self)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def publish(
        self, model: str, version: str, content: bytes, tenant: str | None = None
    ) -> Target:
        """Sign `content` as this version and offer it for download."""
        digest = sha256_of(content)
        binding = Binding(model, version, tenant, digest)
        bundle = self.signer.sign(content, binding)
        self.artifacts[(model, version, tenant)] = (content, bundle, binding.to_bytes())
        return Target(version, digest, f"per_{version}")

    def seal(self, table: RoutingTable) -> bytes:
        return seal(serialise(table), PAYLOAD_TYPE, self.key)

    def route(self, table: RoutingTable) -> None:
        """Make `table` the one that is served."""
        self.envelope, self.etag = self.seal(table), f'"{table.epoch}"'

    def rows(self) -> pa.Table:
        """All predictions that were taken, of batches with one schema."""
        return pa.concat_tables([pa.ipc.open_stream(b).read_all() for b in self.batches.values()])


class WorldServer(ThreadingHTTPServer):
    """Knows the world that it speaks for."""

    daemon_threads = True

    def __init__(self, world: World):
        super().__init__(("127.0.0.1", 0), Handler)
        self.world = world


class Handler(BaseHTTPRequestHandler):
    """The paths of the control plane that a gateway calls."""

    protocol_version = "HTTP/1.1"
    server: WorldServer

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def _reply(self, status: int, body: bytes = b"", etag: str = "") -> None:
        self.send_response(status)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        world = self.server.world
        world.requests.append(self.path)
        url = urlsplit(self.path)
        if url.path != "/api/v1/routing":
            self._artifact(url.path, url.query)
        elif not world.envelope:
            self._reply(404)
        elif self.headers.get("If-None-Match") == world.etag:
            self._reply(304)
        else:
            self._reply(200, world.envelope, world.etag)

    def _artifact(self, path: str, query: str) -> None:
        if path == "/api/ml/model/download":
            asked = parse_qs(query)
            model, version = asked["model"][0], asked["version"][0]
        else:  # /api/v1/models/{model}/versions/{version}/signature
            _, _, _, _, model, _, version, _ = path.split("/")
        found = self.server.world.artifacts.get((model, version, self.headers.get("X-Tenant-Id")))
        if found is None:
            self._reply(404)
        elif path.endswith("/signature"):
            answer = {"bundle": found[1].decode(), "binding": found[2].decode()}
            self._reply(200, json.dumps(answer).encode())
        else:
            self._reply(200, found[0])

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.world.reports.append(json.loads(body))
        self._reply(204)

    def do_POST(self) -> None:
        world = self.server.world
        body = self.rfile.read(int(self.headers["Content-Length"]))
        world.deliveries += 1
        if world.answer_predictions_with == 200:
            world.batches[self.headers["Idempotency-Key"]] = body
        self._reply(world.answer_predictions_with)


def a_table(
    *routes: tuple[str, Route],
    epoch: int = 1,
    now: datetime = NOW,
    lasts: timedelta = timedelta(hours=1),
    clock: TableClock = TableClock.STEPPED,
    inputs: tuple[InputSpec, ...] | None = None,
) -> RoutingTable:
    """A table of these (model, route) pairs; each version belongs to its route's tenant."""
    models: dict[str, list[Route]] = {}
    versions: dict[VersionEntry, None] = {}
    for model, route in routes:
        models.setdefault(model, []).append(route)
        for target in filter(None, (route.stable, route.canary)):
            versions[VersionEntry(target.digest, model, target.version, route.tenant)] = None
    return RoutingTable(
        origin="trimtab/test",
        epoch=epoch,
        now=now,
        expires_at=now + lasts,
        models=tuple(ModelRoutes(m, tuple(r), inputs) for m, r in models.items()),
        keys=KEYS,
        versions=tuple(versions),
        clock=clock,
    )


def on_trial(target: Target, percent: float, salt: str = "rol_1") -> Canary:
    return Canary(target.version, target.digest, target.permit, percent, salt)


class Running:
    """A gateway in a thread of this process, and a client for it."""

    def __init__(self, settings: Settings, clock: Clock):
        self.gateway = assemble(settings, clock)
        self.server: uvicorn.Server = server(settings, self.gateway)
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        eventually(lambda: self.server.started or not self._thread.is_alive())
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False)

    @property
    def link(self) -> Any:
        return self.gateway._link

    def stop(self) -> None:
        self.http.close()
        self.server.should_exit = True
        self._thread.join()

    def infer(
        self, rows: list[list[float]], key: str = "ak_fleet", model: str = "delay", **headers: str
    ) -> httpx.Response:
        body = {"inputs": [tensor("X", "FP32", rows)]}
        return self.post(f"/v2/models/{model}/infer", body, key, **headers)

    def post(
        self, path: str, body: object, key: str = "ak_fleet", **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, json=body, headers=credential(key) | named)

    def get(self, path: str, key: str = "ak_fleet") -> httpx.Response:
        return self.http.get(path, headers=credential(key))

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/v2/health").json()
        return found

    def reaches(self, epoch: int) -> None:
        """Wait until this epoch is served."""
        eventually(lambda: self.link.serving is not None and self.link.serving.table.epoch == epoch)


def credential(key: str) -> dict[str, str]:
    return {"X-Api-Key": f"{key}.{SECRETS[key]}"}


def tensor(name: str, datatype: str, rows: list[list[Any]]) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])]
    flat = [value for row in rows for value in row]
    return {"name": name, "datatype": datatype, "shape": shape, "data": flat}


class Kit:
    """What tests use through the fixture, since test modules import nothing of each other."""

    a_table = staticmethod(a_table)
    on_trial = staticmethod(on_trial)
    eventually = staticmethod(eventually)
    tensor = staticmethod(tensor)
    credential = staticmethod(credential)
    matrix_model = staticmethod(matrix_model)
    column_model = staticmethod(column_model)

    def __init__(self, world: World, settings: Settings):
        self.world = world
        self.settings = settings
        self.running: list[Running] = []

    def start(self, clock: Clock | None = None, **changes: Any) -> Running:
        """Start a gateway; it is stopped after the test if not before."""
        settings = dataclasses.replace(self.settings, **changes)
        running = Running(settings, clock or SystemClock())
        self.running.append(running)
        return running

    def stop(self, running: Running) -> None:
        self.running.remove(running)
        running.stop()

    def serve(self, *routes: tuple[str, Route], **table: Any) -> Running:
        """Start a gateway that has applied a table of these routes."""
        self.world.route(a_table(*routes, **table))
        running = self.start()
        running.reaches(table.get("epoch", 1))
        return running

    def stable(
        self, answer: float = 0.0, version: str = "1.0.0", tenant: str | None = None
    ) -> Route:
        target = self.world.publish("delay", version, matrix_model(answer), tenant)
        return Route(tenant, target, None)


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    world = World(tmp_path)
    world.start()
    settings = Settings(
        control=world.url,
        state=tmp_path / "state",
        routing_keys=(tmp_path / "routing.pem",),
        artifact_keys=(tmp_path / "artifact.pem",),
        port=0,
        poll_seconds=0.02,
        report_seconds=0.1,
        flush_seconds=0.02,
        backoff_seconds=0.01,
        backoff_max_seconds=0.05,
        drain_seconds=0.3,
        control_seconds=2.0,
    )
    made = Kit(world, settings)
    yield made
    for running in list(made.running):
        made.stop(running)
    world.stop()
