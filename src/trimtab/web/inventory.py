"""The inventory: which versions do other registries hold, whose are they, and what is missing?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from trimtab.audit.work import Reading
from trimtab.documents.card import Badge
from trimtab.identity.demands import Reach
from trimtab.inventory import connection_store, store
from trimtab.inventory.model import Entry
from trimtab.inventory.record import Stage
from trimtab.inventory.rulebook import Rulebook
from trimtab.inventory.store import Filter, Tally
from trimtab.kernel.errors import InvalidInput
from trimtab.web import words
from trimtab.web.as_of import moment_of
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import HEADERS, page
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.workflows import cards, exports, inventoried
from trimtab.workflows.connections import visible_record
from trimtab.workflows.judging import Judge

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50
_LONGEST = 200

Text = Annotated[str, Query(max_length=_LONGEST)]
Flag = Annotated[bool, Query()]
Looking = Annotated[Visitor, looking("inventory:read", reach=Reach.OWN)]


@dataclass(frozen=True)
class Wanted:
    """What the address asks for, as the fields of the form have it."""

    text: str = ""
    connection: str = ""
    stage: str = ""
    owner: str = ""
    gap: str = ""
    inspection: str = ""
    incomplete: bool = False
    removed: bool = False
    as_of: str = ""

    @property
    def narrowed(self) -> bool:
        """Whether something is left out."""
        return replace(self, as_of="") != Wanted()

    def query(self, **more: str) -> str:
        """The same as the end of an address."""
        said = {k: "true" if v is True else str(v) for k, v in vars(self).items() if v}
        return urlencode({**said, **{k: v for k, v in more.items() if v}})

    def filter(self) -> Filter:
        """The same, as the records are asked."""
        return Filter(
            connection=self.connection or None,
            text=self.text or None,
            stage=Stage(self.stage) if self.stage else None,
            without_owner=self.owner == "none",
            gap=self.gap or None,
            inspection=self.inspection or None,
            incomplete=self.incomplete,
            removed=self.removed,
        )


@dataclass(frozen=True)
class Row:
    """A version in the list."""

    id: str
    model: str
    version: int
    connection: str
    connection_id: str
    owner: str | None
    assumed: bool
    """Whether the owner is but whoever started the run."""
    aliases: tuple[str, ...]
    stage: Badge
    compliance: Badge
    inspection: Badge
    incomplete: str | None
    removed: bool
    since: datetime


@dataclass(frozen=True)
class InventoryPage:
    """The list, what it was narrowed to, and how much there is in all."""

    rows: tuple[Row, ...]
    tally: Tally
    wanted: Wanted
    connections: Mapping[str, str]
    rules: Mapping[str, str]
    moment: datetime | None
    today: str
    next: str | None
    first: bool

    def address(self, **changes: Any) -> str:
        """This list, narrowed further."""
        return _list(replace(self.wanted, **changes))

    def whole(self) -> str:
        """The whole list at the same moment."""
        return _list(Wanted(as_of=self.wanted.as_of))

    def now(self) -> str:
        """The same list as it stands now."""
        return _list(replace(self.wanted, as_of=""))

    def export(self, form: str) -> str:
        """The same list as a file."""
        return f"/inventory/export?{self.wanted.query(format=form)}"

    def of_record(self, record: str) -> str:
        """A record, as it stood at the same moment."""
        return record_address(record, self.wanted.as_of)


def _list(asked: Wanted) -> str:
    query = asked.query()
    return f"/inventory?{query}" if query else "/inventory"


def record_address(record: str, as_of: str = "") -> str:
    """The page of a record; with `as_of` as it stood then."""
    return words.path("inventory", record) + (f"?as_of={quote(as_of)}" if as_of else "")


def wanted(
    text: Text = "",
    connection: Text = "",
    stage: Annotated[Literal["", "development", "staging", "production", "archived"], Query()] = "",
    owner: Annotated[Literal["", "none"], Query()] = "",
    gap: Text = "",
    inspection: Annotated[
        Literal["", "clean", "suspicious", "malicious", "unreadable", "none"], Query()
    ] = "",
    incomplete: Flag = False,
    removed: Flag = False,
    as_of: Annotated[str, Query(max_length=40)] = "",
) -> Wanted:
    """What the address asks for."""
    return Wanted(
        text=text.strip(),
        connection=connection,
        stage=stage,
        owner=owner,
        gap=gap,
        inspection=inspection,
        incomplete=incomplete,
        removed=removed,
        as_of=as_of.strip(),
    )


Asked = Annotated[Wanted, Depends(wanted)]


@router.get("/inventory")
def inventory_page(
    request: Request,
    parts: PartsOf,
    visitor: Looking,
    asked: Asked,
    after: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Every version that other registries hold."""
    judge: Judge = request.app.state.judge
    with parts.records.look() as reading:
        shown = read(reading, visitor, asked, judge.rulebook, after)
    return page(
        request, "inventory.html", shown, title="Inventory", active="inventory", visitor=visitor
    )


