"""The one place where parts are chosen and joined."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from pathlib import Path

import sqlalchemy as sa
from fastapi import FastAPI

from trimtab import web
from trimtab.api import operations
from trimtab.api.server import create_app
from trimtab.artifacts.keys import load_or_create_key, public_pem
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.audit.heads import Heads, HeadSigner, ledger_origin
from trimtab.audit.work import Records
from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.identity.brakes import Brakes
from trimtab.identity.keyring import KeyFolder
from trimtab.identity.keys import KeyUses
from trimtab.identity.passwords import hash_password
from trimtab.identity.signed import Nonces
from trimtab.identity.tokens import OVERLAP, Tokens
from trimtab.identity.wrapping import Wrapping
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SystemClock
from trimtab.kernel.errors import Conflict, IntegrityFailed, InvalidInput, Unavailable
from trimtab.platform import migrate, soundness
from trimtab.platform.blobs_choice import open_blobs
from trimtab.platform.database import Database, Kind, metadata
from trimtab.platform.durable import Hook
from trimtab.platform.durable_dbos import DbosEngine, DbosSettings
from trimtab.platform.executors import new_executor_id
from trimtab.platform.logs import logger
from trimtab.platform.metrics import Metrics
from trimtab.platform.postgresql import Waits
from trimtab.platform.scratch import Scratch
from trimtab.platform.settings import Settings
from trimtab.platform.tracing import Spans
from trimtab.platform.turns import Turns
from trimtab.platform.whereabouts import demand_no_others, records_file
from trimtab.policies.loader import load_chosen, load_preset, preset_names
from trimtab.policies.model import Policy
from trimtab.remediation.gate_elsewhere import GateElsewhere
from trimtab.remediation.gate_process import Gate, GateProcess
from trimtab.workflows.following import Following
from trimtab.workflows.gauges import Gauges
from trimtab.workflows.jobs import Role, queues, served_by
from trimtab.workflows.leftovers import Leftovers
from trimtab.workflows.log_level import LevelKeeper
from trimtab.workflows.loop import Loop
from trimtab.workflows.parts import Parts
from trimtab.workflows.program import program
from trimtab.workflows.refusals import Refusals
from trimtab.workflows.signed import METADATA_BYTES

log = logger(__name__)

ADMINISTRATOR = "admin@localhost"
EXECUTOR = "trimtab"
JOBS_SECONDS = 10.0
"""Between two looks into a file of jobs of which nobody told us anything."""

GATE_SECONDS = 20.0
"""How long the safety gate may take to start or to answer; then nothing is permitted."""


class Application:
    """A control plane: its parts, its loop, and what it answers HTTP with.

    Args:
        settings: What it is to be.
        confirm: Refuse a ledger that does not continue its published heads. Only who
            wants to look at such a ledger says no.
        hook: Told of every step of every job.
        roles: What it does of all that is to be done; all of it, unless other processes share
            in it. What it answers over HTTP does not depend on that.
        beside: Other processes are beside it, whatever its roles.

    Raises:
        IntegrityFailed: the database is older than, or another one than, what was
            published.
        InvalidInput: a setting, a key or a policy file that cannot be used, or roles apart
            where there can be one process only.
        Unavailable: a disk or a database that cannot be used, or a damaged one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        confirm: bool = True,
        hook: Hook | None = None,
        roles: Collection[Role] = tuple(Role),
        beside: bool = False,
    ):
        self.settings = settings
        self.roles = frozenset(roles)
        self.lost = threading.Event()
        """Set when another process has taken this one for dead, and its work over."""
        apart = beside or self.roles != frozenset(Role)
        if apart:
            _demand_room(settings)
        demand_no_others(settings)
        home = settings.home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = home / "keys"
        keys.mkdir(exist_ok=True, mode=0o700)
        _sound(settings, home)
        policy = load_chosen(settings.policy, field="TRIMTAB_POLICY")
        database = Database(
            settings.database(),
            pool_size=settings.database_pool_size,
            pool_timeout_seconds=settings.database_pool_timeout_seconds,
            waits=Waits(
                lock=settings.database_lock_timeout_seconds,
                statement=settings.database_statement_timeout_seconds,
                idle=settings.database_idle_timeout_seconds,
            ),
        )
        self.migrated = migrate.upgrade(database)
        records = Records(database, settings.new_clock())
        heads = _heads(database, home, confirm=confirm)
        engine = DbosEngine(_jobs(settings, database, self.roles), hook=hook, on_lost=self.lost.set)
        records.fence = engine.fence
        self.parts = _parts(settings, policy, records, heads, engine)
        self.parts.metrics.read_with(Gauges(self.parts).read)
        _publish_keys(self.parts, keys)
        self.gate = self._gate(keys)
        self.leftovers = Leftovers(self.parts)
        self.log_level = LevelKeeper(self.parts)
        self.loop = Loop(self.parts, program(self.parts, self.gate), served_by(self.roles))
        self.loop.register()

    def _gate(self, keys: Path) -> Gate:
        if Role.GATE not in self.roles:
            return GateElsewhere(keys / "gate.pub.pem")
        return GateProcess(
            key=keys / "gate.pem",
            database=self.settings.database(),
            seconds=GATE_SECONDS,
            policies=_own_policies(self.settings.policy),
            public_key=keys / "gate.pub.pem",
        )

    def http(self) -> FastAPI:
        """The application that answers HTTP: the interface, and the pages beside it."""
        app = create_app(self.parts, self.loop)
        web.install(app)
        return app

    def probes(self) -> FastAPI:
        """What answers only how this process is."""
        return create_app(self.parts, self.loop, routers=(operations.router,))

    def first_start(self) -> str | None:
        """Add the first administrator; return the password that was made, if one was.

        Safe to repeat: where somebody is there already, nothing happens.
        """
        with self.parts.records.look() as reading:
            if people.people(reading):
                return None
        given = self.settings.admin_password
        made = None if given is not None else _password()
        password = made if given is None else given.get_secret_value()
        assert password is not None
        password_hash = hash_password(password)
        try:
            with self.parts.records.begin(system("start"), reason="first start") as work:
                identity.add_person(
                    work,
                    email=ADMINISTRATOR,
                    name="Administrator",
                    roles=("admin",),
                    password_hash=password_hash,
                )
        except Conflict:
            if self.parts.records.database.is_sqlite:
                raise
            return None  # another process was first, and has said its password
        return made

    def start(self) -> None:
        """Take up work."""
        self.gate.start()
        self.parts.engine.start()
        self.log_level.start()

    def stop(self, drain_seconds: float) -> None:
        """Let running work end, enter what is pending, sign the last head, and let go."""
        self.log_level.stop()
        self.parts.engine.stop(drain_seconds)
        self.gate.stop()
        self.parts.refusals.flush(everything=True)
        self.parts.key_uses.flush()
        self.parts.heads.sign()
        if self.parts.following is not None:
            self.parts.following.close()
        self.parts.records.database.close()


