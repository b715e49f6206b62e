"""The people and programs of the story, each with a credential of their own."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.demo.processes import ControlPlane, new_password
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

SIGNERS = {
    "ml_lead": "Mira Lindqvist",
    "business_owner": "Bola Okafor",
    "peer_reviewer": "Pia Renner",
    "ml_engineer": "Emil Marek",
}
"""Who answers for what, by role."""


@dataclass(frozen=True)
class Cast:
    """Connections, each as somebody: nobody does what another one may."""

    admin: Client
    scientist: Client
    signers: dict[str, Client]
    on_call: Client
    auditor: Client
    feed: Client
    gateway_key: str
    endpoint_keys: dict[str | None, str]
    passwords: dict[str, str]
    """Password by e-mail address, so that a visitor of the pages can log in as somebody."""

    def close(self) -> None:
        """Let all connections go."""
        for client in (
            self.admin,
            self.scientist,
            *self.signers.values(),
            self.on_call,
            self.auditor,
            self.feed,
        ):
            client.close()


def assemble(control: ControlPlane, tenants: tuple[str, ...]) -> Cast:
    """Add tenants, people and service accounts through the public interface."""
    url = control.url
    with Client(url) as nobody:
        admin = Client(url, token=nobody.identity.log_in("admin@localhost", control.admin_password))
    for tenant in tenants:
        admin.identity.add_tenant(shapes.NewTenant(id=tenant, name=f"Airline {tenant.upper()}"))
    passwords: dict[str, str] = {"admin@localhost": control.admin_password}

    def person(name: str, role: str) -> Client:
        email = f"{name.split()[0].lower()}@example.org"
        passwords[email] = new_password()
        admin.identity.add_person(
            shapes.NewPerson(email=email, name=name, roles=[role], password=passwords[email])
        )
        with Client(url) as nobody:
            return Client(url, token=nobody.identity.log_in(email, passwords[email]))

    def account(name: str, role: str, tenant: str | None = None) -> str:
        return admin.identity.add_account(
            shapes.NewAccount(name=name, roles=[role], tenant=tenant)
        ).key

    return Cast(
        admin=admin,
        scientist=person("Dana Scholl", "data_scientist"),
        signers={role: person(name, role) for role, name in SIGNERS.items()},
        on_call=person("Omar Castillo", "on_call"),
        auditor=person("Aud Tveit", "auditor"),
        feed=Client(url, key=account("label feed", "feed")),
        gateway_key=account("gateway", "gateway"),
        endpoint_keys={
            tenant: account(f"endpoints of {tenant or 'everybody'}", "endpoint", tenant)
            for tenant in (*tenants, None)
        },
        passwords=passwords,
    )
