"""A gateway that answers nobody: it applies routing tables, reports, and ships real scores.

The real one has tests of its own; this one shares its table, its scoring and its batches,
and needs no process. The ids and times of its predictions are the same in every run.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import httpx
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trimtab.artifacts.envelope import key_id, open_sealed
from trimtab.artifacts.keys import load_public_key
from trimtab.demo.data import Traffic
from trimtab.gateway.batches import CONTENT_TYPE, Captured, encode
from trimtab.gateway.sessions import LoadedVersion, SessionSettings
from trimtab.kernel.errors import NotFound, Unavailable
from trimtab.observations.batches import labels_batch
from trimtab.sdk.routing import (
    PAYLOAD_TYPE,
    Resolution,
    RoutingTable,
    VersionEntry,
    parse,
    resolve,
)

POLL_SECONDS = 0.03
TABLE_BYTES = 1 << 20
NAME = "gateway"


@dataclass(frozen=True)
class Shipment:
    """A day's predictions of one version as one batch, and the labels of all of it."""

    id: str
    predictions: bytes
    labels: bytes
    rows: int


class Gateway:
    """Follows the routing table for as long as it is open."""

    def __init__(self, url: Callable[[], str], key: str, keys: Path, folder: Path):
        self._url = url
        self._headers = {"X-Api-Key": key}
        public = load_public_key((keys / "permits.pub.pem").read_bytes())
        assert isinstance(public, Ed25519PublicKey)
        self._trusted = {key_id(public): public}
        self._folder = folder
        self._loaded: dict[str, LoadedVersion] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.table: RoutingTable | None = None

    def open(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        with httpx.Client(headers=self._headers, timeout=10) as http:
            while not self._stopping.wait(POLL_SECONDS):
                try:
                    self._look(http)
                except httpx.TransportError:
                    continue  # the control plane is dead, or dying

    def _look(self, http: httpx.Client) -> None:
        url = f"{self._url()}/api/v1"
        known = {} if self.table is None else {"If-None-Match": f'"{self.table.epoch}"'}
        answer = http.get(f"{url}/routing", headers=known)
        if answer.status_code == 200:
            sealed = open_sealed(answer.content, PAYLOAD_TYPE, self._trusted, max_bytes=TABLE_BYTES)
            self.table = parse(sealed)
        if self.table is not None:
            body = {"name": NAME, "epoch": self.table.epoch, "refused": []}
            http.put(f"{url}/gateways/{NAME}", json=body)

    def answer(
        self, model: str, traffic: Traffic, day: datetime, span: timedelta, fetch: Fetch
    ) -> list[Shipment]:
        """Score a day's traffic by the table that is applied: a batch for each version.

        Endpoints that no version answers are left out. Rows lie evenly within `span` of
        `day`; nothing depends on when this is called.
        """
        assert self.table is not None
        rows_of: dict[str, list[int]] = {}
        for row, endpoint in enumerate(traffic.endpoints):
            rows_of.setdefault(str(endpoint), []).append(row)
        answered = []
        for endpoint, rows in sorted(rows_of.items(), key=lambda item: item[1][0]):
            try:
                found = resolve(self.table, model, None, endpoint)
            except NotFound:
                continue
            moment = day + span * (rows[0] / len(traffic))
            answered.append((found, endpoint, moment, rows))
        return self._batches(model, traffic, day, answered, fetch)

    def _batches(
        self,
        model: str,
        traffic: Traffic,
        day: datetime,
        answered: Sequence[tuple[Resolution, str, datetime, list[int]]],
        fetch: Fetch,
    ) -> list[Shipment]:
        found = []
        by_version = sorted(answered, key=lambda item: item[0].version)
        for version, group in groupby(by_version, key=lambda item: item[0].version):
            calls = list(group)
            loaded = self._load(model, version, calls[0][0].digest, fetch)
            captured = [_captured(loaded, traffic, *call) for call in calls]
            ids = [c.prediction_id for c in captured for _ in range(c.rows)]
            rows = [row for c in captured for row in range(c.rows)]
            labels = [int(traffic.labels[row]) for *_, own in calls for row in own]
            name = f"{model}-{version}-{day.date().isoformat()}"
            batch = encode(captured)
            found.append(Shipment(name, batch.payload, labels_batch(ids, rows, labels), batch.rows))
        return found

    def _load(self, model: str, version: str, digest: str, fetch: Fetch) -> LoadedVersion:
        if digest not in self._loaded:
            content = fetch(digest)
            self._folder.mkdir(parents=True, exist_ok=True)
            settings = SessionSettings(threads=1, empty_folder=self._folder)
            entry = VersionEntry(digest, model, version, None)
            self._loaded[digest] = LoadedVersion(entry, content, settings)
        return self._loaded[digest]

    def ship(self, shipment: Shipment) -> None:
        """Send a batch of predictions; the same batch again is counted once.

        Raises:
            Unavailable: nobody answers.
        """
        headers = {
            **self._headers,
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": shipment.id,
        }
        try:
            answer = httpx.post(
                f"{self._url()}/api/v1/predictions",
                content=shipment.predictions,
                headers=headers,
                timeout=30,
            )
        except httpx.TransportError as error:
            raise Unavailable("nobody answers") from error
        assert answer.status_code == 202, answer.text


Fetch = Callable[[str], bytes]
"""An artifact's bytes by their digest."""


def _captured(
    loaded: LoadedVersion,
    traffic: Traffic,
    found: Resolution,
    endpoint: str,
    moment: datetime,
    rows: list[int],
) -> Captured:
    inputs = {}
    for spec in loaded.inputs:
        values = traffic.features[spec.name][rows]
        kind = object if values.dtype.kind == "U" else np.float32
        inputs[spec.name] = values.astype(kind).reshape(-1, 1)
    outputs = loaded.run(inputs, len(rows))
    at_us = int(moment.timestamp() * 1_000_000)
    return Captured(
        version=loaded.schema,
        prediction_id=_prediction_id(at_us, f"{loaded.entry.model} {endpoint}"),
        tenant=None,
        endpoint=endpoint,
        deployment=found.deployment.value,
        reason=found.reason,
        at_us=at_us,
        latency_ms=1.0,
        rows=len(rows),
        inputs=inputs,
        outputs=dict(zip((spec.name for spec in loaded.outputs), outputs, strict=True)),
    )


def _prediction_id(at_us: int, what: str) -> str:
    """A UUIDv7 whose random part is not random."""
    drawn = int.from_bytes(hashlib.sha256(f"{what} {at_us}".encode()).digest()[:10], "big")
    value = (at_us // 1000) << 80 | drawn
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
