"""A control plane in a process of its own, over a home in which a real story has been played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import candidates
from tests.chaos.lenient import write_policy
from tests.chaos.plane import Plane
from tests.chaos.stage import first_troupe, staged
from tests.chaos.stories import FLIGHTS, repair


@dataclass(frozen=True)
class Lived:
    """Where its pages are, and who may log in."""

    origin: str
    passwords: dict[str, str]
    """By e-mail address."""


@contextmanager
def lived(folder: Path) -> Iterator[Lived]:
    """Ten days of a model, through the public interface alone; then a version waits.

    A first release; a bad one, taken back; a feed that sends kilometres for miles, and is
    repaired. What its incidents say was diagnosed, decided and measured, not written down.
    """
    story = repair()
    plane = Plane(folder / "home", write_policy(folder), story.start)
    plane.origin = plane.url
    plane.start()
    try:
        troupe = first_troupe(plane)
        with staged(plane, troupe, {}) as stage:
            for scene in story.scenes:
                scene.play(stage)
            stage.hand_in(FLIGHTS, candidates.flights("1.3.0"))
            yield Lived(plane.url, troupe.cast.passwords)
        troupe.cast.close()
    finally:
        plane.kill()
