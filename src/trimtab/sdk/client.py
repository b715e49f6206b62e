"""The Python client: the nouns of the interface, typed, with the errors of the house.

    client = Client("http://localhost:8000", token=...)
    client.approvals.vote("apr_...", approve=True, digest="sha256:...", reason="looked at it")

Whatever the server refuses is raised as the same class that it raised there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from trimtab.kernel import errors
from trimtab.kernel.errors import TrimtabError, Unavailable
from trimtab.sdk import shapes

A = TypeVar("A", bound=shapes.Answer)

ARROW = "application/vnd.apache.arrow.stream"

_POLL_SECONDS = 0.25

_STEP_SECONDS = 150.0
"""How long a step of the clock is waited for: longer than the control plane waits itself."""

_BY_CODE = {
    kind.code: kind
    for kind in (
        errors.InvalidInput,
        errors.TooFewValues,
        errors.NotAuthenticated,
        errors.NotPermitted,
        errors.NotFound,
        errors.Conflict,
        errors.InvalidMove,
        errors.PolicyRefused,
        errors.IntegrityFailed,
        errors.Unavailable,
    )
}


class Client:
    """A connection to one control plane, as one actor.

    Args:
        url: Where the control plane is.
        key: An API key; or
        token: a bearer token.
        tenant: Narrow every request to this tenant.
        timeout: Seconds for one request.
        transport: How requests travel; for tests, an application in this process.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        token: str | None = None,
        tenant: str | None = None,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ):
        headers = {"Accept": "application/json"}
        if key is not None:
            headers["X-Api-Key"] = key
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if tenant is not None:
            headers["X-Tenant-Id"] = tenant
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )
        self.models = Models(self)
        self.approvals = Approvals(self)
        self.rollouts = Rollouts(self)
        self.monitoring = Monitoring(self)
        self.remediation = Remediations(self)
        self.audit = Audit(self)
        self.identity = Identity(self)
        self.clock = ClockNoun(self)

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
        self._http.close()

    def health(self) -> shapes.HealthShape:
        """How the control plane is; also when it is not well."""
        answer = self._send("GET", "/health", accept=(200, 503))
        return shapes.HealthShape.model_validate(answer.json())

    def get(self, path: str, kind: type[A], **query: object) -> A:
        """GET one thing."""
        return kind.model_validate(self._send("GET", path, params=query).json())

    def post(self, path: str, body: object, kind: type[A], **query: object) -> A:
        """POST a JSON body, and read the answer."""
        return kind.model_validate(self._send("POST", path, json_body=body, params=query).json())

    def pages(self, path: str, kind: type[A], **query: object) -> Iterator[A]:
        """All things of a listing, page by page."""
        after: str | None = None
        while True:
            wanted = {**query, **({} if after is None else {"after": after})}
            page = self._send("GET", path, params=wanted).json()
            for item in page["items"]:
                yield kind.model_validate(item)
            after = page.get("next")
            if after is None:
                return

    def send_labels(self, model: str, batch_id: str, body: bytes) -> shapes.ReceiptShape:
        """Send labels as an Arrow stream; the same batch again is counted once."""
        answer = self._send(
            "POST",
            "/api/v1/labels",
            params={"model": model},
            content=body,
            headers={"Content-Type": ARROW, "Idempotency-Key": batch_id},
        )
        return shapes.ReceiptShape.model_validate(answer.json())

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json_body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        files: Any = None,
        data: Any = None,
        accept: tuple[int, ...] = (),
        seconds: float | None = None,
    ) -> httpx.Response:
        query = {k: v for k, v in (params or {}).items() if v is not None}
        try:
            answer = self._http.request(
                method,
                path,
                params=query,  # type: ignore[arg-type] # values are plain; httpx names each kind
                json=json_body,
                content=content,
                headers=headers,
                files=files,
                data=data,
                timeout=httpx.USE_CLIENT_DEFAULT if seconds is None else seconds,
            )
        except httpx.TransportError as error:
            raise Unavailable(
                f"the control plane does not answer: {error}",
                remedy="check its address, and that it is running",
            ) from error
        if answer.status_code >= 400 and answer.status_code not in accept:
            raise _error(answer)
        return answer


