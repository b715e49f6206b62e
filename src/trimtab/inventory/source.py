"""What somebody else's registry tells of itself, and the port that it comes through.

Documents are kept as they came, in the words of the registry: what is made of them stands in
`normalise`, so that a record can be made anew from what was read, without reading again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

Document = Mapping[str, Any]
"""JSON as it came. Numbers that JSON has no word for (NaN, infinities) are floats of Python."""

T = TypeVar("T")


class Part(StrEnum):
    """What a version leads to, each of which is read for itself and can be missing."""

    RUN = "run"
    EXPERIMENT = "experiment"
    LOGGED_MODEL = "logged_model"
    ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class SourceModel:
    """A registered model: description, times, tags, aliases."""

    name: str
    document: Document


@dataclass(frozen=True)
class SourceVersion:
    """A version of a registered model: stage, status, times, tags, run, source. `version` is the
    registry's number, from 1."""

    name: str
    version: int
    document: Document


@dataclass(frozen=True)
class Malformed:
    """An item of a page that cannot be read: the others of its page are not the worse for it.
    `name` and `version` are what could be made out."""

    reason: str
    name: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A page; `next` asks for the one behind it, None where it is the last."""

    items: tuple[T, ...]
    malformed: tuple[Malformed, ...] = ()
    next: str | None = None


@dataclass(frozen=True)
class SourceFile:
    """A file of a version: its path below the version's root, with `/` between the parts, and
    its size in bytes, None where the registry does not tell."""

    path: str
    size: int | None


@dataclass(frozen=True)
class Listing:
    """The files of a version. `root` is the address that they lie under, as inert text;
    `truncated` says that there are more than were listed, by which budget."""

    root: str
    files: tuple[SourceFile, ...]
    truncated: str | None = None


@dataclass(frozen=True)
class Fault:
    """A part of a version that could not be read. `passing`: it may be there the next time, as
    after a time-out; what the registry says does not exist is not."""

    part: Part
    reason: str
    passing: bool


@dataclass(frozen=True)
class Details:
    """What a version leads to; what is None is not there, or has a fault that says why."""

    run: Document | None = None
    experiment: Document | None = None
    logged_model: Document | None = None
    listing: Listing | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Probe:
    """What a first look at a registry showed, without a single write.

    `identity` is who we are there, as it is put on record. `may_write`: whether these
    credentials could write, as far as can be told by reading; None where that cannot be told.
    `warnings` are sentences for people.
    """

    server: str
    identity: str
    may_write: bool | None
    warnings: tuple[str, ...] = ()


class Source(Protocol):
    """A registry that is read, and never written to. Its methods raise `Unavailable` where the
    registry as a whole does not answer, or not as such a registry does; `NotAuthenticated` and
    `NotPermitted` where it refuses our credentials."""

    def probe(self) -> Probe:
        """Look who answers, and as whom it knows us."""
        ...

    def models(self, page: str | None = None) -> Listed[SourceModel]:
        """Registered models, with their aliases."""
        ...

    def versions(
        self, page: str | None = None, *, model: str | None = None
    ) -> Listed[SourceVersion]:
        """Versions of all models, or of one."""
        ...

    def model(self, name: str) -> SourceModel | None:
        """One registered model; None where the registry says that there is none."""
        ...

    def version(self, name: str, version: int) -> SourceVersion | None:
        """One version; None where the registry says that there is none."""
        ...

    def details(self, versions: Sequence[SourceVersion]) -> Iterator[Details]:
        """What each of these leads to, in their order. What is wrong with one is a fault of
        that one."""
        ...

    def content(
        self, version: SourceVersion, file: SourceFile
    ) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of a file as they come; whoever reads decides how much of it to take."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
