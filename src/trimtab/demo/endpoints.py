"""Endpoints that ask the gateway: Open Inference Protocol v2, over one connection a day."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from trimtab.demo.data import Traffic
from trimtab.kernel.errors import Unavailable


@dataclass(frozen=True)
class Asked:
    """Answered predictions of one day: id and row of each, and the truth about it."""

    ids: list[str]
    rows: list[int]
    labels: list[int]
    unanswered: int
    """Rows that no version answers: a first release that has not reached their endpoint."""


class Endpoints:
    """All endpoints of a fleet, by tenant.

    They ask one after the other: the gateway, not the asking, is what a day waits for, and
    the rows of a day then arrive in the same order in every run.
    """

    def __init__(self, gateway: str, keys: Mapping[str | None, str]):
        address = urlsplit(gateway)
        self._connection = http.client.HTTPConnection(
            str(address.hostname), int(address.port or 80), timeout=30
        )
        self._keys = keys

    def ask(self, model: str, traffic: Traffic) -> Asked:
        """Send a day's rows, one call for each endpoint.

        Raises:
            Unavailable: the gateway refuses what it should answer.
        """
        asked = Asked([], [], [], 0)
        unanswered = 0
        for call in _calls(traffic):
            prediction = self._infer(model, call, _body(traffic, call.rows))
            if prediction is None:
                unanswered += call.rows.size
                continue
            asked.ids.extend([prediction] * call.rows.size)
            asked.rows.extend(range(call.rows.size))
            asked.labels.extend(traffic.labels[call.rows].astype(int).tolist())
        self._connection.close()  # until tomorrow; servers end what lies idle
        return replace(asked, unanswered=unanswered)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _infer(self, model: str, call: _Call, body: bytes) -> str | None:
        """The id of the prediction; None where no version answers this endpoint."""
        headers = {
            "Content-Type": "application/json",
            "X-Api-Key": self._keys[call.tenant],
            "X-Endpoint-Id": call.endpoint,
        }
        try:
            self._connection.request("POST", f"/v2/models/{model}/infer", body, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the gateway does not answer: {error}") from error
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unavailable(f"the gateway answered {answer.status}: {content[:500]!r}")
        return str(json.loads(content)["parameters"]["prediction_id"])


@dataclass(frozen=True)
class _Call:
    tenant: str | None
    endpoint: str
    rows: NDArray[np.intp]


def _calls(traffic: Traffic) -> list[_Call]:
    """The rows of each endpoint together, the endpoints in the order of their first row."""
    tenants = (
        np.full(len(traffic), "") if traffic.tenants is None else np.char.lower(traffic.tenants)
    )
    keys = np.char.add(np.char.add(tenants.astype(str), "\0"), traffic.endpoints.astype(str))
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    owned = [rows for rows in np.split(order, starts) if rows.size]
    return [
        _Call(str(tenants[rows[0]]) or None, str(traffic.endpoints[rows[0]]), rows)
        for rows in sorted(owned, key=lambda rows: int(rows[0]))
    ]


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
