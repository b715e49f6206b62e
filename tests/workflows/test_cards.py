"""The card of a record: every field, its source, and nothing that is better than it is."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from tests.workflows.records import SEEN, full, judged, record, rule

from trimtab.documents import cyclonedx, html, pdf, words
from trimtab.documents.card import Dataset, Library, Shape, Source, Tone
from trimtab.inventory.compliance import Judged
from trimtab.inventory.evidence import TOOLS
from trimtab.inventory.record import FIELDS, Known, Origin, Record
from trimtab.inventory.rulebook import Severity
from trimtab.kernel.errors import InvalidInput
from trimtab.workflows.cards import (
    FORMS,
    Place,
    card_of,
    compliance_badge,
    inspection_badge,
    outcome_badge,
    render,
    stage_badge,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLACE = Place("risk-mlflow", "https://mlflow.example", "suspicious")


def test_every_field_of_a_record_is_on_its_card() -> None:
    card = card_of(record(), judged(), PLACE, as_of=NOW)
    assert [one.name for one in card.statements()] == list(FIELDS)
    assert all(one.values or one.gap for one in card.statements())


def test_statements_name_their_sources() -> None:
    card = card_of(full(), judged(), PLACE, as_of=NOW)
    told = {one.name: one for one in card.statements()}
    assert told["owner"].source == Source("model version", "tags.owner")
    assert told["owner"].claim
    assert told["risk_category"].source == Source(
        "model version", "tags.riskCategory", None, "High-Risk"
    )
    assert told["lifecycle_stage"].source == Source(
        "registered model", "aliases.champion", None, "champion"
    )
    assert told["metrics"].source == Source("run", "metrics")
    assert not told["metrics"].claim
    assert told["created_at"].values == ("2026-11-03 09:30 UTC",)
    assert told["created_at"].source == Source("model version", "creation_timestamp")


@pytest.mark.parametrize(
    ("field", "gap"),
    [
        ("privacy_assessment_status", "nobody says"),
        ("data_sensitivity", "“TBD” stands there, which says nothing"),
        ("experiment_name", "the experiment could not be read: it took longer than 10 s"),
    ],
)
def test_a_gap_says_why(field: str, gap: str) -> None:
    said = card_of(full(), judged(), PLACE, as_of=NOW).said(field)
    assert said is not None
    assert (said.values, said.gap) == ((), gap)


def test_tables_hold_what_the_record_holds() -> None:
    card = card_of(full(), judged(), PLACE, as_of=NOW)
    assert [(m.name, m.value, m.invalid, m.step) for m in card.metrics] == [
        ("auc", 0.8731, None, 3), ("loss", None, "nan", None),
    ]  # fmt: skip
    assert card.datasets == (Dataset("loans", "1f3a9c02", context="training"),)
    assert card.python == "3.11.9"
    assert card.libraries == (
        Library("numpy", None, "numpy>=2"),
        Library("pandas", None, "pandas"),
        Library("scikit-learn", "1.7.2", "scikit-learn==1.7.2"),
    )
    assert [(f.path, f.result.word, f.size) for f in card.files] == [
        ("MLmodel", "clean", 812), ("model.pkl", "suspicious", 48_211),
        ("requirements.txt", "clean", 44), ("big.bin", "not inspected", None),
    ]  # fmt: skip
    assert card.files_cut == "not all files are listed: 1000 files"


@pytest.mark.parametrize(
    ("specifier", "pinned", "version"),
    [
        ("==1.7.2", True, "1.7.2"),
        ("===1.7.2", True, "1.7.2"),
        ("=3.11.9", True, "3.11.9"),
        ("=1.7.2=py311_0", True, "1.7.2"),
        ("@ git+https://x.example/a@c0ffee", True, "git+https://x.example/a@c0ffee"),
        (">=2", False, None),
        ("==1.*", False, None),
    ],
)
def test_what_counts_as_pinned_is_pinned_on_the_card(
    specifier: str, pinned: bool, version: str | None
) -> None:
    told = [
        {"name": "a", "specifier": specifier, "pinned": pinned},
        {"name": "pip", "specifier": "", "pinned": False},
    ]
    environment = {"files": [{"path": "conda.yaml", "dependencies": told}], "pinned": pinned}
    said = record(runtime_environment=Known(environment, Origin.ARTIFACTS, "files"))
    card = card_of(said, judged(), PLACE, as_of=NOW)
    assert card.libraries[0].version == version
    expected = f"{int(pinned)} of 1 package pinned to one version."
    assert words.pinned(card.libraries) == f"{expected} pip, setuptools and wheel are set aside."
    assert frozenset(TOOLS) == words.INSTALLERS


def test_a_version_without_an_alias_has_nothing_empty_under_its_stage() -> None:
    card = card_of(record(), judged(rule("pass")), PLACE, as_of=NOW)
    assert card.badges[0].why == ""
    assert "(empty)" not in html.render(card)


def test_a_data_set_that_is_only_named_is_listed() -> None:
    named = record(dataset_reference=Known("loans@2", Origin.MODEL_VERSION, "tags.dataset"))
    assert card_of(named, judged(), PLACE, as_of=NOW).datasets == (Dataset("loans@2"),)


def test_a_rule_on_the_card() -> None:
    waived = rule("waived", "privacy", waiver="wvr_1")
    place = Place("r", "https://r", None, waivers={"wvr_1": "by maria until 1 Feb 2027"})
    card = card_of(full(), judged(rule("pass"), waived), place, as_of=NOW)
    kept, set_aside = card.rules
    assert kept.remedy == ""
    assert kept.references == ("EU AI Act Art. 11",)
    assert kept.evidence == ("Owner: model version `tags.owner`", "Risk category: nobody says")
    assert set_aside.waived == "by maria until 1 Feb 2027"
    assert set_aside.remedy == "do something about privacy"
    assert card.rulebook == "rulebook 1, 8f8f8f8f8f8f"


@pytest.mark.parametrize(
    ("outcomes", "word", "tone"),
    [
        ([], "not judged", Tone.PLAIN),
        (["pass", "pass"], "no gaps", Tone.GOOD),
        (["pass", "fail"], "1 gap", Tone.BAD),
        (["fail", "fail", "inconclusive"], "2 gaps", Tone.BAD),
        (["pass", "inconclusive"], "1 unknown", Tone.WAIT),
        (["pass", "something new"], "1 unknown", Tone.WAIT),
        (["pass", "waived"], "1 waived", Tone.WAIT),
        (["inconclusive", "waived"], "1 unknown", Tone.WAIT),
        (["not_applicable"], "no rule applies", Tone.PLAIN),
        (["not_applicable", "pass"], "no gaps", Tone.GOOD),
        (["not_applicable", "pass", "not_applicable"], "1 of 3 rules kept", Tone.PLAIN),
        (["not_applicable", "fail", "not_applicable"], "1 gap", Tone.BAD),
    ],
)
def test_only_what_is_known_to_be_kept_is_good(outcomes: list[str], word: str, tone: Tone) -> None:
    badge = compliance_badge(outcomes)
    assert (badge.word, badge.tone) == (word, tone)


@pytest.mark.parametrize(
    ("result", "word", "tone"),
    [
        (None, "not inspected", Tone.PLAIN),
        ("clean", "clean", Tone.GOOD),
        ("suspicious", "suspicious", Tone.WAIT),
        ("malicious", "malicious", Tone.BAD),
        ("unreadable", "unreadable", Tone.WAIT),
        ("something new", "something new", Tone.BAD),
    ],
)
def test_only_what_was_found_clean_is_good(result: str | None, word: str, tone: Tone) -> None:
    badge = inspection_badge(result)
    assert (badge.word, badge.tone) == (word, tone)


@pytest.mark.parametrize(
    ("stage", "result", "tone"),
    [
        ("production", "malicious", Tone.BAD),
        ("production", "suspicious", Tone.WAIT),
        ("production", "clean", Tone.PLAIN),
        ("production", None, Tone.PLAIN),
        ("staging", "malicious", Tone.BAD),
        ("development", "malicious", Tone.PLAIN),
        ("archived", "suspicious", Tone.PLAIN),
    ],
)
def test_a_place_is_never_good_by_itself(stage: str, result: str | None, tone: Tone) -> None:
    known = Known(stage, Origin.MODEL_VERSION, "current_stage")
    badge = stage_badge(record(lifecycle_stage=known), result)
    assert (badge.word, badge.tone) == (stage, tone)


def test_of_equal_outcomes_what_weighs_most_comes_first() -> None:
    def weighing(outcome: str, severity: Severity) -> Judged:
        return dataclasses.replace(rule(outcome, f"{outcome}-{severity}"), severity=severity)

    told = judged(
        weighing("pass", Severity.CRITICAL), weighing("fail", Severity.LOW),
        weighing("fail", Severity.CRITICAL), weighing("inconclusive", Severity.CRITICAL),
        weighing("fail", Severity.HIGH),
    )  # fmt: skip
    card = card_of(record(), told, Place("ours", "https://x.example"), as_of=NOW)
    assert [one.id for one in card.worst_first()] == [
        "fail-critical", "fail-high", "fail-low", "inconclusive-critical", "pass-critical"
    ]  # fmt: skip


def test_an_outcome_that_is_not_known_is_no_success() -> None:
    assert outcome_badge("splendid").tone is Tone.BAD
    assert outcome_badge("").shape is Shape.TRIANGLE


ODD = [
    5, "text", True, 2.5, [], [1, "a"], ["x", {"name": 3}], {}, {"a": 1}, {"files": 7},
    {"files": [3, {"path": 4, "size": "big", "findings": [1]}]},
    {"files": [{"dependencies": [4, {"name": None}]}], "pinned": "yes"}, {"m": {"value": "x"}},
    {"m": {"value": True, "step": "s", "at": 5}}, "\x00<script>", "2026-99-99",
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:40])
def test_a_value_of_an_odd_kind_is_shown_and_breaks_nothing(value: object) -> None:
    known = {name: Known(value) for name in FIELDS if name not in {"lifecycle_stage", "aliases"}}
    odd = Record("m", 1, {**record().fields, **known})
    card = card_of(odd, judged(), PLACE, as_of=NOW)
    assert html.render(card)
    assert cyclonedx.render(card)


def test_a_record_that_no_rule_was_asked_about_is_not_fine() -> None:
    card = card_of(full(), None, PLACE, as_of=NOW)
    assert [badge.word for badge in card.badges] == ["production", "not judged", "suspicious"]
    assert card.rulebook == "no rules yet"


@pytest.mark.parametrize("form", FORMS)
def test_a_card_can_be_had_as(form: str) -> None:
    made = render(card_of(full(), judged(rule("fail")), PLACE, as_of=NOW), form)
    assert len(made) > 2000


def test_there_is_no_other_form() -> None:
    with pytest.raises(InvalidInput, match="docx") as refused:
        render(card_of(full(), None, PLACE, as_of=NOW), "docx")
    assert refused.value.field == "format"


def test_a_card_survives_being_kept() -> None:
    kept = Record.read(full().plain())
    first, second = (card_of(r, judged(), PLACE, as_of=NOW) for r in (full(), kept))
    assert first.plain() == second.plain()
    assert html.render(first) == html.render(second)
    assert pdf.render(first) == pdf.render(second)
    assert SEEN[:4] in html.render(first)
