"""A card in each of its forms: whole, the same each time, and never more than text."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.documents import cards
from tests.documents.pdftext import text_of

from trimtab.documents import cyclonedx, html, pdf, words
from trimtab.documents.card import Card, Metric, Source

FORMS: dict[str, Callable[[Card], str | bytes]] = {
    "html": html.render,
    "pdf": pdf.render,
    "cyclonedx": cyclonedx.render,
    "json": lambda card: json.dumps(card.plain()),
}
SAID = (
    "credit-scoring", "risk-mlflow", "https://mlflow.example", "2026-11-03 09:30 UTC",
    "The data is personal, and no privacy assessment is named.", "GDPR Art. 35",
    "by maria until 1 Feb 2027: rebuild is under way",
    "model version `tags.riskCategory`, 3 Nov 2026; written as “High-Risk”", "claimed",
    "nobody says; the tag privacy_assessment is looked for",
    "not a number (nan)", "−1,250,000", "0.8731", "binary:logistic", "applications-2025",
    "1 of 2 packages pinned to one version.", "not pinned", "scikit-learn==1.7.2", "47.1 KiB",
    "names the global my_package.Thing", "not inspected", "stage_alias_conflict",
    "the run could not be read: it took longer than 10 s",
    "more than 1,000 files: the others are not listed", "no legal advice",
)  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: elements, attributes, text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside != "style":
            self.text += data + " "


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_card_is_the_same_bytes(form: str) -> None:
    render = FORMS[form]
    assert render(cards.whole()) == render(cards.whole())
    later = dataclasses.replace(cards.whole(), as_of=cards.AT + timedelta(days=1))
    assert render(later) != render(cards.whole())


def test_the_only_date_is_that_of_the_card() -> None:
    made = pdf.render(cards.whole())
    assert set(re.findall(rb"D:(\d{14})", made)) == {b"20261103093000"}
    assert set(re.findall(rb"<xmp:\w+Date>([^<+]*)", made)) == {b"2026-11-03T09:30:00"}


@pytest.mark.parametrize("said", SAID)
def test_page_and_paper_say_it(said: str) -> None:
    assert squeezed(said) in squeezed(Page(html.render(cards.whole())).text)
    assert squeezed(said) in squeezed(text_of(pdf.render(cards.whole())))


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    page = html.render(cards.whole())
    found = Page(page)
    assert not found.tags & {"script", "img", "iframe", "object", "embed", "base", "form"}
    assert all(link.startswith("#") for link in found.links)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize("text", cards.HOSTILE, ids=cards.NAMES)
def test_no_text_becomes_part_of_the_page(text: str) -> None:
    page = html.render(cards.hostile(text))
    page.encode()
    plain, found = Page(html.render(cards.hostile("harmless"))), Page(page)
    assert found.tags == plain.tags
    assert found.attributes == plain.attributes
    assert set(found.links) == set(plain.links)
    shown = words.seen(text, 40)
    if 0 < len(text) < 40:
        assert found.text.count(shown) >= plain.text.count("harmless")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", page)


@pytest.mark.parametrize("text", cards.HOSTILE, ids=cards.NAMES)
def test_no_text_becomes_a_part_of_the_typesetting(text: str) -> None:
    made = text_of(pdf.render(cards.hostile(text)))
    shown = squeezed(words.seen(text))
    if text and shown.isascii() and 1 < len(shown) < 40:
        assert said_beside_margins(made, shown) == HARMLESS


def said_beside_margins(made: str, shown: str) -> int:
    """How often a card says it, without what stands in the margin of each further page."""
    return squeezed(made).count(shown) - 3 * made.count("\n")


HARMLESS = said_beside_margins(text_of(pdf.render(cards.hostile("harmless"))), "harmless")


def test_a_text_that_is_set_as_markup_would_be_seen() -> None:
    """The count above is of use only where the typesetter would change the text."""
    import typst

    made = typst.compile(b'harmless #eval("1+1") harmless', format="pdf")
    assert isinstance(made, bytes)
    assert squeezed(text_of(made)) == "harmless2harmless"


@pytest.mark.parametrize("text", cards.HOSTILE, ids=cards.NAMES)
def test_hostile_cards_are_the_same_bytes_too(text: str) -> None:
    for form in ("html", "cyclonedx"):
        assert FORMS[form](cards.hostile(text)) == FORMS[form](cards.hostile(text))


def test_json_keeps_every_source() -> None:
    told = cards.whole().plain()
    assert told["format"] == "trimtab.card/1"
    risk = told["sections"][1]["statements"][0]
    assert risk["claim"] is True
    assert risk["source"] == {
        "origin": "model version",
        "key": "tags.riskCategory",
        "at": "2026-11-03T09:30:00.000000Z",
        "coerced_from": "High-Risk",
    }


def test_long_tables_say_how_much_is_left_out() -> None:
    many = tuple(Metric(f"m{place}", float(place)) for place in range(html.LISTED + 7))
    card = dataclasses.replace(cards.whole(), metrics=many)
    assert "Not listed: 7 more" in html.render(card)
    assert f"Not listed: {len(many) - pdf.LISTED} more" in text_of(pdf.render(card))
    assert len(cyclonedx.bill(card)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"]) == len(many)  # fmt: skip


def test_without_the_typesetter_a_pdf_is_refused_by_name() -> None:
    """In a process of its own, whose typesetter cannot be imported."""
    program = (
        "import sys; sys.modules['typst'] = None\n"
        "from trimtab.documents import html, pdf\n"
        "from trimtab.kernel.errors import Unavailable\n"
        "from tests.documents import cards\n"
        "assert html.render(cards.whole())\n"
        "try: pdf.render(cards.whole())\n"
        "except Unavailable as error: print(error.remedy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "trimtab[reports]" in done.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines", "two↵lines"),
        ("a\x00b", "a\ufffdb"),
        ("a\u202eb", "a⟨202E⟩b"),
        ("", "(empty)"),
        ("  ", "␣␣"),
        ("نموذج", "\u2068نموذج\u2069"),
        ("x" * 601, "x" * 600 + "… (601 characters)"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert words.seen(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (7, "7"), (0.8731, "0.8731"), (-1250000.0, "−1,250,000"), (None, "—"),
        (1e-7, "1.00000e−07"), (123456.789, "123,457"), (1e300, "1.00000e+300"),
        (float("nan"), "—"), (2**70, f"{2**70:,}"), (0.99999999, "1"),
    ],
)  # fmt: skip
def test_numbers_are_short_and_exact_enough(value: float | None, shown: str) -> None:
    assert words.number(value) == shown


def test_a_source_is_one_line() -> None:
    assert words.source(Source("model version", "tags.owner", cards.AT, "Risk\nTeam")) == (
        "model version `tags.owner`, 3 Nov 2026; written as “Risk↵Team”"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one line", "one line"),
        ("first\r\nsecond\rthird\u2028fourth", "first\nsecond\nthird\nfourth"),
        ("first\n\n \n\nsecond\n", "first\n\nsecond"),
        ("\n\n", "↵↵"),
        ("", "(empty)"),
        ("a\u202eb\nc\x07d", "a⟨202E⟩b\nc\ufffdd"),
        ("latin\n\u05d0\u05d1", "latin\n\u2068\u05d0\u05d1\u2069"),
        ("ab\n" * 400, "\n".join(["ab"] * 30) + "… (1,200 characters)"),
        ("ab\n" * 40, "\n".join(["ab"] * 30) + "…"),
    ],
)
def test_a_text_of_several_lines_keeps_its_breaks_and_no_more(text: str, shown: str) -> None:
    assert words.lines(text) == shown
