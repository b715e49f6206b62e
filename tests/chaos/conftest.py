"""Stories that have been played without a fault, shared by every test of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.chaos.rehearsal import Rehearsal, rehearse
from tests.chaos.stories import STORIES

Rehearsed = Callable[[str], Rehearsal]


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsed]:
    """A story by its name, played once."""
    known: dict[str, Rehearsal] = {}

    def of(name: str) -> Rehearsal:
        if name not in known:
            folder = tmp_path_factory.mktemp("chaos") / name
            known[name] = rehearse(STORIES[name](), folder)
        return known[name]

    yield of
    for rehearsal in known.values():
        rehearsal.troupe.cast.close()