def _parts(
    settings: Settings, policy: Policy, records: Records, heads: Heads, engine: DbosEngine
) -> Parts:
    home, real_clock = settings.home, SystemClock()
    keys = home / "keys"
    token_keys = KeyFolder(keys, real_clock, overlap=OVERLAP)
    return Parts(
        settings=settings,
        clock=records.clock,
        real_clock=real_clock,
        records=records,
        blobs=open_blobs(settings, real_clock.now()),
        scratch=Scratch(home / "scratch"),
        engine=engine,
        heads=heads,
        tokens=Tokens(settings.public_origin(), token_keys.ring, real_clock),
        token_keys=token_keys,
        wrapping=Wrapping(keys / "wrapping.key"),
        nonces=Nonces(records),
        key_uses=KeyUses(records, real_clock),
        brakes=Brakes(),
        signer=ArtifactSigner(keys / "artifacts.pem", max_metadata_bytes=METADATA_BYTES),
        permit_key=load_or_create_key(keys / "permits.pem"),
        policies=_policies(policy),
        default_policy=policy.name,
        metrics=Metrics(),
        refusals=Refusals(records),
        started_at=real_clock.now(),
        checking=Turns(settings.checks_at_a_time, "drift checks"),
        following=Following(records, _spans(settings), real_clock),
    )


