"""Lists, page by page: `limit` says how many, `cursor` where to go on.

A cursor is what the page before called `next`. It holds the place of its last row, and goes
with the list, the filters and the tenant that it was given for: another list, another filter
or another tenant has no such place. It is no secret and gives no right, so it is not signed:
what is behind it is looked up under the caller's own tenant, as if there were none.

A place is that of a row, not a number of rows to leave out, so that what is added meanwhile
neither repeats a row nor hides one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.sdk import shapes

R = TypeVar("R")
S = TypeVar("S")

_REMEDY = "send what the page before called `next`, or leave it out to begin"
_BOUND_BYTES = 12
_OWN = ("cursor", "limit")


class Paging:
    """Which page of a list is asked for."""

    def __init__(self, request: Request, limit: int, cursor: str | None):
        self.limit = limit
        self._cursor = cursor
        self._asked = [request.url.path] + [
            f"{name}={value}"
            for name, value in sorted(request.query_params.multi_items())
            if name not in _OWN
        ]

    def place(self, actor: Actor) -> str | None:
        """The place of the row to go on after; None to begin.

        Raises:
            InvalidInput: the cursor was not given for this list, these filters and this tenant.
        """
        if self._cursor is None:
            return None
        try:
            read = json.loads(base64.b64decode(self._cursor, altchars=b"-_", validate=True))
            bound, place = read
        except ValueError:
            raise _astray() from None
        if not isinstance(place, str) or bound != self._bound(actor, place):
            raise _astray()
        return place

    def place_as(self, actor: Actor, read: Callable[[str], R]) -> R | None:
        """As `place`, read by `read`, which raises a ValueError where it is none.

        Raises:
            InvalidInput: as `place`, or the place cannot be read so.
        """
        place = self.place(actor)
        try:
            return None if place is None else read(place)
        except ValueError:
            raise _astray() from None

    def page(self, actor: Actor, found: Sequence[R], of: Callable[[R], str]) -> str | None:
        """The `next` of a page of `found`, of whose rows `of` tells the place."""
        if len(found) < self.limit:
            return None
        place = of(found[-1])
        text = json.dumps([self._bound(actor, place), place])
        return base64.urlsafe_b64encode(text.encode()).decode()

    def cut(
        self, actor: Actor, rows: Sequence[R], of: Callable[[R], str]
    ) -> tuple[Sequence[R], str | None]:
        """The page of a list that is at hand whole, and its `next`.

        Raises:
            InvalidInput: the row to go on after is not there any more.
        """
        place, first = self.place(actor), 0
        if place is not None:
            places = [of(row) for row in rows]
            if place not in places:
                raise _astray()
            first = places.index(place) + 1
        found = rows[first : first + self.limit]
        more = len(rows) > first + self.limit
        return found, self.page(actor, found, of) if more else None

    def _bound(self, actor: Actor, place: str) -> str:
        told = json.dumps([*self._asked, actor.tenant, place])
        return hashlib.sha256(told.encode()).hexdigest()[: 2 * _BOUND_BYTES]


@contextmanager
def going_on() -> Iterator[None]:
    """Around a listing that goes on after a row, which must be there.

    Raises:
        InvalidInput: it is not.
    """
    try:
        yield
    except NotFound:
        raise _astray() from None


def _astray() -> InvalidInput:
    return InvalidInput("this list has no such place", field="cursor", remedy=_REMEDY)


Cursor = Annotated[str | None, Query(max_length=1000, description="What `next` said")]


def _paging(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500, description="Rows of a page")] = 100,
    cursor: Cursor = None,
) -> Paging:
    return Paging(request, limit, cursor)


def _long_paging(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000, description="Rows of a page")] = 100,
    cursor: Cursor = None,
) -> Paging:
    return Paging(request, limit, cursor)


Pages = Annotated[Paging, Depends(_paging)]
LongPages = Annotated[Paging, Depends(_long_paging)]
"""For rows that are short."""


def whole(
    paging: Paging,
    actor: Actor,
    rows: Sequence[R],
    of: Callable[[R], str],
    shown: Callable[[R], S],
) -> shapes.Page[S]:
    """The page of a list that is at hand whole, as it is answered."""
    found, onward = paging.cut(actor, rows, of)
    return shapes.Page(items=[shown(row) for row in found], next=onward)
