"""What all wire shapes are made of: requests, answers, pages, and the texts in them."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from trimtab.artifacts import strictjson

T = TypeVar("T")


class Request(BaseModel):
    """Sent by a caller: unknown members and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Sent by the server."""

    model_config = ConfigDict(from_attributes=True, frozen=True, extra="ignore")


class Page(Answer, Generic[T]):
    """Some of many; `next` goes back as `after` to get what follows, None at the end."""

    items: list[T]
    next: str | None = None


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    try:
        strictjson.demand_plain(value)
    except strictjson.NotStrict as error:
        raise ValueError(f"{error.where or 'here'}: {error.what}") from None
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Whatever JSON can say, so that it is read back as it was sent."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2500, 1, 1, tzinfo=UTC)
"""Bounds of every moment that is sent: within them it can be told in any zone, and what a
policy adds to it in days is a moment too."""

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _rfc_3339(value: object) -> object:
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("a moment is written with its offset, such as 2015-03-01T00:00:00Z")
    if not isinstance(value, str | datetime):  # a number would be taken for seconds
        raise ValueError("a moment is text, such as 2015-03-01T00:00:00Z")
    return value


def _bounded(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"a moment lies between {EARLIEST.year} and {LATEST.year}")
    return value.astimezone(UTC)


Moment = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_rfc_3339), AfterValidator(_bounded)
]
"""A moment that somebody sends, in a query or a body."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode that a reader does not see, or that change what they see elsewhere."""

_JOINERS = "\u200c\u200d"
"""Of these, what words of several scripts are written with."""


def _visible(text: str, besides: str = "") -> str:
    for letter in text:
        if unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS + besides:
            raise ValueError(f"the character U+{ord(letter):04X} cannot be seen, leave it out")
    return text


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("there is nothing to read in it")
    return _visible(text)


def _lines(text: str) -> str:
    return _visible(text, besides="\t\r\n")


def _why(text: str) -> str:
    if len(text.strip()) < MIN_REASON:
        raise ValueError("say why, in a few words")
    return _lines(text)


MIN_REASON = 3
"""Characters of a reason, spaces around it aside."""

Reason = Annotated[
    str,
    Field(min_length=MIN_REASON, max_length=2000, description="Why, for the ledger."),
    AfterValidator(_why),
]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_lines)]
Line = AfterValidator(_line)
"""Of text in one line, which a person reads as it stands there."""

Name = Annotated[str, Field(min_length=1, max_length=200), Line]
ColumnName = Annotated[str, Field(min_length=1, max_length=120), Line]


ModelName = Annotated[str, Field(min_length=1, max_length=63)]
TenantName = Annotated[str, Field(min_length=1, max_length=63)]
"""What these are made of, the records say; they answer with the way to write them."""


class Because(Request):
    """A reason, for a verb that needs nothing else."""

    reason: Reason
