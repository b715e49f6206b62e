"""From YAML to a strict model, or to an error with its place and the nearest valid key."""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.reading import Document, Path, dotted, refusal, said_of


class Strict(BaseModel):
    """A part of a document: frozen, unknown keys refused, no text taken for a number."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )


Shape = TypeVar("Shape", bound=Strict)


def shaped(shape: type[Shape], document: Document) -> Shape:
    """What `document` says, in its shape.

    Raises:
        InvalidInput: an unknown or missing key, or a value of another type; the message starts
            with `source:line:column:` and `field` names the key.
    """
    try:
        # Through JSON, because strict validation takes lists and words only from there.
        return shape.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise _explained(shape, document, error) from error


def nearest(word: str, valid: Iterable[str]) -> str:
    """That of `valid`, which is not empty, which looks most like `word`."""
    return difflib.get_close_matches(word[:60], [str(name) for name in valid], n=1, cutoff=0)[0]


def demand_name(document: Document, path: Path, name: str, valid: Iterable[str], what: str) -> None:
    """Refuse `name`, which stands at `path`, unless it is one of `valid`."""
    valid = tuple(valid)
    if name not in valid:
        near = nearest(name, valid)
        document.refuse(
            path, f"{name[:60]!r} is not {what}; the nearest is {near!r}", remedy=f"Use {near!r}."
        )


def _explained(shape: type[Strict], document: Document, error: ValidationError) -> InvalidInput:
    faults = error.errors(include_url=False)
    # An unknown key goes before a missing one: it is mostly the same key, misspelled.
    first = min(faults, key=lambda fault: fault["type"] == "missing")
    path: Path = tuple(first["loc"])
    what, remedy = said_of(
        first, "the document", lambda: nearest(str(path[-1]), _keys_at(shape, path[:-1]))
    )
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return refusal(document.source, document.place(path), what + more, dotted(path), remedy)


def _keys_at(shape: type[Strict], path: Path) -> list[str]:
    found: Any = shape
    for part in path:
        if isinstance(found, type) and issubclass(found, Strict):
            found = found.model_fields[str(part)].annotation
        else:  # a list or a mapping: what is in it
            found = typing.get_args(found)[0 if isinstance(part, int) else -1]
    return list(found.model_fields)