def _password() -> str:
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    picked = [alphabet[byte % len(alphabet)] for byte in os.urandom(20)]
    return "-".join("".join(picked[i : i + 5]) for i in range(0, 20, 5))


def _sound(settings: Settings, home: Path) -> None:
    """Look at the files of SQLite before anything opens them for writing."""
    records = records_file(settings)
    if records is None:
        return
    deadline = time.monotonic() + settings.database_check_seconds
    bulky = [t.name for t in metadata.sorted_tables if t.info["kind"] is Kind.OBSERVATION]
    for path in (records, home / "jobs.sqlite"):
        seen = soundness.look(path, max_seconds=deadline - time.monotonic(), last=bulky)
        if seen.damage is not None:
            raise Unavailable(
                f"the database file {path} is damaged: {seen.damage}", remedy=soundness.REMEDY
            )
        if seen.unseen:
            log.warning("not every table was looked at", path=str(path), tables=seen.unseen)


def _heads(database: Database, home: Path, *, confirm: bool) -> Heads:
    """The heads of the ledger, by the key in `home`; what `confirm` is to find wrong is not
    begun, and leaves no key behind that was made for it."""
    path = home / "keys" / "ledger.pem"
    made = not path.exists()
    key = load_or_create_key(path)
    heads = Heads(database, HeadSigner(ledger_origin(key), key), home / "heads")
    if not confirm:
        return heads
    try:
        heads.confirm()
        if not database.is_sqlite:  # which lies beside its keys
            heads.demand_own()
    except IntegrityFailed:
        database.close()
        if made:
            path.unlink()
        raise
    return heads


def _demand_room(settings: Settings) -> None:
    """Make sure that there can be processes beside this one."""
    if sa.make_url(settings.database()).get_backend_name() == "sqlite":
        raise InvalidInput(
            "roles cannot be apart on SQLite: its file has room for one process",
            field="DATABASE_URL",
            remedy="run `trimtab serve` alone, or set DATABASE_URL to a PostgreSQL database",
        )
    if settings.clock != "real":
        raise InvalidInput(
            "roles cannot be apart on a clock that is stepped: each process would have its own",
            field="TRIMTAB_CLOCK",
            remedy="run `trimtab serve` alone, or leave TRIMTAB_CLOCK out",
        )


def _jobs(settings: Settings, database: Database, roles: frozenset[Role]) -> DbosSettings:
    """Jobs live in a second file beside SQLite, and in the same server on PostgreSQL."""
    at_once = queues(settings.jobs_at_once)
    if database.is_sqlite:  # nobody else adds a job to the file: what is added here is told
        url = f"sqlite:///{settings.home / 'jobs.sqlite'}"
        return DbosSettings(url, EXECUTOR, queues=at_once, poll_seconds=JOBS_SECONDS)
    url = sa.make_url(database.url).render_as_string(hide_password=False)
    return DbosSettings(
        url,
        new_executor_id(),
        queues=at_once,
        listen=served_by(roles),
        roles=tuple(role for role in Role if role in roles),
    )


def _spans(settings: Settings) -> Spans | None:
    endpoint = settings.otlp_endpoint
    return None if endpoint is None else Spans(endpoint)


def _policies(chosen: Policy) -> dict[str, Policy]:
    return {name: load_preset(name) for name in preset_names()} | {chosen.name: chosen}


def _own_policies(chosen: str) -> Path | None:
    return None if chosen in preset_names() else Path(chosen).parent


def _publish_keys(parts: Parts, folder: Path) -> None:
    """Lay the public keys out where gateways and auditors are given them from."""
    (folder / "permits.pub.pem").write_bytes(public_pem(parts.permit_key.public_key()))
    (folder / "artifacts.pub.pem").write_bytes(parts.signer.public_pem)
    (folder / "ledger.pub").write_text(parts.heads.signer.verifier_key + "\n", "utf-8")
