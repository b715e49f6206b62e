"""Endpoints that ask the gateway: Open Inference Protocol v2, over kept connections."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from trimtab.demo.data import Traffic
from trimtab.kernel.errors import Unavailable

CONNECTIONS = 2


@dataclass(frozen=True)
class Asked:
    """Answered predictions of one day: id and row of each, and the truth about it."""

    ids: list[str]
    rows: list[int]
    labels: list[int]
    unanswered: int
    """Rows that no version answers: a first release that has not reached their endpoint."""


class Endpoints:
    """All endpoints of a fleet, by tenant."""

    def __init__(self, gateway: str, keys: Mapping[str | None, str]):
        address = urlsplit(gateway)
        self._host, self._port = str(address.hostname), int(address.port or 80)
        self._keys = keys
        self._pool = ThreadPoolExecutor(CONNECTIONS)

    def ask(self, model: str, traffic: Traffic) -> Asked:
        """Send a day's rows, one call for each endpoint.

        Raises:
            Unavailable: the gateway refuses what it should answer.
        """
        calls = list(_calls(traffic))
        halves = [calls[i::CONNECTIONS] for i in range(CONNECTIONS)]
        found = list(self._pool.map(lambda part: self._send(model, traffic, part), halves))
        return Asked(
            ids=[i for asked in found for i in asked.ids],
            rows=[r for asked in found for r in asked.rows],
            labels=[label for asked in found for label in asked.labels],
            unanswered=sum(asked.unanswered for asked in found),
        )

    def close(self) -> None:
        """Let the connections go."""
        self._pool.shutdown()

    def _send(self, model: str, traffic: Traffic, calls: list[_Call]) -> Asked:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        asked = Asked([], [], [], 0)
        unanswered = 0
        for call in calls:
            body = _body(traffic, call.rows)
            headers = {
                "Content-Type": "application/json",
                "X-Api-Key": self._keys[call.tenant],
                "X-Endpoint-Id": call.endpoint,
            }
            connection.request("POST", f"/v2/models/{model}/infer", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 404:
                unanswered += call.rows.size
                continue
            if answer.status != 200:
                raise Unavailable(f"the gateway answered {answer.status}: {content[:500]!r}")
            prediction = json.loads(content)["parameters"]["prediction_id"]
            asked.ids.extend([prediction] * call.rows.size)
            asked.rows.extend(range(call.rows.size))
            asked.labels.extend(traffic.labels[call.rows].astype(int).tolist())
        connection.close()
        return Asked(asked.ids, asked.rows, asked.labels, unanswered)


@dataclass(frozen=True)
class _Call:
    tenant: str | None
    endpoint: str
    rows: NDArray[np.intp]


def _calls(traffic: Traffic) -> Iterator[_Call]:
    """The rows of each endpoint together."""
    tenants = (
        np.full(len(traffic), "") if traffic.tenants is None else np.char.lower(traffic.tenants)
    )
    keys = np.char.add(np.char.add(tenants.astype(str), "\0"), traffic.endpoints.astype(str))
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    for rows in np.split(order, starts[1:]):
        if rows.size:
            tenant = str(tenants[rows[0]]) or None
            yield _Call(tenant, str(traffic.endpoints[rows[0]]), rows)


def _body(traffic: Traffic, rows: NDArray[np.intp]) -> bytes:
    return json.dumps(
        {"inputs": [_tensor(name, values[rows]) for name, values in traffic.features.items()]}
    ).encode()


def _tensor(name: str, values: NDArray[Any]) -> dict[str, Any]:
    text = values.dtype.kind in "UO"
    return {
        "name": name,
        "datatype": "BYTES" if text else "FP32",
        "shape": [int(values.size), 1],
        "data": values.tolist(),
    }
