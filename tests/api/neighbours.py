"""Two tenants and the fleet in one house, each with one of everything that can belong to somebody.

Everything of the other tenant bears its name, so that whatever shows through can be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from tests.tables import tables_of_records
from tests.web.conftest import MODEL, PASSWORD, Browser, World
from tests.workflows.registry import Registry

from trimtab.approvals import service as approvals
from trimtab.approvals.model import Target
from trimtab.audit import ledger
from trimtab.identity import service as identity
from trimtab.identity.model import ApiKey, Person
from trimtab.identity.passwords import hash_password
from trimtab.identity.roles import ROLES
from trimtab.inventory import store
from trimtab.inventory.store import Filter
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.ids import Digest, IncidentId, TenantId
from trimtab.platform.database import Kind
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.registry.model import TrainingTrigger
from trimtab.remediation import service as remediation
from trimtab.retraining import service as retraining
from trimtab.workflows import connections, judging
from trimtab.workflows.connections import Asked
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.parts import ENVIRONMENT

OURS, THEIRS, VACANT = "acme", "globex", "vacant"
DIGEST = Digest("sha256:" + "a" * 64)
SERIES = {None: 2, OURS: 3, THEIRS: 4}
"""Of everybody's versions: the first part of their numbers."""


@dataclass(frozen=True)
class Belongings:
    """What one tenant, or the fleet, has: ids, as they stand in addresses and bodies."""

    tenant: str | None
    model: str
    version: str
    approval: str
    request: str
    """An approval that the person of all roles of the fleet, or of this tenant, has asked for."""
    rollout: str
    incident: str
    remediation: str
    person: str
    lodger: str
    """A person beside, whom nobody needs."""
    account: str
    colleague: str
    """Somebody of the same tenant whom nothing else in this house depends on."""
    key: str
    sequence: int
    connection: str
    record: str
    waiver: str


@dataclass(frozen=True)
class Caller:
    """Somebody with every role: a session at the pages if they are a person, a credential."""

    name: str
    headers: dict[str, str]
    browser: Browser | None


@dataclass(frozen=True)
class Street:
    """The house, what stands in it, and who lives there."""

    world: World
    of: dict[str | None, Belongings]
    fleet: Caller
    person: Caller
    program: Caller

    def ask(self, caller: Caller, method: str, address: str, **more: Any) -> httpx.Response:
        """A request to the interface with a credential, or a look at a page in a session."""
        if address.startswith(("/api/", "/health", "/metrics")) or caller.browser is None:
            # A range, for the versions of this world say that they have more bytes than they do.
            headers = {"Range": "bytes=0-3", **caller.headers, **more.pop("headers", {})}
            url = self.world.origin + address
            return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **more)
        return caller.browser.get(address)

    def everything(self) -> dict[str, list[Any]]:
        """Every row that stands in the records, sessions and clocks of the machine apart."""
        with self.world.parts.records.look() as reading:
            return {
                table.name: sorted(map(repr, reading.rows(sa.select(table))))
                for table in tables_of_records()
                if table.info.get("kind") is not Kind.SESSION
            }

    def entries(self) -> int:
        """How many entries the ledger has."""
        with self.world.parts.records.look() as reading:
            return ledger.size(reading.connection)

    def canaries(self) -> set[str]:
        """The other tenant's name, and the ids and numbers of all that is theirs."""
        found = {THEIRS, f"{SERIES[THEIRS]}.0.0", f"{SERIES[THEIRS]}.1.0"}
        with self.world.parts.records.look() as reading:
            for table in tables_of_records():
                if {"tenant", "id"} <= set(table.c.keys()):
                    query = sa.select(table.c.id).where(table.c.tenant == THEIRS)
                    found |= {str(row["id"]) for row in reading.rows(query)}
        return found


