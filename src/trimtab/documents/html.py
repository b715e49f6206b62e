"""A card as one page that can be sent to a colleague: no address outside it, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TypeVar

from trimtab.documents import words
from trimtab.documents.card import Badge, Card, File, Rule, Section, Shape, Statement, Tone
from trimtab.documents.page import page

LISTED = 500
"""Rows of a table; the JSON has all of them."""

T = TypeVar("T")

READING = (
    "Every statement names the place that it was read from. What is marked “claimed” is what "
    "somebody wrote beside the model: it says that they said so, and is no approval. Numbers are "
    "those that the training recorded; nobody has measured them again for this card. A rule that "
    "is kept shows that its evidence is there. It is no legal advice, and no finding that a law "
    "is complied with."
)


def render(card: Card) -> str:
    """The page; the same card is the same page, byte for byte."""
    title = f"{words.seen(card.model, 120)} {words.seen(card.version, 40)}"
    body = (
        _head(card)
        + _rules(card)
        + '<div class="groups">'
        + "".join(_section(section) for section in card.sections)
        + "</div>"
        + _numbers(card)
        + _data(card)
        + _environment(card)
        + _files(card)
        + _oddities(card)
        + f'<section><h2>How to read this card</h2><p class="soft">{READING}</p></section>'
    )
    made = f"Made by {_text(card.made_by)} from what was known on {words.moment(card.as_of)}."
    return page(
        f"{escape(title)} · model card",
        "model card",
        body,
        sheet=files("trimtab.documents").joinpath("card.css").read_text("utf-8"),
        shapes=Shape,
        foot=f"<footer><p>{made}</p></footer>",
    )


def _text(text: str, length: int = words.LONG) -> str:
    """A text of strangers: isolated from the writing around it, and escaped."""
    return f"<bdi>{_said(text, length)}</bdi>"


def _said(text: str, length: int = words.LONG) -> str:
    """A sentence that may hold texts of strangers, escaped."""
    return escape(words.seen(text, length))


def _badge(badge: Badge) -> str:
    return (
        f'<span class="status tone-{badge.tone}"><svg class="shape" aria-hidden="true">'
        f'<use href="#shape-{badge.shape}"/></svg>{_said(badge.word, 60)}</span>'
    )


def _why(badge: Badge) -> str:
    return f'<span class="soft small">{_said(badge.why)}</span>' if badge.why else ""


# -- head ------------------------------------------------------------------------------------


def _head(card: Card) -> str:
    tones = {badge.tone for badge in card.badges}
    edge = next((t for t in (Tone.BAD, Tone.WAIT, Tone.GOOD) if t in tones), Tone.PLAIN)
    badges = "".join(
        f"<div><dt>{_said(badge.about, 60)}</dt><dd>{_badge(badge)}{_why(badge)}</dd></div>"
        for badge in card.badges
    )
    purpose = card.said("business_purpose") or card.said("description")
    lede = (
        f'<p class="lede">{_text(" ".join(purpose.values), 400)}</p>'
        if purpose is not None and purpose.values
        else ""
    )
    warned = (
        f'<p class="notice"><b>This record is incomplete.</b> {_text(card.incomplete)}</p>'
        if card.incomplete
        else ""
    )
    return (
        f'<section class="headline tone-edge-{edge}"><h1>{_text(card.model, 200)} '
        f'<span class="version">{_text(card.version, 60)}</span></h1>{lede}'
        f'<dl class="badges">{badges}</dl></section>{warned}'
        f'<dl class="facts top-facts"><dt>Registry</dt><dd>{_text(card.registry, 120)} '
        f'<span class="soft">{_text(card.address, 200)}</span></dd>'
        f"<dt>As known on</dt><dd>{words.moment(card.as_of)}</dd>"
        f"<dt>Judged by</dt><dd>{_text(card.rulebook, 200)}</dd></dl>"
    )


# -- statements ------------------------------------------------------------------------------


def _section(section: Section) -> str:
    rows = "".join(_statement(one) for one in section.statements)
    return (
        f'<section class="card"><h2>{_said(section.title, 100)}</h2>'
        f'<dl class="facts">{rows}</dl></section>'
    )


def _statement(told: Statement) -> str:
    if told.values:
        said = ", ".join(_text(value) for value in told.values)
    else:
        said = f'<span class="gap">{_said(told.gap or "not known")}</span>'
    claim = ' <span class="tag">claimed</span>' if told.claim and told.values else ""
    origin = (
        f'<span class="source">{escape(words.source(told.source))}</span>'
        if told.source is not None
        else ""
    )
    return f"<dt>{_said(told.label, 100)}</dt><dd>{said}{claim}{origin}</dd>"


# -- tables ----------------------------------------------------------------------------------


def _table(
    title: str,
    heads: Sequence[str],
    found: Sequence[T],
    row: Callable[[T], Iterable[str]],
    *,
    note: str = "",
    right: Sequence[int] = (),
) -> str:
    """A table in a card of its own; nothing where there are no rows. Cells are markup."""
    if not found:
        return ""

    def kind(place: int) -> str:
        return ' class="num"' if place in right else ""

    head = "".join(
        f'<th scope="col"{kind(place)}>{escape(name)}</th>' for place, name in enumerate(heads)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{escape(heads[place])}"{kind(place)}>{cell}</td>'
            for place, cell in enumerate(row(one))
        )
        + "</tr>"
        for one in found[:LISTED]
    )
    left = len(found) - LISTED
    more = f'<p class="soft">Not listed: {left:,} more. The JSON has them.</p>' if left > 0 else ""
    note = f'<p class="soft">{note}</p>' if note else ""
    return (
        f"<section><h2>{escape(title)}</h2>{note}"
        f'<div class="card flush"><table class="stack"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}</section>"
    )


def _rules(card: Card) -> str:
    def row(rule: Rule) -> tuple[str, ...]:
        waived = f'<span class="source">{_said(rule.waived)}</span>' if (
            rule.waived
        ) else ""  # fmt: skip
        remedy = f'<span class="remedy">{_said(rule.remedy)}</span>' if rule.remedy else ""
        asked = "".join(f"<span>{_said(one, 120)}</span>" for one in rule.references)
        return (
            _badge(rule.outcome) + waived,
            f"<b>{_said(rule.title, 200)}</b>"
            f'<span class="why">{_said(rule.sentence)}</span>{remedy}',
            f'<span class="asked">{asked}</span>',
        )

    heads = ("Outcome", "Rule", "Asked for by")
    return _table("Compliance", heads, card.worst_first(), row)


def _numbers(card: Card) -> str:
    metrics = _table(
        "Metrics",
        ("Name", "Value", "Step", "Recorded"),
        card.metrics,
        lambda one: (
            _text(one.name, 200),
            escape(words.metric(one)),
            "" if one.step is None else words.number(one.step),
            "" if one.at is None else words.moment(one.at),
        ),
        right=(1, 2),
    )
    parameters = _table(
        "Training parameters",
        ("Name", "Value"),
        card.parameters,
        lambda one: (_text(one.name, 200), _text(one.value)),
    )
    return f'<div class="halves">{metrics}{parameters}</div>' if metrics or parameters else ""


def _data(card: Card) -> str:
    return _table(
        "Data",
        ("Name", "Digest", "Used for", "Kind", "Where it lies"),
        card.datasets,
        lambda one: (
            _text(one.name, 200),
            f"<code>{_text(one.digest, 80)}</code>" if one.digest else "",
            _text(one.context, 80) if one.context else "",
            _text(one.kind, 60) if one.kind else "",
            _text(one.source, 300) if one.source else "",
        ),
    )


def _environment(card: Card) -> str:
    python = f"Python {_said(card.python, 60)}. " if card.python else ""
    return _table(
        "Runtime environment",
        ("Package", "Version", "As it is asked for"),
        card.libraries,
        lambda one: (
            _text(one.name, 120),
            _text(one.version, 60) if one.version else '<span class="gap">not pinned</span>',
            f"<code>{_text(one.asked, 160)}</code>" if one.asked else "",
        ),
        note=f"{python}{words.pinned(card.libraries)}",
    )


def _files(card: Card) -> str:
    def row(file: File) -> tuple[str, ...]:
        found = "".join(f'<span class="source">{_said(one, 200)}</span>' for one in file.findings)
        digest = f"<code>{_text(file.sha256, 64)}</code>" if file.sha256 else ""
        return (
            _text(file.path, 300),
            _badge(file.result) + found,
            words.size(file.size),
            _text(file.format, 60) if file.format else "",
            digest,
        )

    note = _said(card.files_cut) if card.files_cut else ""
    return _table(
        "Files",
        ("Path", "Inspection", "Size", "Format", "SHA-256"),
        card.files,
        row,
        note=note,
        right=(2,),
    )


def _oddities(card: Card) -> str:
    return _table(
        "What is odd about this record",
        ("Finding", "What was seen"),
        card.oddities,
        lambda one: (f"<code>{_text(one.code, 80)}</code>", _text(one.detail)),
    )
