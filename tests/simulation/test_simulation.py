"""Seeds that must live, the same seed twice, and guards whose loss must be noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.simulation import template
from tests.simulation.breakages import BREAKAGES, Breakage, broken
from tests.simulation.plane import Keys, place
from tests.simulation.simulation import ROUNDS, Broken, Outcome, opened, run
from tests.simulation.template import Template

from trimtab.registry.store import MODELS

SEEDS = 500
CHUNK = 50
SOON = 8
"""Seeds within which the guards that are `soon` missed are missed."""
MANY = 10_000
MANY_CHUNK = 250


@dataclass(frozen=True)
class Past:
    """What every seed begins with."""

    keys: Keys
    templates: dict[str, Template]
    folder: Path
    lived: dict[int, Outcome] = field(default_factory=dict)
    """What became of the seeds that were lived through whole."""

    def live(self, seed: int, skip: frozenset[int] = frozenset()) -> Outcome:
        return run(seed, self.templates, self.keys, self.folder, skip=skip)

    def outcome(self, seed: int) -> Outcome:
        """What becomes of a seed, which is lived through only once."""
        if seed not in self.lived:
            self.lived[seed] = self.live_or_tell(seed)
        return self.lived[seed]

    def live_or_tell(self, seed: int) -> Outcome:
        """Live, or say the shortest way to the same end that leaving rounds out can find."""
        try:
            return self.live(seed)
        except Broken as found:
            shortest, skip = found, frozenset[int]()
            for number in range(ROUNDS[1]):
                try:
                    self.live(seed, skip | {number})
                except Broken as again:
                    if again.names == found.names:
                        shortest, skip = again, skip | {number}
            raise Broken(f"{shortest}\n  rounds left out: {sorted(skip)}") from None


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    """Control planes with a past, made once by the real intake and release."""
    with place() as where:
        keys = Keys.made(Path(where) / "keys")
        yield Past(keys, template.made(keys, Path(where) / "templates"), Path(where))


def lived(past: Past, first: int, seeds: int) -> None:
    for seed in range(first, first + seeds):
        outcome = past.outcome(seed)
        assert not outcome.dead, f"seed {seed}: nobody can finish {dict(outcome.dead)}"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds_at_every_step(past: Past, first: int) -> None:
    lived(past, first, CHUNK)


TELLING = (948, 1091, 1211, 1494, 4107)
"""Seeds beyond these that have found something once."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", TELLING)
def test_what_was_found_once_is_not_found_again(past: Past, seed: int) -> None:
    lived(past, seed, 1)


@pytest.mark.chaos
@pytest.mark.parametrize("first", range(SEEDS, MANY, MANY_CHUNK))
def test_every_invariant_holds_in_many_worlds(past: Past, first: int) -> None:
    lived(past, first, min(MANY_CHUNK, MANY - first))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 16, 40])
def test_the_same_seed_is_the_same_run(past: Past, seed: int) -> None:
    one, other = past.outcome(seed), past.live(seed)
    assert one == other
    assert one.entries > 50


@pytest.mark.slow
def test_seeds_see_what_they_are_meant_to_see(past: Past) -> None:
    outcomes = [past.outcome(seed) for seed in range(40)]
    assert len({outcome.digest for outcome in outcomes}) == 40
    assert sum(outcome.kills for outcome in outcomes) > 10
    seen = {kind for outcome in outcomes for kind in outcome.kinds}
    assert seen >= {
        "rollout.rolled_back",
        "rollout.held",
        "incident.opened",
        "remediation.started",
        "action_permit.consumed",
        "kill_switch.set",
        "person.disabled",
        "window.closed",
        "invariants.checked",
    }


def noticed(past: Past, breakage: Breakage, seeds: int) -> None:
    """An invariant that is named for this guard notices, within so many seeds, that it is gone."""
    found: list[str] = []
    with broken(breakage):
        for seed in range(seeds):
            try:
                past.live(seed)
            except Broken as told:
                if told.names & breakage.noticed:
                    return
                found.append(str(told))
    pytest.fail("\n".join([f"{seeds} seeds did not notice", *found]))


@pytest.mark.slow
@pytest.mark.parametrize("breakage", [b for b in BREAKAGES if b.soon], ids=lambda b: b.what)
def test_a_guard_that_is_gone_is_soon_noticed(past: Past, breakage: Breakage) -> None:
    noticed(past, breakage, SOON)


@pytest.mark.chaos
@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda b: b.what)
def test_a_guard_that_is_gone_is_noticed(past: Past, breakage: Breakage) -> None:
    noticed(past, breakage, SEEDS)


@pytest.mark.slow
def test_a_row_that_is_written_without_an_entry_is_noticed_at_the_next_look(past: Past) -> None:
    with opened(0, past.templates, past.keys, past.folder) as simulation:
        simulation.check()
        with simulation.plane.database.write() as connection:
            connection.execute(sa.update(MODELS).values(revision=MODELS.c.revision + 1))
        with pytest.raises(Broken) as told:
            simulation.check()
    assert told.value.names == {"history.every_change"}
