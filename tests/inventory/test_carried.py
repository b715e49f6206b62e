"""What was known of a part holds until the part can be read again."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.inventory import documents as made

from trimtab.inventory.carried import carried
from trimtab.inventory.compliance import Outcome, evaluate
from trimtab.inventory.evidence import with_inspection
from trimtab.inventory.model import Entry
from trimtab.inventory.record import Record
from trimtab.inventory.rulebook import default_text, load_rulebook
from trimtab.inventory.source import Details, Fault, Part

SLOW = "too slow"


def entry(record: Record, inspection: str | None = None) -> Entry:
    return Entry("r1", "c1", None, 1, made.NOW, False, inspection, record, {})


def outcome(record: Record, rule: str) -> Outcome:
    results = evaluate(record, load_rulebook(default_text()), (), made.NOW).results
    return next(result.outcome for result in results if result.rule == rule)


def unread(*parts: Part, **more: Any) -> Details:
    """Details of which these parts could not be read this time."""
    faults = tuple(Fault(part, SLOW, passing=True) for part in parts)
    none = {"listing" if part is Part.ARTIFACTS else part.value: None for part in parts}
    return made.details(**{**none, **more}, faults=faults)


def again(before: Record, details: Details, inspection: str | None = None, **tags: str) -> Record:
    """The record that `details` give, over how it stood."""
    version = made.version(current_stage="Production", tags=tags)
    fresh = made.record(version, leads_to=details)
    return carried(entry(before, inspection), fresh, details)[0]


def first(details: Details, **tags: str) -> Record:
    return made.record(made.version(current_stage="Production", tags=tags), leads_to=details)


DELETED = made.details(run=made.run(info={"lifecycle_stage": "deleted"}))
FOREIGN = made.details(run=made.run(info={"artifact_uri": "s3://else/1/artifacts"}), experiment={})


@pytest.mark.parametrize(
    ("details", "code", "rule"),
    [
        (DELETED, "run_deleted", "run-linked"),
        (FOREIGN, "lineage_mismatch", "lineage-consistent"),
        (made.details(), "owner_assumed", "owner-named"),
    ],
)
def test_a_gap_of_the_run_stays_one_while_the_run_is_unread(
    details: Details, code: str, rule: str
) -> None:
    before = first(details)
    assert outcome(before, rule) is Outcome.FAIL
    now = again(before, unread(Part.RUN))
    assert code in {finding.code for finding in now.findings}
    assert outcome(now, rule) is Outcome.FAIL
    still = again(now, unread(Part.RUN, Part.EXPERIMENT))
    assert [f.code for f in still.findings].count(code) == 1
    read = again(still, made.details(), owner="risk-team")
    assert code not in {finding.code for finding in read.findings}
    assert outcome(read, rule) is Outcome.PASS


def test_an_owner_who_is_named_by_now_is_no_assumed_one() -> None:
    now = again(first(made.details()), unread(Part.RUN), owner="risk-team")
    assert outcome(now, "owner-named") is Outcome.PASS


@pytest.mark.parametrize(
    ("name", "strict", "low", "rule"),
    [
        ("risk_category", "high", "minimal", "high-risk-approver-named"),
        ("data_sensitivity", "health", "none", "health-data-safeguarded"),
    ],
)
def test_an_unread_run_lowers_no_duty(name: str, strict: str, low: str, rule: str) -> None:
    before = first(made.details(run=made.run(tags={name: strict})))
    assert outcome(before, rule) is Outcome.FAIL
    now = again(before, unread(Part.RUN), **{name: low})
    assert now.value(name) == before.value(name)
    assert outcome(now, rule) is Outcome.INCONCLUSIVE  # the run may name what is missing


def test_what_was_found_in_files_stays_while_they_are_not_listed() -> None:
    said = [{"path": file.path, "result": "malicious"} for file in made.FILES]
    before = with_inspection(first(made.details()), said)
    now = again(before, unread(Part.ARTIFACTS), "malicious")
    assert "artifact_malicious" in {finding.code for finding in now.findings}
    assert outcome(now, "artifacts-clean") is Outcome.FAIL


def test_a_list_that_was_cut_stays_cut_while_it_is_not_read() -> None:
    cut = made.details(listing=made.listing(truncated="more than 1000 files"))
    now = again(first(cut), unread(Part.ARTIFACTS))
    assert "listing_cut" in {finding.code for finding in now.findings}


def test_what_a_part_that_is_gone_showed_is_not_carried() -> None:
    gone = dataclasses.replace(
        made.details(run=None), faults=(Fault(Part.RUN, "no such run", passing=False),)
    )
    now = again(first(DELETED), gone)
    codes = {finding.code for finding in now.findings}
    assert "run_missing" in codes
    assert "run_deleted" not in codes
