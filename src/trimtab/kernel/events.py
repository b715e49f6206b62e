"""One event object is the audit entry, the outbox message and the timeline line."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

from trimtab.kernel.clock import iso
from trimtab.kernel.ids import TenantId


@dataclass(frozen=True)
class Event:
    """Why a record changed. Subclasses are frozen dataclasses that set `kind`.

    `kind` reads `<thing>.<what happened>` (`rollout.rolled_back`), is unique, and never
    changes once released. `subject` is the id of the thing that the event is about,
    `tenant` the tenant in whose history it belongs (None: the fleet's). Every id that a
    field mentions is indexed, so that timelines can be read off the ledger.
    """

    kind: ClassVar[str] = ""

    subject: str
    tenant: TenantId | None

    def payload(self) -> dict[str, Any]:
        """The fields as JSON values, without `subject` and `tenant`, which the entry carries."""
        return {
            f.name: plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in ("subject", "tenant")
        }


@dataclass(frozen=True)
class Note(Event):
    """What is entered although no record changes by it: something was seen, said or refused, or
    was done to what is no record, such as a file. Every other event belongs to one write of one
    row."""


def kinds(of: type[Event] = Event) -> frozenset[str]:
    """Every kind of event whose class this process knows; one that is joined knows all."""
    found, waiting = set[str](), [of]
    while waiting:
        event = waiting.pop()
        found.add(event.kind)
        waiting += event.__subclasses__()
    return frozenset(found - {""})


def plain(value: Any) -> Any:
    """`value` as JSON types: enums by value, moments as RFC 3339, dataclasses as objects.

    Raises:
        TypeError: a type that has no one JSON form. Non-finite floats become the strings
            `nan`, `inf` and `-inf`, so that no reader takes them for a number.
    """
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else str(value)
        case datetime():
            return iso(value)
        case dict():
            return {str(plain(k)): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case set() | frozenset():
            return sorted(plain(v) for v in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def canonical(value: Any) -> bytes:
    """`value` as JSON bytes: sorted keys, no white space, UTF-8.

    What is hashed is stored as these bytes and never serialised again to be verified.
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
