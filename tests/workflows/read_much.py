"""Reads a registry of so many versions, in a process of its own: home, versions. Prints by how
many MiB the process grew, and how many MiB the registry told."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.workflows.read_and_die import opened_there
from tests.workflows.registry import Registry, details_of

from trimtab.inventory.source import Details, Malformed, SourceVersion
from trimtab.workflows.ingest import Ingest

NOTES, NOTE_CHARS = 5, 4_000
"""What runs note of themselves: tags, and the length of each."""


@dataclass
class Verbose(Registry):
    """A registry whose runs note much, all of which a record keeps; it holds none of it itself."""

    told: int = 0

    def details(self, versions: Sequence[SourceVersion]) -> Iterator[Details]:
        for version in versions:
            notes = {
                f"note {each}": f"{version.version} {each} ".ljust(NOTE_CHARS, "x")
                for each in range(NOTES)
            }
            self.told += sum(map(len, notes.values()))
            yield details_of(version, **notes)


def filled(versions: int) -> Verbose:
    """A registry of so many versions, of 200 models, and one item that is no version."""
    registry = Verbose(page=1000)
    for number in range(1, versions + 1):
        registry.put(f"model {number % 200}", number)
    registry.unfit = [Malformed("its tags are no list", "model 7", 9_999_999)]
    return registry


def most_mib() -> float:
    """The most memory that this process ever held. What `getrusage` says begins with that of the
    process which started this one."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Read a few versions, so that everything is loaded; then all."""
    application, connection = opened_there(Path(sys.argv[1]))
    versions = int(sys.argv[2])
    ingest = Ingest(application.parts)
    few, all_ = filled(100), filled(versions)
    ingest.cycle(connection.id, lambda _connection: few)
    before = most_mib()
    sync = ingest.cycle(connection.id, lambda _connection: all_)
    assert (sync.counts.added, sync.counts.malformed, len(sync.failures)) == (versions - 100, 1, 1)
    print(f"{most_mib() - before:.0f} {all_.told / 2**20:.0f}")  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
