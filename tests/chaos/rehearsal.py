"""A story played without a fault, kept scene by scene, and played again with one."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from tests import databases
from tests.chaos.ending import Ending, broken_laws, difference, read_ending
from tests.chaos.lenient import write_policy
from tests.chaos.plane import Plane
from tests.chaos.stage import Stage, Troupe, first_troupe, staged
from tests.chaos.stories import Story


@dataclass
class Rehearsal:
    """A story, its homes as they were before each scene, and its end."""

    story: Story
    folder: Path
    plane: Plane
    troupe: Troupe
    before: list[tuple[Plane, dict[str, int]]] = field(default_factory=list)
    """Before each scene: the home, and what was acknowledged until then."""
    begins: list[int] = field(default_factory=list)
    """How many instants had passed before each scene."""
    steps: list[str] = field(default_factory=list)
    """Every instant, in order."""
    ending: Ending | None = None
    plays: int = 0

    def instants(self, beginning: str) -> list[str]:
        """The instants that begin so, each once, in the order in which they come."""
        return [i for i in dict.fromkeys(self.steps) if f"{i}:".startswith(f"{beginning}:")]

    def scene_of(self, instant: str) -> int:
        """The scene in which an instant comes for the first time."""
        return bisect_right(self.begins, self.steps.index(instant.partition("@")[0])) - 1

    def play(self, *fatal: str) -> Plane:
        """Play again from the scene in which the first of `fatal` comes, dying at each; the
        end must be the same, and everything must hold that always holds.
        """
        assert self.ending is not None
        self.plays += 1
        first = min(map(self.scene_of, fatal), default=0)
        kept, shipped = self.before[first]
        home = self.folder / f"play-{self.plays}"
        plane = kept.copied(home)
        plane.fatal = fatal
        plane.start()
        self.troupe = self.troupe.renewed(plane.url)
        with staged(plane, self.troupe, shipped) as stage:
            play(self.story, stage, first)
        assert len(plane.deaths) == len(fatal), f"died at {plane.deaths}\n{plane.said()}"
        found = read_ending(plane.home)
        assert not broken_laws(found, stage.shipped)
        told = difference(self.ending, found)
        assert not told, f"{' '.join(fatal)}:\n{told}"
        shutil.rmtree(plane.home)  # kept only where something is wrong
        databases.forget_below(plane.home)
        return plane


def play(story: Story, stage: Stage, first: int) -> None:
    """Play the scenes from `first` on, and see that the record is whole."""
    for scene in story.scenes[first:]:
        scene.play(stage)
    stage.settle()
    assert stage.do(stage.cast.auditor.audit.verify).ok


def rehearse(story: Story, folder: Path) -> Rehearsal:
    """Play a story without a fault."""
    folder.mkdir(parents=True)
    plane = Plane(folder / "home", write_policy(folder), story.start)
    plane.start()
    try:
        rehearsal = Rehearsal(story, folder, plane, first_troupe(plane))
        with staged(plane, rehearsal.troupe, {}) as stage:
            for number, scene in enumerate(story.scenes):
                kept = plane.copied(folder / f"before-{number}")
                rehearsal.before.append((kept, dict(stage.shipped)))
                rehearsal.begins.append(len(plane.passed))
                scene.play(stage)
            play(story, stage, len(story.scenes))
    finally:
        plane.kill()
    rehearsal.steps = plane.passed
    rehearsal.ending = read_ending(plane.home)
    assert not broken_laws(rehearsal.ending, stage.shipped)
    return rehearsal