def settle_in(folder: Path) -> Street:
    """Build the house and let everybody move in."""
    world = World(folder)
    world.cast()
    world.model()
    fleet = newcomer(world, None)
    with world.parts.records.begin(system("test"), reason="nobody lives there") as work:
        identity.create_tenant(work, VACANT, "Vacant")
    first = world.version("1.0.0")
    world.approve(first)
    world.promote(first)
    of = {owner: moved_in(world, owner, fleet) for owner in (None, OURS, THEIRS)}
    # Their signal joins the fleet's incident of the same cause: what was told of it is theirs.
    world.incident(f"{THEIRS} sends kilometres", tenant=THEIRS)
    return Street(
        world,
        of,
        caller(world, fleet),
        caller(world, world.people[f"all-{OURS}"]),
        Caller(f"program of {OURS}", {"X-Api-Key": key(world, OURS, fleet)[1]}, None),
    )


def newcomer(world: World, owner: str | None) -> Person:
    """A person who has every role there is."""
    whose = None if owner is None else TenantId(owner)
    with world.parts.records.begin(system("test"), reason=f"for {owner}") as work:
        person = identity.add_person(
            work,
            email=f"all@{owner or 'fleet'}.example.org",
            name=f"Everybody of {owner or 'the fleet'}",
            roles=tuple(ROLES),
            password_hash=hash_password(PASSWORD),
            tenant=whose,
        )
    world.people[f"all-{owner}"] = person
    return person


def colleague(world: World, owner: str | None) -> Person:
    """A person who may next to nothing."""
    with world.parts.records.begin(system("test"), reason=f"for {owner}") as work:
        return identity.add_person(
            work,
            email=f"colleague@{owner or 'fleet'}.example.org",
            name=f"Colleague of {owner or 'the fleet'}",
            roles=("feed",),
            password_hash=hash_password(PASSWORD),
            tenant=None if owner is None else TenantId(owner),
        )


def caller(world: World, person: Person) -> Caller:
    """A person at the pages and at the interface."""
    token = identity.token_for(world.parts.tokens, person)
    short = next(short for short, known in world.people.items() if known.id == person.id)
    bearer = {"Authorization": f"Bearer {token}"}
    return Caller(person.name, bearer, world.browser(short))


def lodger(world: World, owner: str | None) -> Person:
    """A person of no weight, who may come and go."""
    with world.parts.records.begin(system("test"), reason=f"for {owner}") as work:
        return identity.add_person(
            work,
            email=f"lodger@{owner or 'fleet'}.example.org",
            name=f"Lodger of {owner or 'the fleet'}",
            roles=("auditor",),
            password_hash=hash_password(PASSWORD),
            tenant=None if owner is None else TenantId(owner),
        )


def key(world: World, owner: str | None, behind: Person) -> tuple[ApiKey, str]:
    """A key of a program that may do everything, and its text. `behind` answers for it."""
    whose = None if owner is None else TenantId(owner)
    with world.parts.records.begin(system("test"), reason=f"for {owner}") as work:
        account = identity.add_account(
            work,
            name=f"program of {owner or 'the fleet'} behind {behind.name}",
            owner=behind.id,
            roles=tuple(ROLES),
            tenant=whose,
        )
        issued, text = identity.issue_key(work, account)
    return issued, text