@router.get("/inventory/export")
def export(
    parts: PartsOf,
    visitor: Looking,
    asked: Asked,
    form: Annotated[exports.Format, Query(alias="format")] = exports.Format.CSV,
) -> Response:
    """The list as a file, all of it."""
    moment = moment_of(asked.as_of, parts.clock.now())
    pieces = exports.inventory(parts, visitor.actor, asked.filter(), form, moment=moment)
    return download(
        StreamingResponse(pieces, media_type=exports.MEDIA[form]), f"inventory.{form.value}"
    )


def download(response: Response, name: str) -> Response:
    """An answer that is a file to keep, not a page of ours."""
    response.headers.update(HEADERS)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def read(
    reading: Reading, visitor: Visitor, asked: Wanted, rulebook: Rulebook, after: str = ""
) -> InventoryPage:
    """The page, from one look at the records.

    Raises:
        NotFound: the page before ended with a record that is not there.
        InvalidInput: `as_of` is no moment that lies behind.
    """
    moment = moment_of(asked.as_of, reading.now)
    whose, filters = visitor.actor, asked.filter()
    place = _place(reading, visitor, after, moment)
    found = inventoried.inventory(
        reading, whose, filters, moment=moment, after=place, limit=_PAGE + 1
    )
    every = list(connection_store.every(reading, tenant=visitor.tenant, removed=None))
    names = {each.id: each.name for each in every}
    offered = {c.id: c.name for c in every if c.removed_at is None or c.id == asked.connection}
    listed = found[:_PAGE]
    more = asked.query(after=listed[-1].id) if len(found) > _PAGE else None
    return InventoryPage(
        rows=tuple(row(entry, names) for entry in listed),
        tally=inventoried.tally(reading, whose, filters, moment=moment),
        wanted=asked,
        connections=offered,
        rules={rule.id: rule.title for rule in rulebook.rules},
        moment=moment,
        today=words.day(reading.now),
        next=f"/inventory?{more}" if more else None,
        first=not after,
    )


def _place(
    reading: Reading, visitor: Visitor, after: str, moment: datetime | None
) -> tuple[str, int, str] | None:
    """Where the page goes on: behind the record that the one before ended with."""
    if not after:
        return None
    entry = store.at(reading, visible_record(reading, visitor.actor, after).id, moment)
    if entry is None:
        raise InvalidInput(
            "the list has no such place at this moment",
            field="after",
            remedy="begin with the first page",
        )
    return inventoried.place_of(entry)


def row(entry: Entry, connections: Mapping[str, str]) -> Row:
    """A record as a row."""
    record = entry.record
    owner = record.value("owner")
    return Row(
        id=entry.id,
        model=record.model,
        version=record.version,
        connection=connections.get(entry.connection, entry.connection),
        connection_id=entry.connection,
        owner=None if owner is None else str(owner),
        assumed=any(finding.code == "owner_assumed" for finding in record.findings),
        aliases=record.aliases,
        stage=cards.stage_badge(record, entry.inspection),
        compliance=cards.compliance_badge(outcomes(entry)),
        inspection=cards.inspection_badge(entry.inspection),
        incomplete=record.incomplete,
        removed=entry.removed,
        since=entry.since,
    )


def outcomes(entry: Entry) -> Sequence[str]:
    """How a record stands by each rule."""
    return [str(rule["outcome"]) for rule in entry.compliance.get("rules", ())]
