"""A control plane in this process whose credentials are looked at: no jobs run in it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.databases import database_for

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.identity import service as identity
from trimtab.identity import store
from trimtab.identity.model import Person
from trimtab.identity.passwords import hash_password
from trimtab.kernel.actor import system
from trimtab.kernel.ids import PersonId, TenantId
from trimtab.platform.settings import Settings
from trimtab.workflows.parts import Parts

PASSWORD = "four unrelated small words"
BOSS = system("test")
HOME = "192.0.2.7"
"""The address that requests come from, where a test names none."""

BECAUSE = {"reason": "a test of it"}
MODELS = "/api/v1/models"


class Plane:
    """An application, an administrator, and the verbs that tests begin with."""

    def __init__(self, home: Path, **settings: Any):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        chosen = {"TRIMTAB_HOME": home, "TRIMTAB_PORT": port, **database_for(home), **settings}
        self.home = home
        self.origin = f"http://127.0.0.1:{port}"
        self.application = Application(Settings.model_validate(chosen))
        self.app = self.application.http()
        config = uvicorn.Config(self.app, log_level="warning", log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        self._listener = listener
        self.clients: list[httpx.Client] = []
        self.people: dict[str, Person] = {}
        self.person("root", "admin")
        self.admin = self.as_person("root")

    @property
    def parts(self) -> Parts:
        return self.application.parts

    def http(self, address: str = HOME, **headers: str) -> httpx.Client:
        """A caller at an address, which a proxy on this machine says is theirs."""
        told = {"X-Forwarded-For": address, **headers}
        made = httpx.Client(base_url=self.origin, headers=told, timeout=60, trust_env=False)
        self.clients.append(made)
        return made

    def person(self, name: str, *roles: str, tenant: str | None = None) -> Person:
        """Somebody new, with an address at example.org."""
        with self.parts.records.begin(BOSS, reason="moves in") as work:
            if tenant is not None and not store.tenant_exists(work, tenant):
                identity.create_tenant(work, tenant, tenant.upper())
            found = identity.add_person(
                work,
                email=f"{name}@example.org",
                name=name.capitalize(),
                roles=roles or ("data_scientist",),
                password_hash=hash_password(PASSWORD),
                tenant=None if tenant is None else TenantId(tenant),
            )
        self.people[name] = found
        return found

    def token(self, name: str) -> str:
        """A bearer token of somebody, as they are now."""
        with self.parts.records.look() as reading:
            person = store.person(reading, self.people[name].id)
        return identity.token_for(self.parts.tokens, person)

    def as_person(self, name: str) -> httpx.Client:
        """A caller with a bearer token of somebody."""
        return self.http(Authorization=f"Bearer {self.token(name)}")

    def account(
        self, name: str, *roles: str, tenant: str | None = None, owner: str = "root"
    ) -> dict[str, Any]:
        """A new service account, with its key."""
        body = {"name": name, "roles": list(roles or ("endpoint",)), "tenant": tenant}
        body["owner"] = self.people[owner].id
        answer = self.admin.post("/api/v1/service-accounts", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def log_in(self, name: str, password: str = PASSWORD, *, address: str = HOME) -> httpx.Response:
        """An attempt to get a token."""
        email = name if "@" in name else f"{name}@example.org"
        body = {"email": email, "password": password}
        return self.http(address).post("/api/v1/tokens", json=body)

    def entries(self, *kinds: str) -> list[ledger.Entry]:
        """Entries of these kinds, oldest first."""
        with self.parts.records.look() as reading:
            return list(ledger.entries(reading.connection, kinds=kinds, limit=1000))

    def stored(self, person: PersonId) -> Person:
        """Somebody as they stand in the records."""
        with self.parts.records.look() as reading:
            return store.person(reading, person)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self.parts.records.database.close()


@contextmanager
def plane_in(home: Path, **settings: Any) -> Iterator[Plane]:
    """A control plane for a while."""
    found = Plane(home, **settings)
    try:
        yield found
    finally:
        found.close()
