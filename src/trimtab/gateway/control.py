"""Calls to the control plane: tables, artifacts, reports, predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from trimtab.gateway.batches import CONTENT_TYPE, Batch
from trimtab.gateway.loading import read_signature
from trimtab.gateway.settings import Settings
from trimtab.gateway.shipping import Outcome
from trimtab.gateway.state import CachedArtifact
from trimtab.kernel.errors import IntegrityFailed, Unavailable
from trimtab.kernel.events import canonical
from trimtab.sdk.routing import VersionEntry

_TRY_AGAIN = frozenset({401, 403, 404, 408, 409, 425, 429})
"""Answers that say something about us or the moment, not about the batch."""

_WHOSE_KEY = ": TRIMTAB_GATEWAY_API_KEY has to be the key of a gateway's account"


class ControlPlane:
    """The control plane over HTTP. Redirects are not followed: the key goes to one host."""

    def __init__(self, settings: Settings):
        self._settings = settings
        headers = {"User-Agent": "trimtab-gateway"}
        if settings.api_key:
            headers["X-Api-Key"] = settings.api_key
        self._http = httpx.Client(
            base_url=settings.control.rstrip("/"),
            headers=headers,
            timeout=settings.control_seconds,
            follow_redirects=False,
            trust_env=False,
        )
        self._etag: str | None = None
        self._pending_etag: str | None = None

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def table(self) -> bytes | None:
        """The sealed routing table, unverified; None when it is still the one accepted.

        Raises:
            Unavailable: no answer, or one that is not a table.
            IntegrityFailed: larger than allowed.
        """
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        status, found, body = self._read(
            "/api/v1/routing", headers, self._settings.max_table_bytes, (200, 304)
        )
        if status == 304:
            return None
        self._pending_etag = found.get("etag")
        return body

    def accepted(self) -> None:
        """The table last given was accepted: ask only for another from now on."""
        self._etag = self._pending_etag

    def artifact(self, entry: VersionEntry) -> CachedArtifact:
        """Model, bundle and binding, unverified.

        Raises:
            Unavailable: they cannot be had now.
            IntegrityFailed: larger than allowed, or not in the form agreed.
        """
        wanted = {"model": entry.model, "version": entry.version, "type": "onnx"}
        download = entry.download_url or f"/api/ml/model/download?{urlencode(wanted)}"
        model, version = quote(entry.model, safe=""), quote(entry.version, safe="")
        signature = entry.signature_url or f"/api/v1/models/{model}/versions/{version}/signature"
        headers = {} if entry.tenant is None else {"X-Tenant-Id": entry.tenant}
        _, _, answer = self._read(signature, headers, 4 * self._settings.max_metadata_bytes)
        bundle, binding = read_signature(answer)
        _, _, content = self._read(download, headers, self._settings.max_model_bytes)
        return CachedArtifact(content, bundle, binding)

    def report(self, report: Mapping[str, Any]) -> None:
        """Tell what is served here.

        Raises:
            Unavailable: it was not taken.
        """
        path = f"/api/v1/gateways/{quote(self._settings.name, safe='')}"
        try:
            answer = self._http.put(
                path, content=canonical(report), headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"the report was not sent: {type(error).__name__}") from error
        if not answer.is_success:
            raise Unavailable(f"the report was answered with {answer.status_code}")

    def ship(self, batch: Batch) -> Outcome:
        """Send a batch once, under its id."""
        headers = {"Content-Type": CONTENT_TYPE, "Idempotency-Key": batch.id}
        try:
            answer = self._http.post("/api/v1/predictions", content=batch.payload, headers=headers)
        except httpx.HTTPError:
            return "retry"
        if answer.is_success:
            return "shipped"
        refused = 400 <= answer.status_code < 500 and answer.status_code not in _TRY_AGAIN
        return "refused" if refused else "retry"

    def _read(
        self,
        path: str,
        headers: Mapping[str, str],
        max_bytes: int,
        good: tuple[int, ...] = (200,),
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if answer.status_code not in good:
                    hint = _WHOSE_KEY if answer.status_code in (401, 403) else ""
                    raise Unavailable(f"{path} was answered with {answer.status_code}{hint}")
                parts: list[bytes] = []
                size = 0
                for part in answer.iter_bytes():
                    size += len(part)
                    if size > max_bytes:
                        raise IntegrityFailed(f"{path} gives more than {max_bytes} bytes")
                    parts.append(part)
                return answer.status_code, answer.headers, b"".join(parts)
        except httpx.HTTPError as error:
            raise Unavailable(f"{path} was not read: {type(error).__name__}") from error
