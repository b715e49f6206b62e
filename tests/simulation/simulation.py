"""One seed: a control plane lives through days, is killed now and then, and is checked always."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.simulation.acting import Acting
from tests.simulation.chance import seeded
from tests.simulation.faults import Killed
from tests.simulation.plane import Keys, Plane, policy
from tests.simulation.template import Template
from tests.simulation.world import World

from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import TrimtabError
from trimtab.platform.database import Kind, metadata
from trimtab.workflows.invariants import catalogue
from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Violation

SHARES = {"waiting": 3, "second": 2, "trouble": 4, "automatic": 2}
"""How often a seed goes on from which past."""

ROUNDS = (6, 15)

KILL = 0.10
REPEAT = 0.04
TRAINS = "retrain.train"
"""Takes seconds in a child process: left to time, which ends what nobody goes on with."""


class Broken(AssertionError):
    """An invariant does not hold. Says the seed, and everything that led there."""

    def __init__(self, said: str, names: Iterable[str] = ()):
        super().__init__(said)
        self.names = frozenset(names)


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    digest: str
    entries: int
    checks: int
    kills: int
    dead: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)


class Simulation:
    """One control plane, its world, and the seed that decides what happens next."""

    def __init__(self, seed: int, plane: Plane, rng: random.Random, *, skip: frozenset[int]):
        self.seed, self.plane, self.rng, self.skip = seed, plane, rng, skip
        self.world = World(plane, first=100_000)
        self.acting = Acting(plane, self.world, rng)
        self.trace: list[str] = []
        self.kills = self.checks = 0
        self.dead: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._policies = {policy().digest: policy()}
        with plane.parts.records.look() as reading:
            self._seen = _reached(reading)

    def live(self) -> None:
        """Through all its rounds, and to rest."""
        for number in range(self.rng.randint(*ROUNDS)):
            act = self.acting.draw()
            fragile = self.rng.random() < KILL / 2
            # A round that is left out draws as much as it would have, or all others would differ.
            if number not in self.skip:
                self._do(f"{number}: {act.__name__}", act, fragile=fragile)
            for _ in range(self.rng.choice([0, 1, 2, 4, 40])):
                if not self._work():
                    break
        self._come_to_rest()
        self.check(whole=True)

    def _do(self, name: str, act: Callable[[], str | None], *, fragile: bool) -> None:
        """Do something, which may be refused, and during which the process may die."""
        if fragile:
            self.plane.plan.set(self.rng.randint(1, 3), before=self.rng.random() < 0.5)
        try:
            said = act() or ""
        except TrimtabError as refused:
            said = f"refused: {refused.message}"
            self.refusals[f"{name.split(': ')[-1]}: {refused.code}"] += 1
        except Killed as killed:
            said = f"killed {killed}"
            self.kills += 1
            self.plane.start()
        self.plane.plan.clear()
        self.trace.append(f"{name}: {said}")
        self.check()

    def _work(self) -> bool:
        """A pass of the loop, or a job; whether there was anything to do."""
        engine, rng = self.plane.engine, self.rng
        runnable = self._runnable()
        if not runnable or rng.random() < 0.2:
            before = len(engine.kept.waiting)
            self._do("pass", lambda: f"{self.plane.loop.turn()}", fragile=rng.random() < KILL)
            return len(self.plane.engine.kept.waiting) > before or bool(runnable)
        if engine.kept.done and rng.random() < REPEAT:
            engine.again(rng.choice(list(engine.kept.done)[-5:]))
        key = rng.choice(runnable)
        fragile = rng.random() < KILL and engine.kept.waiting[key].deaths < 3
        self._do(key, partial(self._run, key), fragile=fragile)
        return True

    def _run(self, key: str) -> str:
        said = self.plane.engine.run(key)
        if said.startswith("dead"):
            self.dead[f"{key.split(':')[0]} {said.removeprefix('dead: ')[:160]}"] += 1
        return said

    def _come_to_rest(self) -> None:
        """Everybody is there and follows; days pass; whatever can end, ends."""
        self.world.refusing.clear()
        for length in (0,) if self.seed % 4 else (0, 26, 26):
            self.world.step(timedelta(hours=length))
            self._settle()

    def _settle(self) -> None:
        for _ in range(200):
            while runnable := self._runnable():
                self._do(runnable[0], partial(self._run, runnable[0]), fragile=False)
            self.acting.follow()
            if not self.plane.loop.turn() and not self._runnable() and self.world.followed():
                return
        self.trace.append("it does not come to rest")
        raise Broken(self.told([]))

    def _runnable(self) -> list[str]:
        engine = self.plane.engine
        return [k for k in engine.runnable() if engine.kept.waiting[k].name != TRAINS]

    def check(self, *, whole: bool = False) -> None:
        """Every invariant, over what is there and the entries since the last look, with the one
        that they follow on; nothing, where neither an entry nor a write of a row is new."""
        with self.plane.parts.records.look() as reading:
            reached = _reached(reading)
            if reached == self._seen and not whole:
                return
            self.checks += 1
            after = 0 if whole else max(self._seen[0] - 1, 0)
            entries = ledger.entries(reading.connection, after=after, limit=5000)
            has = self.plane.parts.blobs.has if whole else None
            since = reading.now if whole else None
            look = Look(reading, entries, policies=self._policies, has=has, waited_since=since)
            found = list(catalogue.violations(look))
        self._seen = reached
        found = [v for v in found if not self._excused(v)]
        if found:
            raise Broken(self.told(found), (violation.invariant for violation in found))

    def _excused(self, violation: Violation) -> bool:
        """What somebody outside has done: bytes that were damaged are not there any more."""
        return violation.invariant == "traffic.way_back" and "not stored" in violation.what

    def told(self, found: list[Violation]) -> str:
        """The seed, the violations, and the way there."""
        lines = [f"seed {self.seed}: {v}" for v in found] or [f"seed {self.seed}"]
        return "\n".join([*lines, *(f"    {line}" for line in self.trace[-60:])])


def _reached(reading: Reading) -> tuple[int, int]:
    """How many entries there are, and how often rows of decisions were written."""
    there = frozenset(sa.inspect(reading.connection).get_table_names())
    return ledger.size(reading.connection), reading.rows(_writes(there))[0]["number"]


@cache
def _writes(there: frozenset[str]) -> sa.Select[Any]:
    tables = [t for t in metadata.sorted_tables if t.info.get("kind") is Kind.DECISION]
    each = [sa.select(sa.func.sum(t.c.revision).label("n")) for t in tables if t.name in there]
    return sa.select(sa.func.sum(sa.union_all(*each).subquery().c.n).label("number"))


def run(
    seed: int,
    templates: dict[str, Template],
    keys: Keys,
    folder: Path,
    *,
    skip: frozenset[int] = frozenset(),
) -> Outcome:
    """Live through one seed.

    Args:
        skip: Rounds whose act is left out, to find the shortest way to the same end.

    Raises:
        Broken: something that must always hold did not.
    """
    with opened(seed, templates, keys, folder, skip=skip) as simulation:
        simulation.live()
        simulation.plane.parts.heads.sign()
        simulation.plane.parts.heads.confirm()
        return _outcome(simulation)


@contextmanager
def opened(
    seed: int,
    templates: dict[str, Template],
    keys: Keys,
    folder: Path,
    *,
    skip: frozenset[int] = frozenset(),
) -> Iterator[Simulation]:
    """The control plane of a seed, with its past, as long as somebody lives in it."""
    rng = random.Random(f"trimtab {seed}")
    template = templates[rng.choices(list(SHARES), weights=list(SHARES.values()))[0]]
    with seeded(random.Random(f"chance {seed}"), SteppedClock(template.now)):
        plane = template.copy(keys, folder / "home")
        try:
            yield Simulation(seed, plane, rng, skip=skip)
        finally:
            plane.close()


def _outcome(simulation: Simulation) -> Outcome:
    digest = hashlib.sha256()
    kinds: Counter[str] = Counter()
    with simulation.plane.parts.records.look() as reading:
        for _, header, _, body, _ in ledger.stored(reading.connection):
            digest.update(header + (body or b""))
        for entry in _all(reading.connection):
            kinds[entry.kind] += 1
    return Outcome(
        simulation.seed,
        digest.hexdigest(),
        sum(kinds.values()),
        simulation.checks,
        simulation.kills,
        simulation.dead,
        kinds,
        simulation.refusals,
    )


def _all(connection: object) -> Iterator[ledger.Entry]:
    yield from ledger.entries(connection, limit=10_000)  # type: ignore[arg-type]