def moved_in(world: World, owner: str | None, fleet: Person) -> Belongings:
    """One of everything."""
    own = fleet if owner is None else newcomer(world, owner)
    said = f"because {owner or 'everybody'} wants it"
    running = world.version(f"{SERIES[owner]}.0.0", tenant=owner, reason=said)
    world.approve(running)
    rollout = world.start(running)
    waiting = world.version(f"{SERIES[owner]}.1.0", tenant=owner, reason=said)
    world.check(waiting)
    approval = world.ask(waiting)
    about = {None: None, OURS: "recall", THEIRS: "precision"}[owner]
    incident = world.incident(f"what {owner or 'everybody'} sees", tenant=owner, metric=about)
    world.window(world.now, tenant=owner, version=f"{SERIES[owner]}.0.0", days=1)
    with world.parts.records.look() as reading:
        newest = ledger.entries(
            reading.connection,
            ref=incident.id,
            tenant=None if owner is None else TenantId(owner),
            limit=1,
        )
    asker = fleet if owner != OURS else own
    issued, _ = key(world, owner, own)
    connection, record, waiver = registry(world, owner, asker.actor())
    return Belongings(
        tenant=owner,
        model=MODEL,
        version=running.version,
        approval=approval.id,
        request=asked_for(world, owner, asker.actor()),
        rollout=rollout.id,
        incident=incident.id,
        remediation=remedy(world, owner, incident.id, said),
        person=own.id,
        lodger=lodger(world, owner).id,
        account=issued.account,
        colleague=colleague(world, owner).id,
        key=issued.id,
        sequence=newest[0].sequence,
        connection=connection,
        record=record,
        waiver=waiver,
    )


def registry(world: World, owner: str | None, asker: Actor) -> tuple[str, str, str]:
    """A registry that was read, a version in it, and a waiver of one of its gaps."""
    parts, whose = world.parts, None if owner is None else TenantId(owner)
    name = owner or "fleet"
    asked = Asked("mlflow", f"https://mlflow.{name}.example.org", tenant=whose, name=name)
    made = connections.connect(parts, asker, asked, reason=f"read for {name}")
    theirs = Registry()
    owned = [{"key": "owner", "value": f"team of {name}"}]
    theirs.put(f"model of {name}", 1, stage="Production", tags=owned)
    Ingest(parts).cycle(made.id, lambda _: theirs)
    with parts.records.look() as reading:
        record = store.listed(reading, Filter(connection=made.id))[0].id
    waiver = judging.grant(
        parts,
        asker,
        judging.Judge(parts),
        record_id=record,
        rule="purpose-stated",
        whole_model=False,
        expires_at=parts.clock.now() + timedelta(days=30),
        reason=f"the purpose is well known to {name}",
    )
    return made.id, record, waiver.id


def asked_for(world: World, owner: str | None, asker: Actor) -> str:
    """A request for approval that `asker` may take back."""
    whose = None if owner is None else TenantId(owner)
    number = f"{SERIES[owner]}.2.0"
    version = world.version(number, tenant=owner, reason=f"asked for {owner}")
    target = Target(
        MODEL, version.id, number, DIGEST, whose, ENVIRONMENT, 100.0, "checks", "policy"
    )
    demands = load_preset("standard").tier(1).approvals
    with world.parts.records.begin(asker, reason=f"asked for {owner}") as work:
        return approvals.request(
            work, target, comment=f"for {owner}", contributors=(), criteria=(), demands=demands
        ).id


def remedy(world: World, owner: str | None, incident: str, said: str) -> str:
    """A remedy that waits for the gate, and a training that was asked for."""
    whose = None if owner is None else TenantId(owner)
    with world.parts.records.begin(system("repair"), reason=said) as work:
        digest = world.policy_digest_of(work, MODEL)
        proposed = remediation.propose(
            work,
            incident=IncidentId(incident),
            model=MODEL,
            tenant=whose,
            environment=ENVIRONMENT,
            action=ActionName.NOTIFY_TEAM,
            args={"team": f"Team of {owner or 'the fleet'}", "summary": said},
            cause=None,
            confidence=None,
            policy_digest=digest,
            patience=timedelta(days=30),
        )
        retraining.request(
            work,
            model=MODEL,
            tenant=whose,
            trigger=TrainingTrigger.DRIFT,
            incident=IncidentId(incident),
            cause=None,
            champion=f"{SERIES[owner]}.0.0",
            champion_digest=DIGEST,
            policy_digest=digest,
            data_from=work.now - timedelta(days=3),
            data_until=work.now,
            patience=timedelta(days=30),
        )
    return proposed.id
