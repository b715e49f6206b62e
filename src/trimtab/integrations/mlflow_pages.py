"""Pages of models and versions: which items can be taken, and lists that never end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from trimtab.artifacts.redaction import shown
from trimtab.integrations.mlflow_json import (
    NotMlflow,
    Unfit,
    fit,
    pairs,
    texts,
    times,
    with_numbers,
)
from trimtab.inventory.source import Listed, Malformed, SourceModel, SourceVersion

_T = TypeVar("_T", SourceModel, SourceVersion)

_NUMBER = re.compile("[1-9][0-9]{0,17}")
_LONGEST_TOKEN = 8192
_TIMES = ("creation_timestamp", "last_updated_timestamp")
_VERSION_TEXTS = (
    "description",
    "user_id",
    "current_stage",
    "source",
    "run_id",
    "run_link",
    "status",
    "status_message",
    "model_id",
)
_PAIR = ("key", "value")


class Chains:
    """The tokens that the pages of each list have led on by: a list goes on for a bounded while,
    and never back.

    A page may be asked for again, after a failure; then it leads on as it did.
    """

    def __init__(self, most_pages: int):
        self._most = most_pages
        self._steps: dict[str, dict[int, tuple[int | None, int]]] = {}

    def lead_on(self, chain: str, page: str | None, token: object) -> str | None:
        """The token of the page after `page`, None where that is the last.

        Raises:
            NotMlflow: it is none, leads back, or there have been too many.
        """
        steps = self._steps.setdefault(chain, {})
        if page is None:
            steps.clear()
        if token is None or token == "":
            return None
        if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
            raise NotMlflow("the token of its next page is none")
        here = None if page is None else hash(page)
        there = hash(token)
        before = steps.get(there)
        if here == there or (before is not None and before[0] != here):
            raise NotMlflow("its pages go round in a circle: a token came twice")
        count = 1 if here is None else steps.get(here, (None, 0))[1] + 1
        if count >= self._most:
            raise NotMlflow(f"its list does not end after {self._most} pages")
        steps[there] = (here, count)
        return token


def listed(
    items: Iterable[Any],
    take: Callable[[Any], _T],
    token: str | None,
    *,
    quote: Callable[[str], str],
) -> Listed[_T]:
    """A page of what can be taken, with what cannot and why."""
    good: list[_T] = []
    bad: list[Malformed] = []
    for item in items:
        try:
            good.append(take(item))
        except Unfit as error:
            bad.append(_malformed(item, quote(str(error))))
    return Listed(tuple(good), tuple(bad), token)


def model_of(item: Any) -> SourceModel:
    """A registered model.

    Raises:
        Unfit: it has no name, or members of other types.
    """
    name = _name(item)
    document = fit(item)
    texts(document, ("description", "user_id"))
    times(document, _TIMES)
    pairs(document, "tags", _PAIR)
    pairs(document, "aliases", ("alias", "version"))
    return SourceModel(name, document)


def version_of(item: Any) -> SourceVersion:
    """A version of a registered model.

    Raises:
        Unfit: it has no name or number, or members of other types.
    """
    name = _name(item)
    document = fit(item)
    number = _number(document.get("version"))
    if number is None:
        raise Unfit("its version is no number from 1")
    # A field that is null is one that is not there; 3.17 writes model_id so.
    present = {key: value for key, value in document.items() if value is not None}
    texts(present, _VERSION_TEXTS)
    times(present, _TIMES)
    pairs(present, "tags", _PAIR)
    return SourceVersion(name, number, with_numbers(document))


def _name(item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        raise Unfit("it has no name")
    if "\x00" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise Unfit(f"its name, {shown(name)}, has characters that cannot be kept")
    return name


def _number(version: Any) -> int | None:
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    return int(version) if isinstance(version, str) and _NUMBER.fullmatch(version) else None


def _malformed(item: Any, reason: str) -> Malformed:
    try:
        name = _name(item)
    except Unfit:
        return Malformed(reason)
    return Malformed(reason, name, _number(item.get("version")))
