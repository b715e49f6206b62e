"""What a process is made of: joined once in `app.py`, handed to workflows and surfaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trimtab.artifacts.signing import ArtifactSigner
from trimtab.audit.heads import Heads
from trimtab.audit.work import Records, Work
from trimtab.identity.brakes import Brakes
from trimtab.identity.keyring import KeyFolder
from trimtab.identity.keys import KeyUses
from trimtab.identity.signed import Nonces
from trimtab.identity.tokens import Tokens
from trimtab.identity.wrapping import Wrapping
from trimtab.kernel.clock import Clock, SteppedClock
from trimtab.kernel.errors import PolicyRefused
from trimtab.platform.blobs_port import Blobs
from trimtab.platform.durable import Engine
from trimtab.platform.metrics import Metrics
from trimtab.platform.scratch import Scratch
from trimtab.platform.settings import Settings
from trimtab.platform.turns import Turns
from trimtab.policies.model import Policy, TierPolicy
from trimtab.registry.model import Model, Version
from trimtab.workflows.following import Following
from trimtab.workflows.refusals import Refusals

T = TypeVar("T")

Then = Callable[[Work, T], object]
"""What a caller wants done with what came of a verb, in the transaction that it was done in."""


def nothing_more(_work: Work, _made: object) -> None:
    """What most callers want."""


ENVIRONMENT = "production"
"""The one environment that releases go to so far."""


class Told:
    """Whether a signal has told this process something.

    Its handler may take no lock, as an event does: a second signal may interrupt the first one
    while it holds it, and wait for it for ever.
    """

    def __init__(self) -> None:
        self._told = False

    def set(self) -> None:
        """From now on it has."""
        self._told = True

    def is_set(self) -> bool:
        """Whether it has."""
        return self._told


@dataclass(frozen=True)
class Parts:
    """The parts of one control plane."""

    settings: Settings
    clock: Clock
    real_clock: Clock
    """For tokens, sessions, time-outs: what must follow the machine, not the domain."""
    records: Records
    blobs: Blobs
    scratch: Scratch
    engine: Engine
    heads: Heads
    tokens: Tokens
    token_keys: KeyFolder
    wrapping: Wrapping
    """For what verifies signatures: not in the database in the clear."""
    nonces: Nonces
    key_uses: KeyUses
    brakes: Brakes
    signer: ArtifactSigner
    permit_key: Ed25519PrivateKey
    """Signs permits for exposure, and the routing table that they are consumed into."""
    policies: Mapping[str, Policy]
    default_policy: str
    metrics: Metrics
    refusals: Refusals
    started_at: datetime
    """Real time."""
    checking: Turns = field(default_factory=lambda: Turns(2, "drift checks"))
    """Whoever compares tables takes a turn: it is the heaviest that somebody can ask for."""
    following: Following | None = None
    """Follows jobs and what they write in traces."""
    leaving: Told = field(default_factory=Told)
    """Set once this process was told to end: whoever shares out requests leaves it out."""

    def policy(self, name: str) -> Policy:
        """The policy called `name`, or the default one where none is named."""
        return self.policies[name or self.default_policy]

    @property
    def stepped(self) -> SteppedClock | None:
        """The clock, if it is one that somebody steps."""
        return self.clock if isinstance(self.clock, SteppedClock) else None


def policy_of(parts: Parts, model: Model) -> tuple[TierPolicy, str]:
    """What is demanded of a model, and the digest of the policy that demands it."""
    policy = parts.policy(model.policy)
    return policy.tier(model.tier), policy.digest


def required_checks(demands: TierPolicy, version: Version) -> list[str]:
    """The checks that a version must pass: its tier's, and those that its bump asks for."""
    suites = demands.checks.required_by_bump
    suite = {"minor": suites.minor, "patch": suites.patch}.get(version.bump, suites.major)
    return [name.value for name in dict.fromkeys((*demands.checks.required, *suite))]


def told(refusal: PolicyRefused) -> str:
    """A refusal with the way out, in one sentence."""
    return f"{refusal.message}; {refusal.remedy}" if refusal.remedy else refusal.message


def demand_place(model: Model, demands: TierPolicy) -> None:
    """Make sure that the policy lets versions of a model enter where releases go.

    Raises:
        PolicyRefused: its tier stays out of there, with the places that it can enter.
    """
    allowed = [place.value for place in demands.rollout.environments]
    if ENVIRONMENT not in allowed:
        raise PolicyRefused(
            f"{model.name} is of tier {model.tier}, which can enter {', '.join(allowed)}, "
            f"and not {ENVIRONMENT}",
            remedy="register it under another name with the facts that hold in "
            f"{ENVIRONMENT}; the tier and its demands follow from them",
        )
