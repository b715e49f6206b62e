"""A record of the inventory: what is known of this version, where from, and what is missing?"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from trimtab.audit.work import Reading
from trimtab.documents.card import Card, File, Rule, Tone
from trimtab.documents.words import seen
from trimtab.inventory.model import Connection, Entry
from trimtab.inventory.rulebook import Rulebook
from trimtab.kernel.clock import iso
from trimtab.web import record_course, telling, waivers, words
from trimtab.web.as_of import moment_of
from trimtab.web.inventory import Looking, download, record_address
from trimtab.web.record_course import Course
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor
from trimtab.web.telling import Line
from trimtab.web.waivers import Offer
from trimtab.workflows import cards, inventoried, lineage, record_cards
from trimtab.workflows.inventoried import Move
from trimtab.workflows.judging import Judge
from trimtab.workflows.lineage import Lineage

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_LISTED = 200
_NOT_IN_FILES = re.compile(r"[^A-Za-z0-9._-]+")
_TYPES = {
    "html": ("text/html; charset=utf-8", "html"),
    "pdf": ("application/pdf", "pdf"),
    "json": ("application/json", "json"),
    "cyclonedx": ("application/vnd.cyclonedx+json; version=1.6", "cdx.json"),
}

AsOf = Annotated[str, Query(max_length=40)]


@dataclass(frozen=True)
class Happened:
    """A line of the history, with the address of what it led to."""

    move: Move
    address: str


@dataclass(frozen=True)
class Near:
    """A thing that this version comes from, or leads to; `steps` away."""

    kind: str
    label: str
    steps: int
    address: str | None


@dataclass(frozen=True)
class RecordPage:
    """A record, its card, what happened to it, what it comes from and leads to."""

    entry: Entry
    connection: Connection
    card: Card
    gaps: tuple[Rule, ...]
    """Rules with a gap, what weighs most first."""
    doubts: tuple[Rule, ...]
    """Rules that cannot be told, or whose gap somebody answers for."""
    kept: tuple[Rule, ...]
    idle: tuple[Rule, ...]
    """Rules that do not apply."""
    files: tuple[File, ...]
    course: Course | None
    history: tuple[Happened, ...]
    upstream: tuple[Near, ...]
    downstream: tuple[Near, ...]
    cut: bool
    """Whether the lineage goes on behind what is shown."""
    timeline: tuple[Line, ...]
    moment: datetime | None
    as_of: str
    today: str
    offer: Offer | None

    def document(self, form: str) -> str:
        """The card as a file."""
        said = f"&as_of={self.as_of}" if self.as_of else ""
        return words.path("inventory", self.entry.id, "card") + f"?format={form}{said}"

    @property
    def more_files(self) -> int:
        """Files that are not listed here."""
        return len(self.card.files) - len(self.files)


@router.get("/inventory/{record}")
def record_page(
    request: Request, parts: PartsOf, visitor: Looking, record: str, as_of: AsOf = ""
) -> Response:
    """Everything that is known of a version, and where each value was read."""
    judge: Judge = request.app.state.judge
    with parts.records.look() as reading:
        shown = read(reading, visitor, judge.rulebook, record, as_of.strip())
    title = f"{seen(shown.card.model, 80)} {shown.card.version}"
    return page(request, "record.html", shown, title=title, active="inventory", visitor=visitor)


@router.get("/inventory/{record}/card")
def card_file(
    parts: PartsOf,
    visitor: Looking,
    record: str,
    form: Annotated[Literal["html", "pdf", "json", "cyclonedx"], Query(alias="format")] = "html",
    as_of: AsOf = "",
) -> Response:
    """The model card of a version as a file."""
    with parts.records.look() as reading:
        moment = moment_of(as_of.strip(), reading.now)
        view = inventoried.record(reading, visitor.actor, record, moment=moment)
        card = record_cards.of_view(reading, view)
    kind, ending = _TYPES[form]
    name = _NOT_IN_FILES.sub("-", f"{card.model[:60]}-{card.version}").strip("-.") or "model"
    return download(Response(cards.render(card, form), media_type=kind), f"{name}.{ending}")


def read(
    reading: Reading, visitor: Visitor, rulebook: Rulebook, record_id: str, as_of: str
) -> RecordPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such record of theirs, or it was not known then.
        InvalidInput: `as_of` is no moment that lies behind.
    """
    moment = moment_of(as_of, reading.now)
    view = inventoried.record(reading, visitor.actor, record_id, moment=moment)
    card = record_cards.of_view(reading, view)
    moves = inventoried.history(reading, visitor.actor, record_id)
    walked = lineage.of_record(reading, visitor.actor, record_id, moment=moment)
    rules = card.worst_first()
    return RecordPage(
        entry=view.entry,
        connection=view.connection,
        card=card,
        gaps=tuple(rule for rule in rules if rule.outcome.tone is Tone.BAD),
        doubts=tuple(rule for rule in rules if rule.outcome.tone is Tone.WAIT),
        kept=tuple(rule for rule in rules if rule.outcome.tone is Tone.GOOD),
        idle=tuple(rule for rule in rules if rule.outcome.tone is Tone.PLAIN),
        files=card.files[:_LISTED],
        course=record_course.draw(moves, reading.now, moment),
        history=_history(record_id, moves),
        upstream=_near(walked, record_id, up=True),
        downstream=_near(walked, record_id, up=False),
        cut=walked.truncated,
        timeline=telling.timeline(reading, visitor, [record_id], limit=20),
        moment=moment,
        as_of=as_of,
        today=words.day(reading.now),
        offer=waivers.offer(visitor, view.entry, rulebook, reading.now) if moment is None else None,
    )


def _history(record_id: str, moves: Sequence[Move]) -> tuple[Happened, ...]:
    return tuple(Happened(m, record_address(record_id, iso(m.at))) for m in moves)


def _near(found: Lineage, start_record: str, *, up: bool) -> tuple[Near, ...]:
    """What is reached one way from the start, the nearest first."""
    beside: dict[str, list[str]] = defaultdict(list)
    for edge in found.edges:
        here, beyond = edge.upstream, edge.downstream
        if up:
            here, beyond = beyond, here
        beside[here].append(beyond)
    steps, waiting = {found.start: 0}, deque([found.start])
    while waiting:
        here = waiting.popleft()
        for beyond in beside[here]:
            if beyond not in steps:
                steps[beyond] = steps[here] + 1
                waiting.append(beyond)
    things = {node.id: node for node in found.nodes}
    return tuple(
        Near(
            things[name].kind,
            things[name].label,
            far,
            None
            if things[name].record in (None, start_record)
            else record_address(str(things[name].record)),
        )
        for name, far in steps.items()
        if far and name in things
    )
