"""The Python client: the nouns of the interface, typed, with the errors of the house.

    client = Client("http://localhost:8000", token=...)
    client.approvals.vote("apr_...", approve=True, digest="sha256:...", reason="looked at it")

Whatever the server refuses is raised as the same class that it raised there. Lists are read
page by page as they are iterated. What could be sent again is, a few times; see `Persistence`.
One file for each noun.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from trimtab.sdk import shapes
from trimtab.sdk.client.approvals import Approvals
from trimtab.sdk.client.audit import Audit
from trimtab.sdk.client.identity import Credentials, Identity
from trimtab.sdk.client.inventory import ComplianceNoun, Connections, Inventory
from trimtab.sdk.client.models import Models
from trimtab.sdk.client.monitoring import Monitoring
from trimtab.sdk.client.operations import ClockNoun, Gateways, Operations
from trimtab.sdk.client.remediation import Remediations
from trimtab.sdk.client.rollouts import Rollouts
from trimtab.sdk.client.wire import BY_CODE, Persistence, Wire, read, trusted
from trimtab.sdk.request_signing import Signer

__all__ = ["BY_CODE", "Client", "Persistence"]


class Client:
    """A connection to one control plane, as one actor.

    Args:
        url: Where the control plane is.
        key: An API key, which signs each request and does not travel where `signed`; or
        token: a bearer token.
        tenant: Narrow every request to this tenant.
        timeout: Seconds for one request.
        transport: How requests travel; for tests, an application in this process.
        persistence: How often a request is sent where nobody answers.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        token: str | None = None,
        tenant: str | None = None,
        signed: bool = False,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        persistence: Persistence = Persistence(),  # noqa: B008 - it is frozen
    ):
        headers = {"Accept": "application/json"}
        if key is not None and not signed:
            headers["X-Api-Key"] = key
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if tenant is not None:
            headers["X-Tenant-Id"] = tenant
        http = httpx.Client(
            base_url=url,
            headers=headers,
            auth=Signer(key) if key and signed else None,
            timeout=timeout,
            transport=transport,
            verify=trusted(),
        )
        self._wire = Wire(http, persistence)
        self.models = Models(self._wire)
        self.approvals = Approvals(self._wire, self.models)
        self.rollouts = Rollouts(self._wire)
        self.monitoring = Monitoring(self._wire)
        self.remediation = Remediations(self._wire)
        self.connections = Connections(self._wire)
        self.inventory = Inventory(self._wire)
        self.compliance = ComplianceNoun(self._wire)
        self.audit = Audit(self._wire)
        self.identity = Identity(self._wire)
        self.credentials = Credentials(self._wire)
        self.operations = Operations(self._wire)
        self.gateways = Gateways(self._wire)
        self.clock = ClockNoun(self._wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._wire.close()

    def health(self) -> shapes.HealthShape:
        """How the control plane is; also when it is not well."""
        answer = self._wire.send("GET", "/health", accept=(200, 503))
        return read(shapes.HealthShape, answer)

    def metrics(self) -> str:
        """Metrics in Prometheus' text format."""
        return self._wire.send("GET", "/metrics").text

    def send_labels(self, model: str, batch_id: str, body: bytes) -> shapes.ReceiptShape:
        """Send labels as an Arrow stream; the same batch again is counted once."""
        return self.gateways.send_labels(model, batch_id, body)
