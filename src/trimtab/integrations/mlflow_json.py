"""JSON from an MLflow server that nobody vouches for: bounded, and read so that one bad item does
not spoil the others of its page."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from trimtab.inventory.source import Document
from trimtab.kernel.errors import Unavailable

MAX_DEPTH = 24
"""How deep an item may be nested; what MLflow answers is nested six levels deep."""
MAX_VALUES = 2_000_000
"""In one answer: an empty list takes two bytes in JSON, and dozens in memory."""
_DIGITS = 400
_WHOLE_DIGITS = 40
_REMEDY = "check that the address is that of an MLflow server, and that no login page is before it"
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class NotMlflow(Unavailable):
    """What answers does not answer as an MLflow server does."""

    def __init__(self, what: str):
        super().__init__(f"what answers does not answer as MLflow does: {what}", remedy=_REMEDY)


class Unfit(ValueError):
    """An item that cannot be taken, and why."""


def read_object(body: bytes) -> dict[str, Any]:
    """The object that an answer is.

    Raises:
        NotMlflow: it is not JSON, no object, too large for what it can hold, or ambiguous.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise NotMlflow(f"it answers with more than {MAX_VALUES} values at once")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_number,
        )
    except (ValueError, RecursionError) as error:
        raise NotMlflow(f"its answer is not JSON ({type(error).__name__})") from None
    if not isinstance(value, dict) or isinstance(value, _Ambiguous):
        raise NotMlflow("its answer is no object, or one with a key that stands there twice")
    return value


def fit(item: Any) -> dict[str, Any]:
    """An item of an answer as it can be kept. Characters that no database keeps (NUL, halves of
    characters) are replaced in its texts, never in its keys.

    Raises:
        Unfit: no object, nested too deep, or with a key that stands there twice.
    """
    if not isinstance(item, dict):
        raise Unfit("it is no object")
    _examine(item)
    return item


def list_of(answer: Mapping[str, Any], key: str) -> list[Any]:
    """The list under a key; an empty list is left out by MLflow, and then nothing else but the
    token of a page may stand there.

    Raises:
        NotMlflow: something else stands there.
    """
    found = answer.get(key)
    if found is None and set(answer) <= {key, "next_page_token"}:
        return []
    if not isinstance(found, list):
        raise NotMlflow(f"its answer has no list {key}")
    return found


def texts(document: Document, keys: Iterable[str]) -> None:
    """Make sure that each of these is text, or is not there.

    Raises:
        Unfit: one is something else.
    """
    for key in keys:
        if not isinstance(document.get(key, ""), str):
            raise Unfit(f"its {key} is no text")


def times(document: Document, keys: Iterable[str]) -> None:
    """Make sure that each of these is a whole number, or is not there.

    Raises:
        Unfit: one is something else.
    """
    for key in keys:
        value = document.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit(f"its {key} is no whole number")


def pairs(document: Document, key: str, names: tuple[str, str]) -> None:
    """Make sure that what stands under `key` is a list of such pairs of texts, or is not there.

    Raises:
        Unfit: it is something else.
    """
    found = document.get(key, [])
    if not isinstance(found, list):
        raise Unfit(f"its {key} are no list")
    for one in found:
        if not isinstance(one, dict) or not all(
            isinstance(one.get(name, ""), str) for name in names
        ):
            raise Unfit(f"its {key} are no pairs of texts")


def with_numbers(document: Document) -> Document:
    """The same with the values of its metrics as floats: MLflow writes NaN as text, and keeps an
    infinity as the largest number that there is."""
    data = document.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("metrics"), list):
        return document
    return {**document, "data": {**data, "metrics": [_metric(one) for one in data["metrics"]]}}


def _metric(metric: Any) -> Any:
    if not isinstance(metric, dict):
        return metric
    value = metric.get("value")
    if isinstance(value, str) and value in _WORDS:
        return {**metric, "value": _WORDS[value]}
    if isinstance(value, float) and abs(value) == sys.float_info.max:
        return {**metric, "value": math.copysign(math.inf, value)}
    return metric


class _Ambiguous(dict[str, Any]):
    """An object in which a key occurs twice."""


def _object(found: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(found)
    return value if len(value) == len(found) else _Ambiguous(value)


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _WHOLE_DIGITS else _number(text)


def _number(text: str) -> float:
    """A number of more digits than anybody means is none; to read it would take a while."""
    return float(text) if len(text) <= _DIGITS else math.nan


def _examine(item: dict[str, Any]) -> None:
    waiting: list[tuple[Any, int]] = [(item, 1)]
    while waiting:
        found, depth = waiting.pop()
        if isinstance(found, _Ambiguous):
            raise Unfit("a key stands there twice")
        if depth > MAX_DEPTH:
            raise Unfit(f"it is nested deeper than {MAX_DEPTH} levels")
        for place, inner in list(found.items() if isinstance(found, dict) else enumerate(found)):
            if isinstance(place, str) and _kept(place) != place:
                raise Unfit("one of its keys has characters that cannot be kept")
            if isinstance(inner, str):
                found[place] = _kept(inner)
            elif isinstance(inner, dict | list):
                waiting.append((inner, depth + 1))


def _kept(text: str) -> str:
    if text.isascii() and "\x00" not in text:
        return text
    return "".join("\ufffd" if c == "\x00" or "\ud800" <= c <= "\udfff" else c for c in text)
