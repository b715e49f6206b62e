"""What can go wrong, in one tree.

    TrimtabError
    ├── InvalidInput        the caller's data is wrong; `field` names where
    │   └── TooFewValues    a statistic was asked of too little data
    ├── NotAuthenticated    nobody, or nobody we know
    ├── NotPermitted        somebody we know, who may not
    ├── NotFound            no such thing, or not this tenant's
    │   └── NotYours        another tenant's, in the same words
    ├── Conflict            somebody moved it first, or it exists with other content
    │   └── OtherBytes      a version's number stands for other bytes
    ├── InvalidMove         the state machine has no such move from here
    ├── PolicyRefused       a policy, a gate or a permit says no
    │   └── QuotaExceeded   a tenant has as much as it may have
    ├── IntegrityFailed     bytes, signatures or history are not what was recorded
    ├── TooManyRequests     somebody asks, or fails, too often: later again
    └── Unavailable         a part we need does not answer, or is full

A *finding* (a check failed, drift was found) is a value. An exception means that the
question could not be answered, or that the move was refused. None carries a status
number of a protocol: the surfaces map `code` once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class TrimtabError(Exception):
    """Base of all errors; `code` is stable and documented.

    Args:
        message: What happened, in a sentence for a person.
        field: The input that is at fault, as a dotted path, when there is one.
        remedy: What the reader can do next, in a sentence.
    """

    code: ClassVar[str] = "error"
    grave: ClassVar[bool] = False
    """Whether a request that is refused for it is put on record: it may have been an attempt."""

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None):
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy
        if remedy is not None:
            self.add_note(remedy)  # so that a traceback says it, too


class InvalidInput(TrimtabError):
    """The caller's data is wrong.

    Args:
        faults: Each input at fault with what is wrong with it, where there may be several.
    """

    code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        faults: Sequence[tuple[str, str]] = (),
    ):
        super().__init__(message, field=field, remedy=remedy)
        self.faults = tuple(faults)


class TooFewValues(InvalidInput):
    """A statistic was asked of too little data; never answered with nan or 0."""

    code = "too_few_values"


class NotAuthenticated(TrimtabError):
    """No credential, or one that is unknown, expired or revoked."""

    code = "not_authenticated"


class NotPermitted(TrimtabError):
    """A known actor asked for what no rule allows."""

    code = "not_permitted"
    grave = True


class NotFound(TrimtabError):
    """No such thing for this tenant; the same answer for another tenant's objects."""

    code = "not_found"


class NotYours(NotFound):
    """It is another tenant's; said in the very words of what is not there."""

    grave = True


class Conflict(TrimtabError):
    """Another writer came first, or the same name exists with other content."""

    code = "conflict"


class OtherBytes(Conflict):
    """The number of a version stands for other bytes."""

    grave = True


class InvalidMove(TrimtabError):
    """The state machine has no such move from the present state."""

    code = "invalid_move"


class PolicyRefused(TrimtabError):
    """A policy, a gate or a permit says no."""

    code = "policy_refused"


class QuotaExceeded(PolicyRefused):
    """A tenant has as much of something as it may have."""

    code = "quota_exceeded"


class IntegrityFailed(TrimtabError):
    """Bytes, a signature or the history are not what was recorded."""

    code = "integrity_failed"
    grave = True


class TooManyRequests(TrimtabError):
    """Somebody asks, or fails, too often; `retry_after_seconds` says when to come back."""

    code = "too_many_requests"

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: int = 1,
        field: str | None = None,
        remedy: str | None = None,
    ):
        super().__init__(
            message,
            field=field,
            remedy=remedy or f"wait {retry_after_seconds} s, then try again",
        )
        self.retry_after_seconds = retry_after_seconds


class Unavailable(TrimtabError):
    """A part that is needed does not answer, or has no room left."""

    code = "unavailable"
