"""The ASGI application: Open Inference Protocol v2 over REST, health and metrics.

No framework: one request costs one dictionary of headers, one look at the table, one run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trimtab import __version__
from trimtab.gateway import metrics
from trimtab.gateway.batches import Captured
from trimtab.gateway.credentials import Caller, identify, single_headers
from trimtab.gateway.inference import InferenceRequest, read_request, write_response
from trimtab.gateway.link import Link
from trimtab.gateway.problems import Refused, problem, status_of
from trimtab.gateway.serving import PredictionIds, Serving
from trimtab.gateway.sessions import LoadedVersion, Stop, metadata
from trimtab.gateway.settings import Settings
from trimtab.gateway.shipping import Buffer, Shipper
from trimtab.gateway.tensors import Array
from trimtab.kernel.errors import InvalidInput, NotFound, TrimtabError, Unavailable
from trimtab.sdk.routing import Deployment, Resolution

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = b"application/json"
_PROBLEM = b"application/problem+json"
_BINARY = b"application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Asked:
    """A model, and the version if the path names one, as this caller may use it."""

    caller: Caller
    resolution: Resolution
    version: LoadedVersion
    serving: Serving


class Gateway:
    """The application. `start` and `stop` frame its life; in between it only reads `link`."""

    def __init__(self, settings: Settings, link: Link, shipper: Shipper, buffer: Buffer):
        self._settings = settings
        self._link = link
        self._shipper = shipper
        self._ids = PredictionIds()
        self._buffer = buffer
        self._requests = metrics.Requests()
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="inference")
        self._waiting = 0

    def start(self) -> None:
        """Serve what is on disk, follow the control plane, ship predictions."""
        self._link.start()
        self._shipper.start()

    def stop(self) -> None:
        """Ship what waits, say so in a last report, and end."""
        self._pool.shutdown()
        self._link.stop()
        self._shipper.drain(self._settings.drain_seconds)
        self._link.send_report()
        self._link.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        try:
            answer = await self._answer(scope, receive)
        except TrimtabError as error:
            answer = _refusal(error)
        self._requests.answered(answer.status)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _live(self, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await receive()
        await loop.run_in_executor(None, self.start)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await loop.run_in_executor(None, self.stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        method = scope["method"]
        match scope["path"].split("/"):
            case ["", "v2", "models", model, "infer"]:
                _require_method(method, "POST")
                return await self._infer(scope, receive, model, None)
            case ["", "v2", "models", model, "versions", version, "infer"]:
                _require_method(method, "POST")
                return await self._infer(scope, receive, model, version)
        _require_method(method, "GET")
        match scope["path"].split("/"):
            case ["", "v2"]:
                return _json(200, self._server_metadata())
            case ["", "v2", "health", "live"]:
                return _json(200, {"live": True})
            case ["", "v2", "health", "ready"]:
                return _json(200 if self._ready() else 503, {"ready": self._ready()})
            case ["", "v2", "health"]:
                return self._health(scope)
            case ["", "metrics"]:
                text = metrics.page(self._requests, self._link, self._buffer.counts())
                return Answer(200, text, metrics.CONTENT_TYPE)
            case ["", "v2", "models", model, *rest]:
                return self._model(scope, model, rest)
        raise NotFound("there is nothing at this path")

    def _server_metadata(self) -> dict[str, Any]:
        name = self._settings.name
        return {"name": name, "version": __version__, "extensions": ["binary_tensor_data"]}

    def _ready(self) -> bool:
        """A table is applied, and it serves something, or routes nothing."""
        serving = self._link.serving
        if serving is None or not (self._link.alive and self._shipper.alive):
            return False
        return bool(serving.loaded) or not serving.refused

    def _health(self, scope: Scope) -> Answer:
        """All that the reports say, for keys of the fleet; its sum for others."""
        serving = self._serving()
        caller = identify(single_headers(scope["headers"]), serving.table)
        report = self._link.report()
        state = self._link.state
        healthy = self._ready() and not (
            serving.refused or state.table_refused or state.unreachable or report["expired_since"]
        )
        summary = {
            "status": "ok" if healthy else "degraded",
            "ready": self._ready(),
            "epoch": report["epoch"],
            "expired_since": report["expired_since"],
        }
        if not caller.fleet:
            return _json(200, summary)
        return _json(
            200,
            report | summary | {"unreachable": state.unreachable, "unreported": state.unreported},
        )

    def _serving(self) -> Serving:
        serving = self._link.serving
        if serving is None:
            raise Unavailable("no verified routing table yet", remedy="ask /v2/health/ready")
        return serving

    def _asked(self, headers: Mapping[bytes, bytes], model: str, version: str | None) -> Asked:
        """Who asks for what, and which version that is.

        Raises:
            NotAuthenticated, NotPermitted, InvalidInput: as `identify`.
            NotFound: no such model for this caller, or a version it may not name.
        """
        serving = self._serving()
        caller = identify(headers, serving.table)
        found, loaded = serving.resolve(model, caller.tenant, caller.endpoint)
        if version is None or version == found.version:
            return Asked(caller, found, loaded, serving)
        for owner, target in serving.stables(model, caller.tenant):
            if target.version == version:
                named = Resolution(
                    version, target.digest, Deployment.STABLE, "named by the caller", owner
                )
                slot = (model, owner, version, target.digest)
                return Asked(caller, named, serving.loaded[slot], serving)
        raise NotFound(f"version {version!r} of {model!r} does not answer here", field="version")

    def _model(self, scope: Scope, model: str, rest: list[str]) -> Answer:
        """Metadata of a model or version, or whether it is ready."""
        match rest:
            case [] | ["ready"]:
                version = None
            case ["versions", version] | ["versions", version, "ready"]:
                pass
            case _:
                raise NotFound("there is nothing at this path")
        asked = self._asked(single_headers(scope["headers"]), model, version)
        if rest and rest[-1] == "ready" and len(rest) != 2:
            return _json(200, {"name": model, "ready": True})
        named = [target.version for _, target in asked.serving.stables(model, asked.caller.tenant)]
        return _json(200, metadata(asked.version, sorted({asked.resolution.version, *named})))

    async def _infer(
        self, scope: Scope, receive: Receive, model: str, version: str | None
    ) -> Answer:
        started = time.perf_counter()
        headers = single_headers(scope["headers"])
        asked = self._asked(headers, model, version)
        body = await self._body(headers, receive)
        loaded = asked.version
        header_length = _size(headers, b"inference-header-content-length")
        request = read_request(body, header_length, loaded, max_rows=self._settings.max_rows)
        outputs = dict(
            zip((o.name for o in loaded.outputs), await self._run(loaded, request), strict=True)
        )
        now_us = asked.serving.time.now_us()
        identity = self._ids.next(now_us)
        found = asked.resolution
        parameters = {
            "version": found.version,
            "digest": found.digest,
            "deployment": found.deployment.value,
            "reason": found.reason,
            "prediction_id": identity,
        }
        answer = _inferred(*write_response(request, loaded, outputs, parameters))
        seconds = time.perf_counter() - started
        self._record(asked, request, outputs, identity, now_us, seconds)
        return answer

    def _record(
        self,
        asked: Asked,
        request: InferenceRequest,
        outputs: dict[str, Array],
        identity: str,
        now_us: int,
        seconds: float,
    ) -> None:
        """Count the call and hand it to the shipper, which never makes it wait."""
        found = asked.resolution
        labels = (
            ("model", asked.version.entry.model),
            ("version", found.version),
            ("deployment", found.deployment.value),
        )
        self._requests.inferred(labels, seconds, request.rows, request.missing)
        self._shipper.accept(
            Captured(
                version=asked.version.schema,
                prediction_id=identity,
                tenant=asked.caller.tenant,
                endpoint=asked.caller.endpoint,
                deployment=found.deployment.value,
                reason=found.reason,
                at_us=now_us,
                latency_ms=seconds * 1e3,
                rows=request.rows,
                inputs=request.inputs,
                outputs=outputs,
            )
        )

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body, within its limits of size and time."""
        most = self._settings.max_body_bytes
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refused(415, "unsupported_encoding", "bodies are taken uncompressed")
        if (_size(headers, b"content-length") or 0) > most:
            raise Refused(413, "too_large", f"a body has at most {most} bytes")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.read_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "disconnected", "the caller left")
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise Refused(413, "too_large", f"a body has at most {most} bytes")
                    parts.append(part)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError as error:
            raise Refused(408, "too_slow", "the body did not arrive in time") from error

    async def _run(self, loaded: LoadedVersion, request: InferenceRequest) -> list[Array]:
        """Short runs on the loop itself, others on a thread, with an end to their time."""
        expected = loaded.expected_seconds(request.rows)
        if expected is not None and expected <= self._settings.inline_seconds:
            return loaded.run(request.inputs, request.rows)
        if self._waiting >= self._settings.max_waiting:
            raise Unavailable("too many inferences wait already", remedy="try again later")
        stop = Stop()
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            work = loop.run_in_executor(self._pool, loaded.run, request.inputs, request.rows, stop)
            async with asyncio.timeout(self._settings.inference_seconds):
                return await work
        except TimeoutError as error:
            raise Refused(504, "inference_too_slow", "the inference took too long") from error
        finally:
            stop.pull()
            self._waiting -= 1


def _require_method(method: str, allowed: str) -> None:
    if method != allowed:
        raise Refused(405, "method_not_allowed", f"this path takes {allowed}")


def _size(headers: dict[bytes, bytes], name: bytes) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise InvalidInput(f"{name.decode()} is not a size", field=name.decode())
    return int(value)


def _json(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _inferred(body: bytes, header_length: int | None) -> Answer:
    if header_length is None:
        return Answer(200, body)
    length = str(header_length).encode()
    return Answer(200, body, _BINARY, ((b"inference-header-content-length", length),))


def _refusal(error: TrimtabError) -> Answer:
    status = status_of(error)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    elif status == 503:
        headers = ((b"retry-after", b"1"),)
    return Answer(status, problem(error), _PROBLEM, headers)