class Noun:
    """Part of a client that speaks of one noun."""

    def __init__(self, client: Client):
        self._client = client


class Models(Noun):
    """Models and their versions."""

    def register(self, model: shapes.NewModel) -> shapes.ModelShape:
        """Register a model."""
        body = model.model_dump(exclude_none=True)
        return self._client.post("/api/v1/models", body, shapes.ModelShape)

    def list(
        self, *, as_of: datetime | None = None, vocabulary: str | None = None
    ) -> Iterator[shapes.ModelShape]:
        """All models; with `as_of`, those that were registered by then, as they stood then."""
        return self._client.pages(
            "/api/v1/models", shapes.ModelShape, as_of=_sent(as_of), vocabulary=vocabulary
        )

    def get(
        self, model: str, *, as_of: datetime | None = None, vocabulary: str | None = None
    ) -> shapes.ModelShape:
        """One model, now or as it stood at a moment."""
        path = f"/api/v1/models/{model}"
        return self._client.get(path, shapes.ModelShape, as_of=_sent(as_of), vocabulary=vocabulary)

    def upload(
        self,
        model: str,
        version: shapes.NewVersion,
        *,
        artifact: bytes,
        reference: bytes,
        holdout: bytes,
    ) -> shapes.VersionShape:
        """Hand in a version: ONNX, and two Parquet files."""
        answer = self._client._send(
            "POST",
            f"/api/v1/models/{model}/versions",
            data={"metadata": version.model_dump_json(exclude_none=True)},
            files={
                "artifact": ("model.onnx", artifact),
                "reference": ("reference.parquet", reference),
                "holdout": ("holdout.parquet", holdout),
            },
        )
        return shapes.VersionShape.model_validate(answer.json())

    def versions(
        self, model: str, *, as_of: datetime | None = None, vocabulary: str | None = None
    ) -> Iterator[shapes.VersionShape]:
        """Versions of a model that the caller may see, now or as they stood at a moment."""
        path = f"/api/v1/models/{model}/versions"
        return self._client.pages(
            path, shapes.VersionShape, as_of=_sent(as_of), vocabulary=vocabulary
        )

    def version(
        self,
        model: str,
        version: str | int,
        *,
        as_of: datetime | None = None,
        vocabulary: str | None = None,
    ) -> shapes.VersionShape:
        """One version, by its semantic version or its number, now or as it stood at a moment."""
        path = f"/api/v1/models/{model}/versions/{version}"
        return self._client.get(
            path, shapes.VersionShape, as_of=_sent(as_of), vocabulary=vocabulary
        )

    def checks(self, model: str, version: str) -> Iterator[shapes.CheckShape]:
        """Every run of every check on a version."""
        path = f"/api/v1/models/{model}/versions/{version}/checks"
        return self._client.pages(path, shapes.CheckShape)

    def deployments(
        self, model: str, *, as_of: datetime | None = None
    ) -> Iterator[shapes.DeploymentShape]:
        """Where versions of a model carry or carried traffic, now or at a moment."""
        path = f"/api/v1/models/{model}/deployments"
        return self._client.pages(path, shapes.DeploymentShape, as_of=_sent(as_of))

    def latest(
        self,
        model: str | None = None,
        endpoint: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> shapes.LatestShape:
        """Which version answers the caller, or answered at a moment, and why."""
        headers = {} if endpoint is None else {"X-Endpoint-Id": endpoint}
        query = {"model": model, "as_of": _sent(as_of)}
        answer = self._client._send("GET", "/api/ml/model/latest", params=query, headers=headers)
        return shapes.LatestShape.model_validate(answer.json())

    def download(self, model: str, version: str) -> bytes:
        """The verified bytes of a version."""
        query = {"model": model, "version": version, "type": "onnx"}
        return self._client._send("GET", "/api/ml/model/download", params=query).content


class Approvals(Noun):
    """Requests for approval."""

    def list(self, phase: str | None = None) -> Iterator[shapes.ApprovalShape]:
        """Requests, newest first."""
        return self._client.pages("/api/v1/approvals", shapes.ApprovalShape, phase=phase)

    def get(self, approval: str) -> shapes.ApprovalShape:
        """One request."""
        return self._client.get(f"/api/v1/approvals/{approval}", shapes.ApprovalShape)

    def wait(self, model: str, version: str, *, seconds: float = 60.0) -> shapes.ApprovalShape:
        """The pending request for a version, once its checks have brought it about.

        Raises:
            Unavailable: there is none after so many seconds; the remedy says what keeps it: a
                policy, or which checks did not pass, and why.
        """
        deadline = time.monotonic() + seconds
        while True:
            for found in self.list(phase="pending"):
                if (found.target.model, found.target.version) == (model, version):
                    return found
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        held = self._client.models.version(model, version).held_because
        checks = list(self._client.models.checks(model, version))
        said = [held] if held else []
        said += [f"{c.name} {c.verdict}: {c.reason}" for c in checks if c.verdict != "pass"]
        raise Unavailable(
            f"no approval of {model} {version} is pending after {seconds:g} seconds",
            remedy="; ".join(said) or f"of its checks, {len(checks)} have passed so far",
        )

    def vote(
        self, approval: str, *, approve: bool, digest: str, reason: str
    ) -> shapes.ApprovalShape:
        """Say yes or no to the bytes that were looked at."""
        body = {"approve": approve, "digest": digest, "reason": reason}
        return self._client.post(f"/api/v1/approvals/{approval}/votes", body, shapes.ApprovalShape)


class Rollouts(Noun):
    """Releases on their way."""

    def list(self, model: str | None = None) -> Iterator[shapes.RolloutShape]:
        """Rollouts, newest first."""
        return self._client.pages("/api/v1/rollouts", shapes.RolloutShape, model=model)

    def get(self, rollout: str) -> shapes.RolloutShape:
        """One rollout."""
        return self._client.get(f"/api/v1/rollouts/{rollout}", shapes.RolloutShape)

    def hold(self, rollout: str, *, reason: str) -> shapes.RolloutShape:
        """Freeze traffic where it stands."""
        return self._verb(rollout, "hold", reason)

    def resume(self, rollout: str, *, reason: str) -> shapes.RolloutShape:
        """Let a held rollout run on."""
        return self._verb(rollout, "resume", reason)

    def abort(self, rollout: str, *, reason: str) -> shapes.RolloutShape:
        """Take a rollout back for good."""
        return self._verb(rollout, "abort", reason)

    def _verb(self, rollout: str, verb: str, reason: str) -> shapes.RolloutShape:
        path = f"/api/v1/rollouts/{rollout}/{verb}"
        return self._client.post(path, {"reason": reason}, shapes.RolloutShape)


class Monitoring(Noun):
    """Windows and incidents."""

    def totals(self) -> shapes.TotalsShape:
        """Predictions and labels that are on record."""
        return self._client.get("/api/v1/monitoring/totals", shapes.TotalsShape)

    def windows(self, model: str) -> Iterator[shapes.WindowShape]:
        """Windows that were looked at, newest first."""
        path = f"/api/v1/monitoring/models/{model}/windows"
        return self._client.pages(path, shapes.WindowShape)

    def incidents(self, *, all_of_them: bool = False) -> Iterator[shapes.IncidentShape]:
        """Incidents: those that are open, or all."""
        state = "all" if all_of_them else "active"
        return self._client.pages("/api/v1/monitoring/incidents", shapes.IncidentShape, state=state)

    def incident(self, incident: str) -> shapes.IncidentShape:
        """One incident, with its timeline."""
        return self._client.get(f"/api/v1/monitoring/incidents/{incident}", shapes.IncidentShape)

    def root_cause(self, incident: str) -> shapes.RootCauseShape:
        """What broke, with the evidence for and against."""
        return self._client.get(f"/api/v1/analysis/rca/{incident}", shapes.RootCauseShape)


class Remediations(Noun):
    """What was done about incidents."""

    def list(self) -> Iterator[shapes.RemediationShape]:
        """Remediations, newest first."""
        return self._client.pages("/api/v1/remediation", shapes.RemediationShape)

    def execute(self, incident: str, action: str, *, reason: str) -> shapes.RemediationShape:
        """Ask for an action; the safety gate decides."""
        body = {"incident_id": incident, "action": action, "reason": reason}
        return self._client.post("/api/v1/remediation/execute", body, shapes.RemediationShape)

    def kill_switches(self) -> Iterator[shapes.KillSwitchShape]:
        """What stops actions now."""
        return self._client.pages("/api/v1/kill-switches", shapes.KillSwitchShape)

    def stop(self, scope: str, name: str = "", *, reason: str) -> shapes.KillSwitchShape:
        """Stop every action on the `fleet`, or on a `model` or `tenant` of this name."""
        answer = self._client._send(
            "PUT",
            f"/api/v1/kill-switches/{scope}",
            params={"name": name},
            json_body={"reason": reason},
        )
        return shapes.KillSwitchShape.model_validate(answer.json())

    def go_on(self, scope: str, name: str = "", *, reason: str) -> None:
        """Clear a kill switch; only a person can."""
        query = {"name": name, "reason": reason}
        self._client._send("DELETE", f"/api/v1/kill-switches/{scope}", params=query)


class Audit(Noun):
    """The ledger."""

    def entries(
        self, *, after: int = 0, kinds: tuple[str, ...] = (), ref: str | None = None
    ) -> Iterator[shapes.EntryShape]:
        """Entries in order."""
        position = after
        while True:
            query: dict[str, object] = {"after": position, "limit": 1000, "ref": ref}
            if kinds:
                query["kind"] = list(kinds)
            page = self._client._send("GET", "/api/v1/audit/entries", params=query).json()
            for item in page["items"]:
                yield shapes.EntryShape.model_validate(item)
            if page.get("next") is None:
                return
            position = int(page["next"])

    def head(self) -> shapes.HeadShape:
        """The signed head."""
        return self._client.get("/api/v1/audit/head", shapes.HeadShape)

    def verify(self) -> shapes.VerificationShape:
        """Have the whole ledger verified."""
        return self._client.post("/api/v1/audit/verify", None, shapes.VerificationShape)


class Identity(Noun):
    """Tenants, people, service accounts."""

    def log_in(self, email: str, password: str) -> str:
        """A bearer token."""
        body = {"email": email, "password": password}
        return self._client.post("/api/v1/tokens", body, shapes.TokenShape).access_token

    def add_tenant(self, tenant: shapes.NewTenant) -> None:
        """Add a tenant."""
        self._client._send("POST", "/api/v1/tenants", json_body=tenant.model_dump())

    def people(self) -> Iterator[shapes.PersonShape]:
        """All people."""
        return self._client.pages("/api/v1/people", shapes.PersonShape)

    def add_person(self, person: shapes.NewPerson) -> shapes.PersonShape:
        """Add a person; where no tenant is named, of whoever adds them."""
        body = person.model_dump(exclude_unset=True)
        return self._client.post("/api/v1/people", body, shapes.PersonShape)

    def add_account(self, account: shapes.NewAccount) -> shapes.IssuedKey:
        """Add a service account and get its key, shown this once; where no tenant is named, of
        whoever adds it."""
        body = account.model_dump(exclude_unset=True)
        return self._client.post("/api/v1/service-accounts", body, shapes.IssuedKey)


class ClockNoun(Noun):
    """Domain time."""

    def now(self) -> shapes.ClockShape:
        """Domain time, and whether everything due has been done."""
        return self._client.get("/api/v1/clock", shapes.ClockShape)

    def step(self, to: datetime) -> shapes.ClockShape:
        """Step the clock, and wait until what became due has been done."""
        path, body = "/api/v1/clock/step", {"to": to.isoformat()}
        answer = self._client._send("POST", path, json_body=body, seconds=_STEP_SECONDS)
        return shapes.ClockShape.model_validate(answer.json())


def _sent(moment: datetime | None) -> str | None:
    """A moment as it is sent; one without a zone is left to the server to refuse."""
    return None if moment is None else moment.isoformat()


def _error(answer: httpx.Response) -> TrimtabError:
    try:
        body = answer.json()
        kind = _BY_CODE.get(body["code"], TrimtabError)
        return kind(body["detail"], field=body.get("field"), remedy=body.get("remedy"))
    except (json.JSONDecodeError, KeyError, TypeError):
        return Unavailable(f"the control plane answered {answer.status_code} without a reason")
