"""The rules of rulebook 1, each just below and just above; waivers, previews."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.inventory import documents as made

from trimtab.inventory.compliance import (
    Evaluation,
    Judged,
    Outcome,
    evaluate,
    preview,
)
from trimtab.inventory.evidence import with_inspection
from trimtab.inventory.record import Record
from trimtab.inventory.rulebook import Framework, Rulebook, default_text, load_rulebook
from trimtab.inventory.source import Details, Fault, Part, SourceFile
from trimtab.inventory.waivers import Waiver, demand_waiver
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import PersonId, TenantId

TEXT = default_text()
BOOK = load_rulebook(TEXT)
PASS, FAIL, UNKNOWN, NONE, WAIVED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.INCONCLUSIVE,
    Outcome.NOT_APPLICABLE,
    Outcome.WAIVED,
)
DATA = [{"dataset": {"name": "train", "digest": "1"}, "tags": []}]


def pinned(pinned: bool) -> dict[str, Any]:
    return {"dependencies": [{"name": "numpy", "specifier": "==2", "pinned": pinned}]}


def inspected(record: Record, *, result: str = "clean", pin: bool = True) -> Record:
    said = [{"path": file.path, "result": "clean"} for file in made.FILES]
    said[1]["result"] = result
    return with_inspection(record, [{**one, "environment": pinned(pin)} for one in said])


def at(stage: str, _leads_to: Details | None = None, /, **tags: str) -> Record:
    """A version in a stage, in order but for what is given."""
    details = _leads_to or made.details(run=made.run(inputs=DATA))
    return made.record(made.version(tags=tags, current_stage=stage), leads_to=details)


def judged(record: Record, rule: str, *waivers: Waiver, now: datetime = made.NOW) -> Judged:
    results = evaluate(record, BOOK, waivers, now).results
    return next(result for result in results if result.rule == rule)


PRODUCTION, STAGING, DEVELOPMENT = "Production", "Staging", "None"
HIGH = {"risk_category": "high"}
PHI = {"data_sensitivity": "PHI"}
PII = {"data_sensitivity": "PII"}
DONE = {"privacy_assessment_status": "completed"}
SECURE = {"security_assessment_version": "2"}
UNREAD = made.details(run=None, faults=(Fault(Part.RUN, "too slow", passing=True),))
GONE = made.details(run=None, faults=(Fault(Part.RUN, "no such run", passing=False),))
BARE = made.details(listing=made.listing(SourceFile("model.pkl", 1)))
UNLISTED = made.details(listing=None, faults=(Fault(Part.ARTIFACTS, "too slow", passing=True),))


def measured(value: Any) -> Details:
    return made.details(run=made.run(metrics=[{"key": "auc", "value": value}]))


def committed(**tags: str) -> Details:
    run = made.run(tags=tags)
    run["data"]["tags"] = [tag for tag in run["data"]["tags"] if tag["key"] in tags]
    return made.details(run=run)


CASES: list[tuple[str, Record, Outcome]] = [
    ("owner-named", at(DEVELOPMENT, owner="risk-team"), PASS),
    ("owner-named", at(DEVELOPMENT), FAIL),
    ("owner-named", at(DEVELOPMENT, owner="TBD"), FAIL),
    ("owner-named", at(DEVELOPMENT, UNREAD), UNKNOWN),
    ("purpose-stated", at(PRODUCTION, business_purpose="Retention"), PASS),
    ("purpose-stated", at(PRODUCTION, business_purpose="todo"), FAIL),
    ("purpose-stated", at(PRODUCTION), FAIL),
    ("purpose-stated", at(STAGING), NONE),
    ("risk-category-stated", at(STAGING, risk_category="low"), PASS),
    ("risk-category-stated", at(PRODUCTION, risk_category="limited"), PASS),
    ("risk-category-stated", at(STAGING), FAIL),
    ("risk-category-stated", at(STAGING, risk_category="spicy"), UNKNOWN),
    ("risk-category-stated", at(DEVELOPMENT), NONE),
    ("prohibited-not-deployed", at(STAGING, **HIGH), PASS),
    ("prohibited-not-deployed", at(STAGING, risk_category="banned"), FAIL),
    ("prohibited-not-deployed", at(STAGING, risk_category="spicy"), UNKNOWN),
    ("prohibited-not-deployed", at(STAGING), NONE),
    ("prohibited-not-deployed", at(DEVELOPMENT, risk_category="banned"), NONE),
    ("data-sensitivity-stated", at(PRODUCTION, data_sensitivity="public"), PASS),
    ("data-sensitivity-stated", at(PRODUCTION, **PII), PASS),
    ("data-sensitivity-stated", at(PRODUCTION), FAIL),
    ("data-sensitivity-stated", at(PRODUCTION, data_sensitivity="unknown"), FAIL),
    ("data-sensitivity-stated", at(PRODUCTION, data_sensitivity="internal"), UNKNOWN),
    ("data-sensitivity-stated", at(STAGING), NONE),
    ("privacy-assessed", at(PRODUCTION, **PII, **DONE), PASS),
    ("privacy-assessed", at(PRODUCTION, **PII, privacy_assessment_status="DPIA done"), PASS),
    ("privacy-assessed", at(PRODUCTION, **PII, privacy_assessment_status="open"), FAIL),
    ("privacy-assessed", at(PRODUCTION, **PII, privacy_assessment_status="exempt"), FAIL),
    ("privacy-assessed", at(PRODUCTION, **PII, privacy_assessment_status="ask Kim"), UNKNOWN),
    ("privacy-assessed", at(PRODUCTION, **PII), FAIL),
    ("privacy-assessed", at(PRODUCTION, data_sensitivity="public, PII"), FAIL),
    ("privacy-assessed", at(PRODUCTION, data_sensitivity="public"), NONE),
    ("privacy-assessed", at(PRODUCTION), UNKNOWN),
    ("privacy-assessed", at(PRODUCTION, data_sensitivity="internal"), UNKNOWN),
    ("privacy-assessed", at(PRODUCTION, **DONE), PASS),
    ("privacy-assessed", at(STAGING, **PII), NONE),
    ("health-data-safeguarded", at(PRODUCTION, **PHI, **DONE, **SECURE), PASS),
    ("health-data-safeguarded", at(PRODUCTION, **PHI, **DONE), FAIL),
    ("health-data-safeguarded", at(PRODUCTION, **PHI, **SECURE), FAIL),
    ("health-data-safeguarded", at(PRODUCTION, **PII), NONE),
    ("health-data-safeguarded", at(PRODUCTION), UNKNOWN),
    ("health-data-safeguarded", at(STAGING, **PHI), NONE),
    ("environment-reproducible", inspected(at(STAGING)), PASS),
    ("environment-reproducible", inspected(at(STAGING), pin=False), FAIL),
    ("environment-reproducible", at(STAGING), UNKNOWN),
    ("environment-reproducible", at(STAGING, BARE), FAIL),
    ("environment-reproducible", at(STAGING, UNLISTED), UNKNOWN),
    ("environment-reproducible", at(DEVELOPMENT, BARE), NONE),
    ("baseline-measured", at(PRODUCTION, measured(0.0)), PASS),
    ("baseline-measured", at(PRODUCTION, measured("NaN")), FAIL),
    ("baseline-measured", at(PRODUCTION, measured(1.7976931348623157e308)), FAIL),
    ("baseline-measured", at(PRODUCTION, made.details(run=made.run(metrics=[]))), FAIL),
    ("baseline-measured", at(PRODUCTION, UNREAD), UNKNOWN),
    ("baseline-measured", at(STAGING, measured("NaN")), NONE),
    ("code-known", at(STAGING, committed(git_commit="c0ffee")), PASS),
    ("code-known", at(STAGING, committed()), FAIL),
    ("code-known", at(STAGING, UNREAD), UNKNOWN),
    ("code-known", at(DEVELOPMENT, committed()), NONE),
    ("data-known", at(STAGING), PASS),
    ("data-known", at(STAGING, made.details()), FAIL),
    ("data-known", at(STAGING, made.details(), dataset="sales@3"), PASS),
    ("data-known", at(STAGING, UNREAD), UNKNOWN),
    ("data-known", at(DEVELOPMENT, made.details()), NONE),
    ("run-linked", at(STAGING), PASS),
    ("run-linked", at(STAGING, GONE), FAIL),
    ("run-linked", at(STAGING, UNREAD), UNKNOWN),
    (
        "run-linked",
        at(STAGING, made.details(run=made.run(info={"lifecycle_stage": "deleted"}))),
        FAIL,
    ),
    ("run-linked", at(DEVELOPMENT, GONE), NONE),
    ("lineage-consistent", at(STAGING), PASS),
    (
        "lineage-consistent",
        made.record(made.version(source="s3://bucket/8/model", current_stage=STAGING)),
        FAIL,
    ),
    (
        "lineage-consistent",
        made.record(made.version(source=f"models:/m-{'1' * 32}", current_stage=STAGING)),
        UNKNOWN,
    ),
    ("lineage-consistent", at(STAGING, UNREAD), UNKNOWN),
    ("lineage-consistent", made.record(made.version(source="s3://bucket/8/model")), NONE),
    ("high-risk-approver-named", at(STAGING, **HIGH, approver="ceo"), PASS),
    ("high-risk-approver-named", at(STAGING, **HIGH), FAIL),
    ("high-risk-approver-named", at(STAGING, **HIGH, approver="none"), FAIL),
    ("high-risk-approver-named", at(STAGING, risk_category="limited"), NONE),
    ("high-risk-approver-named", at(STAGING), UNKNOWN),
    ("high-risk-approver-named", at(DEVELOPMENT, **HIGH), NONE),
    ("high-risk-security-assessed", at(STAGING, **HIGH, **SECURE), PASS),
    ("high-risk-security-assessed", at(STAGING, **HIGH), FAIL),
    ("high-risk-security-assessed", at(STAGING, risk_category="low"), NONE),
    ("high-risk-documented", at(STAGING, **HIGH), PASS),
    ("high-risk-documented", at(STAGING, BARE, **HIGH), FAIL),
    ("high-risk-documented", at(STAGING, UNLISTED, **HIGH), UNKNOWN),
    ("high-risk-documented", at(STAGING, BARE, risk_category="low"), NONE),
    ("change-approver-named", at(PRODUCTION, approved_by="ceo"), PASS),
    ("change-approver-named", at(PRODUCTION), FAIL),
    ("change-approver-named", at(STAGING), NONE),
    ("artifacts-clean", inspected(at(PRODUCTION)), PASS),
    ("artifacts-clean", inspected(at(PRODUCTION), result="suspicious"), FAIL),
    ("artifacts-clean", inspected(at(PRODUCTION), result="malicious"), FAIL),
    ("artifacts-clean", inspected(at(PRODUCTION), result="unreadable"), FAIL),
    ("artifacts-clean", at(PRODUCTION), UNKNOWN),
    ("artifacts-clean", at(PRODUCTION, UNLISTED), UNKNOWN),
    ("artifacts-clean", at(PRODUCTION, made.details(listing=None)), FAIL),
    ("artifacts-clean", inspected(at(STAGING), result="malicious"), NONE),
]


@pytest.mark.parametrize(("rule", "record", "outcome"), CASES)
def test_a_rule_of_rulebook_1(rule: str, record: Record, outcome: Outcome) -> None:
    assert BOOK.version == "1"
    result = judged(record, rule)
    assert result.outcome is outcome, result.sentence
    assert result.sentence.endswith(".")


def test_every_rule_is_driven_to_a_pass_and_to_a_gap() -> None:
    for rule in BOOK.rules:
        driven = {outcome for name, _record, outcome in CASES if name == rule.id}
        assert {PASS, FAIL} <= driven, rule.id
        assert rule.when is None or NONE in driven, rule.id


def test_a_claim_is_told_as_one_and_evidence_points_to_where_it_stands() -> None:
    result = judged(at(PRODUCTION, approved_by="ceo"), "change-approver-named")
    assert "the tags claim that compliance_approver is ceo" in result.sentence
    pointer = result.evidence[0]
    assert (pointer.field, pointer.key, pointer.claim) == (
        "compliance_approver",
        "tags.approved_by",
        True,
    )


def test_what_is_missing_is_named() -> None:
    result = judged(at(PRODUCTION), "privacy-assessed")
    assert result.missing == ("data_sensitivity", "privacy_assessment_status")
    assert "nobody says data_sensitivity" in result.sentence
    assert "too slow" in judged(at(PRODUCTION, UNREAD), "baseline-measured").sentence


def test_an_evaluation_is_kept_and_read_again() -> None:
    evaluation = evaluate(at(PRODUCTION, **PII), BOOK, (), made.NOW)
    assert Evaluation.read(evaluation.plain()) == evaluation
    assert evaluation.digest == BOOK.digest
    assert len(evaluation.results) == len(BOOK.rules)


def waiver(**more: Any) -> Waiver:
    said: dict[str, Any] = {
        "id": "wvr_1",
        "rule": "purpose-stated",
        "tenant": TenantId("acme"),
        "model": "churn",
        "version": 3,
        "reason": "The team is writing it down.",
        "granted_by": PersonId("per_1"),
        "granted_at": made.NOW,
        "expires_at": made.NOW + timedelta(days=180),
    }
    return Waiver(**{**said, **more})


@pytest.mark.parametrize(
    ("more", "days", "outcome"),
    [
        ({}, 0, WAIVED),
        ({"version": None}, 0, WAIVED),
        ({}, 179.9, WAIVED),
        ({}, 180, FAIL),
        ({}, -0.1, FAIL),
        ({"version": 2}, 0, FAIL),
        ({"model": "other"}, 0, FAIL),
        ({"rule": "owner-named"}, 0, FAIL),
        ({"reason": "  "}, 0, FAIL),
        ({"expires_at": made.NOW + timedelta(days=180, seconds=1)}, 0, FAIL),
        ({"expires_at": made.NOW}, 0, FAIL),
    ],
)
def test_a_waiver_covers_its_gap_for_its_time_and_nothing_else(
    more: dict[str, Any], days: float, outcome: Outcome
) -> None:
    now = made.NOW + timedelta(days=days)
    result = judged(at(PRODUCTION), "purpose-stated", waiver(**more), now=now)
    assert result.outcome is outcome
    assert result.waiver == ("wvr_1" if outcome is WAIVED else None)


def test_a_waiver_makes_nothing_known_and_covers_no_malware() -> None:
    unknown = judged(at(PRODUCTION), "privacy-assessed", waiver(rule="privacy-assessed"))
    assert unknown.outcome is UNKNOWN
    bad = inspected(at(PRODUCTION), result="malicious")
    assert judged(bad, "artifacts-clean", waiver(rule="artifacts-clean")).outcome is FAIL


def test_waivers_of_two_tenants_are_never_taken_together() -> None:
    with pytest.raises(InvalidInput, match="more than one tenant"):
        evaluate(at(PRODUCTION), BOOK, (waiver(), waiver(tenant=TenantId("other"))), made.NOW)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"rule": "purpose-state"}, "rule"),
        ({"rule": "artifacts-clean"}, "rule"),
        ({"reason": "because"}, "reason"),
        ({"expires_at": made.NOW}, "expires_at"),
        ({"expires_at": made.NOW + timedelta(days=181)}, "expires_at"),
    ],
)
def test_a_waiver_that_may_not_be_is_refused(more: dict[str, Any], field: str) -> None:
    demand_waiver(waiver(), BOOK)
    with pytest.raises(InvalidInput) as caught:
        demand_waiver(waiver(**more), BOOK)
    assert caught.value.field == field
    assert caught.value.remedy


def edited(old: str, new: str) -> Rulebook:
    assert old in TEXT
    return load_rulebook(TEXT.replace(old, new, 1))


def unwaived(records: list[Record]) -> Iterator[tuple[Record, list[Waiver]]]:
    """Records that nobody answers for."""
    return ((record, []) for record in records)


def test_a_preview_says_what_would_become_of_whom() -> None:
    records = [at(PRODUCTION, approver="ceo"), at(STAGING), at(STAGING), at(DEVELOPMENT)]
    old = (
        "when: {field: lifecycle_stage, op: in, value: [production]}\n    require: {field: business"
    )
    after = edited(old, old.replace("[production]", "[staging, production]"))
    shown = preview(unwaived(records), BOOK, after, now=made.NOW)
    (change,) = shown.changes
    (move,) = change.moves
    assert (shown.versions, change.rule) == (4, "purpose-stated")
    assert (move.before, move.after, move.versions) == (NONE, FAIL, 2)
    assert move.examples[0] == ("churn", 3)
    assert preview(unwaived(records), BOOK, BOOK, now=made.NOW).changes == ()


def test_a_preview_says_which_waivers_would_be_too_long() -> None:
    record = at(PRODUCTION)
    shorter = dataclasses.replace(BOOK, max_waiver_days=1)
    shown = preview([(record, [waiver()])], BOOK, shorter, now=made.NOW)
    assert [(c.rule, c.moves[0].before, c.moves[0].after) for c in shown.changes] == [
        ("purpose-stated", WAIVED, FAIL)
    ]


def test_a_preview_names_rules_that_come_and_go() -> None:
    fewer = dataclasses.replace(BOOK, rules=BOOK.rules[1:])
    shown = preview(unwaived([at(DEVELOPMENT)]), fewer, BOOK, now=made.NOW)
    assert (shown.added, shown.removed) == (("owner-named",), ())
    assert shown.changes[0].moves[0].before is None
    assert preview([], BOOK, fewer, now=made.NOW).removed == ("owner-named",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{field: owner, op: known}", "{field: ower, op: known}", "the nearest is 'owner'"),
        ("{field: owner, op: known}", "{field: owner, op: knwn}", "the nearest is 'known'"),
        ("{field: owner, op: known}", "{field: owner}", "op is missing"),
        ("{field: owner, op: known}", "{field: owner, op: known, value: x}", "not a key of the op"),
        ("{field: owner, op: known}", "{field: owner, op: in}", "value is missing"),
        ("{field: owner, op: known}", "{field: owner, op: in, value: x}", "a list of words"),
        ("{field: owner, op: known}", "{field: owner, op: in, value: []}", "not empty"),
        ("{field: owner, op: known}", "{field: owner, op: is, value: [x]}", "one value"),
        ("{field: owner, op: known}", "{al: []}", "the nearest is 'all'"),
        ("{field: owner, op: known}", "{all: []}", "not empty"),
        ("{field: owner, op: known}", "{any: x}", "not empty"),
        ("{field: owner, op: known}", "{any: [], not: {}}", "a condition is one of"),
        ("{field: owner, op: known}", "[]", "a condition is one of"),
        ("{finding: owner_assumed}", "{finding: owner_asumed}", "the nearest is 'owner_assumed'"),
        ("framework: gdpr", "framework: gdrp", "the nearest is 'gdpr'"),
        ("severity: high", "severity: hihg", "severity"),
        ("evidence: [owner]", "evidence: [onwer]", "the nearest is 'owner'"),
        ("    remedy: Set the tag owner", "    remedi: Set the tag owner", "nearest is 'remedy'"),
        ("id: purpose-stated", "id: owner-named", "given twice"),
        ("max_days: 180", "max_days: 0", "greater than or equal to 1"),
        ("max_days: 180", "max_dais: 180", "the nearest is 'max_days'"),
        ("title: Somebody owns it", "title: !!python/object:os.system x", "tags are not read"),
        ("title: Somebody owns it", "title: a\n    title: b", "given twice"),
    ],
)
def test_what_is_no_rulebook_is_refused_with_its_place(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidInput) as caught:
        load_rulebook(TEXT.replace(old, new, 1), "mine.yaml")
    assert words in caught.value.message
    assert re.match(r"mine\.yaml:[0-9]+:[0-9]+: ", caught.value.message)


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "compliance.md"


def test_the_page_has_every_rule_as_the_rulebook_says_it() -> None:
    page = PAGE.read_text("utf-8")
    for rule in BOOK.rules:
        references = "; ".join(
            f"{said.framework.value}: {said.reference}" for said in rule.regulations
        )
        waivable = "yes" if rule.waivable else "no"
        row = (
            f"| `{rule.id}` | {rule.sentence} | {rule.severity.value} | {waivable} | {references} |"
        )
        assert row in page, row
    assert page.count("\n| `") == len(BOOK.rules) + len(Outcome) + len(Framework)
