"""The bill of materials: valid by the schema of its makers, and exact about what is known."""

from __future__ import annotations

import dataclasses
import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.documents import cards

from trimtab.documents import cyclonedx
from trimtab.documents.card import Dataset, Library, Metric

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def test_a_whole_card_is_valid() -> None:
    assert VALIDATOR.validate_str(cyclonedx.render(cards.whole()).decode()) is None


@pytest.mark.parametrize("text", cards.HOSTILE, ids=cards.NAMES)
def test_a_hostile_card_is_valid(text: str) -> None:
    assert VALIDATOR.validate_str(cyclonedx.render(cards.hostile(text)).decode()) is None


def test_a_card_of_nothing_is_valid() -> None:
    bare = dataclasses.replace(
        cards.whole(), badges=(), sections=(), rules=(), metrics=(), parameters=(), datasets=(),
        libraries=(), files=(), oddities=(), python=None, incomplete=None, files_cut=None,
    )  # fmt: skip
    assert VALIDATOR.validate_str(cyclonedx.render(bare).decode()) is None


def test_the_validator_refuses_what_is_wrong() -> None:
    told = cyclonedx.bill(cards.whole())
    told["metadata"]["component"]["modelCard"]["made_up"] = 1
    assert VALIDATOR.validate_str(json.dumps(told)) is not None


def test_the_model_is_what_it_is_about() -> None:
    told = cyclonedx.bill(cards.whole())
    model = told["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model", "credit-scoring", "7",
    )  # fmt: skip
    card = model["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "auc", "value": "0.8731"},
        {"type": "gain", "value": "-1250000.0"},
    ]
    assert card["considerations"]["useCases"] == ["Scores applications for small loans"]
    assert card["considerations"]["technicalLimitations"][0].startswith(
        "Personal data needs a privacy assessment (gap)"
    )
    assert {"name": "trimtab:metric-invalid:loss", "value": "nan"} in card["properties"]
    assert {"name": "trimtab:claim:owner", "value": "risk-team@example.org"} in card["properties"]
    assert told["metadata"]["timestamp"] == "2026-11-03T09:30:00.000000Z"


def test_only_what_was_hashed_has_a_hash() -> None:
    files = cyclonedx.bill(cards.whole())["metadata"]["component"]["components"]
    assert [file.get("hashes") for file in files] == [
        [{"alg": "SHA-256", "content": "b" * 64}],
        [{"alg": "SHA-256", "content": "c" * 64}],
        None,
    ]


@pytest.mark.parametrize(
    ("library", "purl"),
    [
        (Library("scikit-learn", "1.7.2"), "pkg:pypi/scikit-learn@1.7.2"),
        (Library("Zope.Interface", "7"), "pkg:pypi/zope-interface@7"),
        (Library("torch", "2.9.0+cu130"), "pkg:pypi/torch@2.9.0%2Bcu130"),
        (Library("numpy", None, "numpy>=2"), None),
        (Library("x y", "1"), None),
        (Library("numpy", "1 || 2"), None),
        (Library("git+https://evil", "1"), None),
    ],
)
def test_only_what_is_pinned_has_an_address(library: Library, purl: str | None) -> None:
    card = dataclasses.replace(cards.whole(), libraries=(library,), datasets=())
    assert cyclonedx.bill(card)["components"][0].get("purl") == purl


def test_a_shortened_digest_is_no_hash() -> None:
    card = dataclasses.replace(
        cards.whole(), libraries=(), datasets=(Dataset("d", "1f3a9c02"), Dataset("e", "a" * 64))
    )
    short, full = cyclonedx.bill(card)["components"]
    assert "hashes" not in short
    assert {"name": "trimtab:digest", "value": "1f3a9c02"} in short["properties"]
    assert full["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]


def test_parts_of_the_same_name_stay_apart() -> None:
    card = dataclasses.replace(
        cards.whole(), libraries=(Library("a", "1"),) * 3, metrics=(Metric("m", 1.0),) * 2
    )
    assert VALIDATOR.validate_str(cyclonedx.render(card).decode()) is None


def test_the_serial_number_follows_the_content() -> None:
    one = cyclonedx.bill(cards.whole())["serialNumber"]
    other = cyclonedx.bill(dataclasses.replace(cards.whole(), version="8"))["serialNumber"]
    assert one != other
