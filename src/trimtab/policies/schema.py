"""Reads the annotations of the policy classes: which keys there are and what they mean."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import annotated_types
from pydantic.fields import FieldInfo

from trimtab.policies.units import Direction, Slice, Unit


@dataclass(frozen=True)
class Key:
    """One key of a slice.

    `path` holds the names from the slice down; `unit` is None for words, lists of words
    and lists of slices; `minimum` and `maximum` are the bounds of a number, if it has any
    (`open_minimum`, `open_maximum`: the bound itself is refused).
    """

    path: tuple[str, ...]
    unit: Unit | None
    direction: Direction
    description: str
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False

    @property
    def name(self) -> str:
        """The dotted path."""
        return ".".join(self.path)


def keys(slice_class: type[Slice]) -> tuple[Key, ...]:
    """The keys of `slice_class`, those of its nested slices included, in written order.

    Raises:
        TypeError: a key of a class was declared without a direction: a fault in the class.
    """
    return tuple(_walk(slice_class, ()))


def value_at(part: Slice, path: tuple[str, ...]) -> Any:
    """The value under `path` in `part`.

    Raises:
        AttributeError: there is no such key.
    """
    value: Any = part
    for name in path:
        value = getattr(value, name)
    return value


def slice_at(root: type[Slice], path: tuple[str | int, ...]) -> type[Slice] | None:
    """The slice class that stands under `path` below `root`; None where there is none."""
    here: type[Slice] | None = root
    for name in path:
        if isinstance(name, int):
            continue
        field = here.model_fields.get(name) if here else None
        here = (_nested(field) or _item(field)) if field else None
    return here


def _walk(slice_class: type[Slice], above: tuple[str, ...]) -> Iterator[Key]:
    for name, field in slice_class.model_fields.items():
        path = (*above, name)
        nested = _nested(field)
        if nested:
            yield from _walk(nested, path)
        else:
            yield _key(path, field)


def _nested(field: FieldInfo) -> type[Slice] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Slice) else None


def _item(field: FieldInfo) -> type[Slice] | None:
    """The slice class of which `field` holds a list."""
    arguments = typing.get_args(field.annotation)
    kind = arguments[0] if arguments else None
    return kind if isinstance(kind, type) and issubclass(kind, Slice) else None


def _key(path: tuple[str, ...], field: FieldInfo) -> Key:
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or field.description is None:
        raise TypeError(f"{'.'.join(path)} was declared without direction and description")
    key = Key(path, None, Direction(str(extra["direction"])), field.description)
    for mark in _marks(field):
        match mark:
            case Unit():
                key = replace(key, unit=mark)
            case annotated_types.Ge(ge=bound):
                key = replace(key, minimum=_number(bound))
            case annotated_types.Gt(gt=bound):
                key = replace(key, minimum=_number(bound), open_minimum=True)
            case annotated_types.Le(le=bound):
                key = replace(key, maximum=_number(bound))
            case annotated_types.Lt(lt=bound):
                key = replace(key, maximum=_number(bound), open_maximum=True)
    return key


def _number(bound: object) -> float:
    if not isinstance(bound, int | float):
        raise TypeError(f"{bound!r} is not a bound of a number")
    return bound


def _marks(field: FieldInfo) -> Iterator[Any]:
    """What annotates a number, or the numbers of a list."""
    yield from field.metadata
    for argument in typing.get_args(field.annotation):
        for mark in getattr(argument, "__metadata__", ()):
            yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)
