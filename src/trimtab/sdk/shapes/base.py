"""What all wire shapes are made of: requests, answers, pages, and the texts in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from trimtab.artifacts import strictjson

T = TypeVar("T")


def said(message: str) -> str:
    """What a validation says, without the words of the library that it is built on."""
    plain = message.removeprefix("Value error, ")
    return plain[:1].upper() + plain[1:]


class Request(BaseModel):
    """Sent by a caller: unknown members and numbers that are not finite are refused. What is
    said below a field is its description on the wire."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, sent: Any) -> Any:
        """2015.0 is an integer of JSON (RFC 8259 has one kind of number, and JSON Schema takes it
        for one), though not of Python."""
        return int(sent) if isinstance(sent, float) and sent.is_integer() else sent


class Answer(BaseModel):
    """Sent by the server."""

    model_config = ConfigDict(from_attributes=True, frozen=True, extra="ignore")


class Page(Answer, Generic[T]):
    """Some of many; `next` goes back as `cursor` to get what follows, None at the end."""

    items: list[T]
    next: str | None = None


class ProblemShape(BaseModel):
    """Why a request was refused (RFC 9457), and the way out."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None
    remedy: str
    request_id: str
    errors: list[dict[str, str]] = Field(default_factory=list)
    """Each input at fault, where several are."""


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

_SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_LINE_ENDS = r"\t\r\n"
_CONTROLS = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_FORMATS = (
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f"
)
UNSEEN = _CONTROLS + _FORMATS
"""Characters that a reader does not see, or that change what they see elsewhere, as the inside
of a class of a regular expression; those that words of several scripts are joined with aside.
What comes as JSON has no half of a surrogate pair."""

LINE = f"^[{_SPACES}]*[^{UNSEEN}{_LINE_ENDS}{_SPACES}][^{UNSEEN}{_LINE_ENDS}]*$"
"""One line with something to read in it."""
LINES = f"^[^{UNSEEN}]*$"
NO_NUL = r"^[^\u0000]*$"
"""What every text of a request is at least."""
WHY = (
    f"^[{_SPACES}{_LINE_ENDS}]*[^{UNSEEN}{_LINE_ENDS}{_SPACES}][^{UNSEEN}]+"
    f"[^{UNSEEN}{_LINE_ENDS}{_SPACES}][{_SPACES}{_LINE_ENDS}]*$"
)
"""Three characters at least, spaces around them aside."""
SLUG = "^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
"""Of models and tenants."""
SEMVER = r"^(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}$"
DIGEST = "^sha256:[0-9a-f]{64}$"
EMAIL = f"^[^@{_SPACES}{_LINE_ENDS}{UNSEEN}]{{1,64}}@[^@{_SPACES}{_LINE_ENDS}{UNSEEN}]{{1,190}}$"
KEY = "^[!-~]{16,255}$"
"""Of a request that may be repeated: long enough that nobody guesses it."""
ID = "^[A-Za-z0-9_-]{1,80}$"
VISIBLE = "^[!-~]+$"
PERMISSION = "^[a-z_]+:[a-z_]+$"
REFERENCE = "^(?:env|file):[A-Za-z0-9_.-]+$"
"""To where a secret lies."""
WEB_ADDRESS = "^https?://[!-~]+$"
NETWORK = "^[0-9a-fA-F:./]+$"


def described(pattern: str) -> Any:
    """What a text is made of, for the description; a validator or the records refuse the rest,
    in words that say how to write it."""
    return Field(json_schema_extra={"pattern": pattern})


_HIDDEN = re.compile(f"[{UNSEEN}\ud800-\udfff]")
_HIDDEN_IN_LINE = re.compile(f"[{UNSEEN}{_LINE_ENDS}\ud800-\udfff]")


def _visible(text: str, hidden: re.Pattern[str]) -> str:
    if found := hidden.search(text):
        raise ValueError(f"the character U+{ord(found[0]):04X} cannot be seen, leave it out")
    return text


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("there is nothing to read in it")
    return _visible(text, _HIDDEN_IN_LINE)


def _lines(text: str) -> str:
    return _visible(text, _HIDDEN)


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
    described(WHY),
]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_lines), described(LINES)]
Line = AfterValidator(_line)
"""Of text in one line, which a person reads as it stands there."""

Name = Annotated[str, Field(min_length=1, max_length=200), Line, described(LINE)]
ColumnName = Annotated[str, Field(min_length=1, max_length=120), Line, described(LINE)]


ModelName = Annotated[str, Field(min_length=1, max_length=63), described(SLUG)]
TenantName = Annotated[str, Field(min_length=1, max_length=63), described(SLUG)]
VersionName = Annotated[str, Field(min_length=1, max_length=40), described(SEMVER)]
"""What these are made of, the records say; they answer with the way to write them."""


class Because(Request):
    """A reason, for a verb that needs nothing else."""

    reason: Reason
