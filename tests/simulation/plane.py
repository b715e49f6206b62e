"""A control plane of real parts in this thread, that can be killed and started again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.simulation.engine import Kept, SteppedEngine
from tests.simulation.faults import FragileDatabase, Plan

from trimtab.artifacts.envelope import key_id
from trimtab.artifacts.keys import load_or_create_key
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.audit.heads import Heads, HeadSigner, ledger_origin
from trimtab.audit.work import Records
from trimtab.identity.brakes import Brakes
from trimtab.identity.keyring import KeyFolder
from trimtab.identity.keys import KeyUses
from trimtab.identity.signed import Nonces
from trimtab.identity.tokens import OVERLAP, Tokens
from trimtab.identity.wrapping import Wrapping
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.events import canonical
from trimtab.platform.blobs import BlobStore
from trimtab.platform.metrics import Metrics
from trimtab.platform.scratch import Scratch
from trimtab.platform.settings import Settings
from trimtab.policies.loader import load_preset, load_text
from trimtab.policies.model import Policy
from trimtab.remediation import gate
from trimtab.remediation.gate_process import GateProcess
from trimtab.workflows.jobs import queues
from trimtab.workflows.loop import Loop
from trimtab.workflows.parts import Parts
from trimtab.workflows.program import program
from trimtab.workflows.refusals import Refusals
from trimtab.workflows.signed import METADATA_BYTES

POLICY = "simulated"
START = datetime.fromisoformat("2015-03-01T00:00:00+00:00")

_CHANGES = {
    "name: standard": f"name: {POLICY}",
    "steps_percent: [10, 25, 50, 100]": "steps_percent: [10, 40, 100]",
    "min_hold_hours: 4": "min_hold_hours: 1",
    "min_hold_hours: 12": "min_hold_hours: 1",
    "max_inconclusive_looks: 672": "max_inconclusive_looks: 6",
    "min_events_per_step: 500": "min_events_per_step: 300",
    "cooldown_minutes: 5": "cooldown_minutes: 240",
}
"""What a seed can live through: fewer steps, fewer looks, and pauses that are felt."""


@cache
def policy() -> Policy:
    """The default policy with shorter stretches."""
    text = load_preset("standard").text
    for old, new in _CHANGES.items():
        assert old in text, old
        text = text.replace(old, new)
    return load_text(text)


@dataclass(frozen=True)
class Keys:
    """Keys and settings of one control plane, made once for all seeds."""

    home: Path
    ledger: Ed25519PrivateKey
    permits: Ed25519PrivateKey
    gate: Ed25519PrivateKey
    signer: ArtifactSigner
    tokens: KeyFolder
    settings: Settings

    @classmethod
    def made(cls, home: Path) -> Keys:
        """New keys below `home`."""
        home.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {"TRIMTAB_HOME": home}
        clock = SteppedClock(START)
        return cls(
            home,
            load_or_create_key(home / "ledger.pem"),
            load_or_create_key(home / "permits.pem"),
            load_or_create_key(home / "gate.pem"),
            ArtifactSigner(home / "artifacts.pem", max_metadata_bytes=METADATA_BYTES),
            KeyFolder(home, clock, overlap=OVERLAP),
            Settings(**settings),
        )


class GateHere(GateProcess):
    """The gate's own answers, without a process of its own; it too may be out of reach."""

    def __init__(self, database: FragileDatabase, key: Ed25519PrivateKey):
        super().__init__(key=Path("here"), database="here", seconds=1)
        self._reads, self._signs = database, key
        self._public = (key_id(key.public_key()), key.public_key())

    def _running(self) -> Any:
        return None

    def _end(self) -> None:
        pass

    def _exchange(self, process: Any, line: bytes) -> dict[str, Any]:
        policies: Mapping[str, Policy] = {POLICY: policy()}
        told = gate.answer(line, self._reads, lambda name: policies[name], self._signs)
        answered: dict[str, Any] = json.loads(canonical(told))
        return answered


class Plane:
    """One control plane. What it keeps is the database, the engine's and the published heads."""

    def __init__(self, keys: Keys, home: Path, clock: SteppedClock, kept: Kept):
        self.keys, self.home, self.clock, self.kept = keys, home, clock, kept
        self.real_clock = SteppedClock(clock.now())
        self.plan = Plan()
        self.starts = 0
        self.database = _database(home / "trimtab.sqlite", self.plan)
        self.start()

    def start(self) -> None:
        """Start the process, or start it anew: whatever it held in memory is gone."""
        keys, records = self.keys, Records(self.database, self.clock)
        self.starts += 1
        self.plan.clear()
        self.engine = SteppedEngine(self.kept)
        signer = HeadSigner(ledger_origin(keys.ledger), keys.ledger)
        self.parts = Parts(
            settings=keys.settings,
            clock=self.clock,
            real_clock=self.real_clock,
            records=records,
            blobs=BlobStore(self.home / "blobs"),
            scratch=_scratch(keys.home / "scratch"),
            engine=self.engine,
            heads=Heads(self.database, signer, self.home / "heads"),
            tokens=Tokens("http://localhost", keys.tokens.ring, self.real_clock),
            token_keys=keys.tokens,
            wrapping=Wrapping(keys.home / "wrapping.key"),
            nonces=Nonces(records),
            key_uses=KeyUses(records, self.real_clock),
            brakes=Brakes(),
            signer=keys.signer,
            permit_key=keys.permits,
            policies={POLICY: policy()},
            default_policy=POLICY,
            metrics=_metrics(),
            refusals=Refusals(records),
            started_at=self.real_clock.now(),
        )
        self.parts.heads.confirm()
        self.gate = GateHere(self.database, keys.gate)
        self.loop = Loop(self.parts, program(self.parts, self.gate), queues(4))
        self.loop.register()

    def close(self) -> None:
        """Let go of the files."""
        self.database.close()


_databases: dict[Path, FragileDatabase] = {}


def _database(path: Path, plan: Plan) -> FragileDatabase:
    """The database of this name; opened once, because its statements are compiled once."""
    known = _databases.get(path)
    if known is None:
        known = _databases[path] = FragileDatabase(f"sqlite:///{path}", plan)
    known.reopen(plan)
    return known


@cache
def _scratch(root: Path) -> Scratch:
    return Scratch(root)


@cache
def _metrics() -> Metrics:
    return Metrics()


def place() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: a seed is short, and its disk is not the matter."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="trimtab-sim-", dir=where)
