"""A card as a PDF.

What a card says goes to the typesetter as data and is set as text, so that no text of a record
can be read as a formula, a call or a file to include. Letters that the built-in typefaces lack
are taken from those of the machine, where it has them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from trimtab.documents import words
from trimtab.documents.card import Badge, Card, File, Rule, Statement, Tone
from trimtab.documents.html import READING
from trimtab.kernel.errors import Unavailable

LISTED = 200
"""Rows of a table on paper; the JSON has all of them."""

BREAK_AFTER = 24
"""Signs of a word without a place to break, after which it may break all the same."""

_ORDER = {Tone.BAD: 0, Tone.WAIT: 1, Tone.GOOD: 2, Tone.PLAIN: 3}


def render(card: Card) -> bytes:
    """The PDF. The same card is the same file, byte for byte, on machines with the same
    typefaces; its only date is that of the card.

    Raises:
        Unavailable: the typesetter is not installed.
    """
    try:
        import typst
    except ImportError as error:
        raise Unavailable(
            "PDFs need the package typst, which is not installed",
            remedy="install trimtab[reports], or take the card as HTML",
        ) from error
    compiler = typst.Compiler(
        files("trimtab.documents").joinpath("card.typ").read_bytes(),
        sys_inputs={"card": json.dumps(told(card), ensure_ascii=False, allow_nan=False)},
    )
    made = compiler.compile(format="pdf", timestamp=card.as_of.replace(microsecond=0))
    if not isinstance(made, bytes):
        raise Unavailable("the typesetter made no document", remedy="take the card as HTML")
    return made


def told(card: Card) -> dict[str, Any]:
    """What the template sets: texts only, each made safe to look at."""
    tones = [tone for tone in _ORDER if any(badge.tone is tone for badge in card.badges)]
    purpose = card.said("business_purpose") or card.said("description")
    title = f"{_text(card.model, 200)} {_text(card.version, 60)}"
    rules = card.worst_first()
    return {
        "title": title,
        "running": title,
        "model": _text(card.model, 200),
        "version": _text(card.version, 60),
        "tone": tones[0] if tones else Tone.PLAIN,
        "lede": _text(" ".join(purpose.values), 400) if purpose and purpose.values else "",
        "badges": [_badge(badge) for badge in card.badges],
        "incomplete": _text(card.incomplete) if card.incomplete else "",
        "as_of": words.moment(card.as_of),
        "made": f"Made by {_text(card.made_by, 80)} from what was known on "
        f"{words.moment(card.as_of)}",
        "facts": [
            ["Registry", f"{_text(card.registry, 120)}, {_text(card.address, 200)}"],
            ["As known on", words.moment(card.as_of)],
            ["Judged by", _text(card.rulebook, 200)],
        ],
        "rules": [_rule(rule) for rule in rules[:LISTED]],
        "sections": [
            {
                "title": _text(section.title, 100),
                "statements": [_statement(one) for one in section.statements],
            }
            for section in card.sections
        ],
        **_tables(card),
        "environment": f"Python {_text(card.python, 60)}. {words.pinned(card.libraries)}"
        if card.python
        else words.pinned(card.libraries),
        "files_cut": _text(card.files_cut) if card.files_cut else "",
        "left": {
            name: max(0, len(getattr(card, name)) - LISTED)
            for name in (
                "rules", "metrics", "parameters", "datasets", "libraries", "files", "oddities"
            )
        },
        "reading": READING,
    }  # fmt: skip


def _tables(card: Card) -> dict[str, Any]:
    return {
        "metrics": [
            [
                _text(one.name, 200),
                words.metric(one),
                "" if one.step is None else words.number(one.step),
                "" if one.at is None else words.moment(one.at),
            ]
            for one in card.metrics[:LISTED]
        ],
        "parameters": [[_text(p.name, 200), _text(p.value)] for p in card.parameters[:LISTED]],
        "datasets": [
            [_text(one.name, 200), *_known((one.digest, one.context, one.source), 300)]
            for one in card.datasets[:LISTED]
        ],
        "libraries": [
            [
                _text(one.name, 120),
                _text(one.version, 60) if one.version else "not pinned",
                *_known((one.asked,), 160),
            ]
            for one in card.libraries[:LISTED]
        ],
        "files": [_file(file) for file in card.files[:LISTED]],
        "oddities": [[_text(one.code, 80), _text(one.detail)] for one in card.oddities[:LISTED]],
    }


def _text(text: str, length: int = words.LONG) -> str:
    """A text of strangers, isolated from the direction of its neighbours, with places to break."""
    pieces, run = [], 0
    for sign in words.seen(text, length):
        run = 0 if sign in " -" else run + 1
        pieces.append(sign)
        if run == BREAK_AFTER:
            pieces.append("\u200b")
            run = 0
    return "".join(pieces)


def _known(texts: Sequence[str], length: int) -> list[str]:
    return [_text(text, length) if text else "" for text in texts]


def _badge(badge: Badge) -> dict[str, str]:
    return {
        "word": _text(badge.word, 60),
        "shape": badge.shape,
        "tone": badge.tone,
        "about": badge.about and _text(badge.about, 60),
        "why": badge.why and _text(badge.why, 200),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "outcome": _badge(rule.outcome),
        "title": _text(rule.title, 200),
        "sentence": _text(rule.sentence),
        "remedy": rule.remedy and _text(rule.remedy),
        "waived": _text(rule.waived) if rule.waived else "",
        "references": [_text(one, 120) for one in rule.references],
    }


def _statement(one: Statement) -> dict[str, Any]:
    return {
        "label": _text(one.label, 100),
        "value": ", ".join(_text(value) for value in one.values),
        "gap": _text(one.gap or "not known"),
        "claim": one.claim and bool(one.values),
        "source": "" if one.source is None else words.source(one.source),
    }


def _file(file: File) -> dict[str, Any]:
    return {
        "path": _text(file.path, 300),
        "sha256": _text(file.sha256, 64) if file.sha256 else "",
        "result": _badge(file.result),
        "findings": [_text(one, 200) for one in file.findings],
        "size": words.size(file.size),
        "format": _text(file.format, 60) if file.format else "",
    }
