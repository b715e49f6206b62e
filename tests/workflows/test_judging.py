"""Records held against the rules again: waivers, their ends, and other rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.patience import PATIENCE_SECONDS
from tests.workflows.registry import FLEET, Plane, Registry, of_tenant, opened

from trimtab.audit.work import Reading
from trimtab.inventory import connection_store
from trimtab.inventory.compliance import Outcome
from trimtab.inventory.record import Stage
from trimtab.inventory.rulebook import Framework, default_text
from trimtab.inventory.store import Filter
from trimtab.inventory.waiver_store import Granted
from trimtab.kernel.errors import InvalidInput, InvalidMove, NotFound
from trimtab.workflows import judging
from trimtab.workflows.judging import Judge

RULE = "owner-named"
WHY = "the team is being founded, see the minutes"
DAY = timedelta(days=1)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """Two models without owners, and one with."""
    with opened(tmp_path / "home") as plane:
        registry = Registry()
        registry.put("churn", 1)
        registry.put("churn", 2)
        registry.put("fraud", 1, tags=[{"key": "owner", "value": "risk team"}])
        registry.put("loans", 1, stage="Production")
        plane.cycle(registry)
        yield plane


def outcome(plane: Plane, name: str, number: int, rule: str = RULE) -> str:
    kept = plane.records()[name, number].compliance
    [found] = [one["outcome"] for one in kept["rules"] if one["rule"] == rule]
    return str(found)


def grant(plane: Plane, name: str, number: int, *, whole: bool = False) -> Granted:
    return judging.grant(
        plane.parts,
        FLEET,
        Judge(plane.parts),
        record_id=plane.records()[name, number].id,
        rule=RULE,
        whole_model=whole,
        expires_at=plane.clock.now() + 30 * DAY,
        reason=WHY,
    )


def judged_again(plane: Plane, judge: Judge | None = None) -> list[tuple[str, int]]:
    """What the loop does; the versions of which an entry says that they stand otherwise."""
    judge = judge or Judge(plane.parts)
    size = plane.size()
    with plane.parts.records.look() as reading:
        due = judging.due(judge)(reading)
    for connection, _ in due:
        judging.turn(plane.parts, judge, connection)
    with plane.parts.records.look() as reading:
        assert not judging.due(judge)(reading), "what was judged is not due again"
    entries = plane.entries("record.evaluated")
    return [
        (str(e.data["model"]), int(e.data["version"]))
        for e in entries
        if e.data and e.sequence > size
    ]


def test_a_waiver_holds_for_what_it_was_granted_for_until_it_ends(plane: Plane) -> None:
    assert [outcome(plane, *key) for key in plane.records()] == ["fail", "fail", "pass", "fail"]
    grant(plane, "churn", 1)
    assert outcome(plane, "churn", 1) == "waived"
    assert judged_again(plane) == [], "the others stand as before, and nobody is told of it"
    assert [outcome(plane, *key) for key in (("churn", 2), ("loans", 1))] == ["fail", "fail"]
    plane.clock.step_to(plane.clock.now() + 30 * DAY - timedelta(seconds=1))
    assert judged_again(plane) == []
    plane.clock.step_to(plane.clock.now() + timedelta(seconds=1))
    assert judged_again(plane) == [("churn", 1)]
    assert outcome(plane, "churn", 1) == "fail"


def test_a_waiver_for_a_whole_model(plane: Plane) -> None:
    waiver = grant(plane, "churn", 1, whole=True)
    assert judged_again(plane) == [("churn", 2)]
    assert [outcome(plane, "churn", number) for number in (1, 2)] == ["waived", "waived"]
    judging.revoke(plane.parts, FLEET, waiver.id, reason=WHY)
    assert sorted(judged_again(plane)) == [("churn", 1), ("churn", 2)]
    assert [outcome(plane, "churn", number) for number in (1, 2)] == ["fail", "fail"]
    with pytest.raises(InvalidMove):
        judging.revoke(plane.parts, FLEET, waiver.id, reason=WHY)
    kinds = {"waiver.granted", "waiver.revoked"}
    assert {entry.kind for entry in plane.entries(*kinds)} == kinds


def test_a_waiver_of_somebody_elses_is_none(plane: Plane) -> None:
    waiver = grant(plane, "churn", 1)
    acme = of_tenant("acme")
    with pytest.raises(NotFound):
        judging.revoke(plane.parts, acme, waiver.id, reason=WHY)
    with pytest.raises(NotFound):
        judging.grant(
            plane.parts,
            acme,
            Judge(plane.parts),
            record_id=plane.records()["churn", 2].id,
            rule=RULE,
            whole_model=False,
            expires_at=plane.clock.now() + DAY,
            reason=WHY,
        )


def test_a_waiver_outlives_a_cycle(plane: Plane) -> None:
    grant(plane, "churn", 1)
    registry = Registry()
    registry.put("churn", 1, description="another one")
    plane.cycle(registry)
    assert outcome(plane, "churn", 1) == "waived"


def other_rules(plane: Plane, tmp_path: Path, text: str) -> Judge:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    settings = plane.parts.settings.model_copy(update={"rulebook": path})
    return Judge(dataclasses.replace(plane.parts, settings=settings))


def test_other_rules_touch_what_stands_otherwise_by_them(plane: Plane, tmp_path: Path) -> None:
    before = {key: entry.number for key, entry in plane.records().items()}
    text = default_text().replace("severity: high", "severity: medium", 1)
    assert judged_again(plane, other_rules(plane, tmp_path, text)) == []
    assert {key: entry.number for key, entry in plane.records().items()} == before
    assert len(plane.told("rulebook.adopted")) == 2
    text = text.replace(
        "field: owner, op: known}\n        - not: {finding: owner_assumed}",
        "field: owner, op: known}",
    )
    text = text.replace("- {field: owner, op: known}", "- {field: description, op: known}", 1)
    changed = judged_again(plane, other_rules(plane, tmp_path, text))
    assert changed == [("fraud", 1)]
    assert outcome(plane, "fraud", 1) == "fail"


def test_a_preview_changes_nothing(plane: Plane) -> None:
    size, records = plane.size(), plane.records()
    text = default_text().replace(
        "- {field: owner, op: known}", "- {field: description, op: known}"
    )

    def look(reading: Reading) -> object:
        return judging.previewed(reading, Judge(plane.parts), FLEET, text)

    with plane.parts.records.look() as reading:
        told = str(look(reading))
    assert "fraud" in told
    assert (plane.size(), plane.records()) == (size, records)
    with plane.parts.records.look() as reading, pytest.raises(InvalidInput):
        judging.previewed(reading, Judge(plane.parts), FLEET, "rules: 7")


def test_a_preview_knows_who_answers_for_a_gap(plane: Plane) -> None:
    """By other rules it is waived as it is by these; where they let nobody waive it, a gap."""
    grant(plane, "churn", 1)
    begins = f"- id: {RULE}\n    version: 1\n"
    stricter = default_text().replace(begins, begins + "    waivable: false\n")
    other = default_text().replace("value: [production]", "value: [development]")
    moves: dict[str, list[tuple[object, object, object]]] = {}
    for name, text in (("same", other), ("stricter", stricter)):
        with plane.parts.records.look() as reading:
            found = judging.previewed(reading, Judge(plane.parts), FLEET, text)
        moves[name] = [
            (move.before, move.after, move.examples)
            for change in found.changes
            if change.rule == RULE
            for move in change.moves
        ]
    assert moves["same"] == [], "it stands by this rule as before"
    assert moves["stricter"] == [(Outcome.WAIVED, Outcome.FAIL, (("churn", 1),))]
    purpose = default_text().replace("value: [production]", "value: [development, production]")
    waiver = judging.grant(
        plane.parts, FLEET, Judge(plane.parts), record_id=plane.records()["churn", 2].id,
        rule="purpose-stated", whole_model=False, expires_at=plane.clock.now() + DAY, reason=WHY,
    )  # fmt: skip
    with plane.parts.records.look() as reading:
        found = judging.previewed(reading, Judge(plane.parts), FLEET, purpose)
    (change,) = [one for one in found.changes if one.rule == "purpose-stated"]
    told = {move.after: move.examples for move in change.moves}
    assert told[Outcome.WAIVED] == (("churn", 2),)
    assert ("churn", 1) in told[Outcome.FAIL]
    plane.clock.step_to(waiver.expires_at)
    with plane.parts.records.look() as reading:
        found = judging.previewed(reading, Judge(plane.parts), FLEET, purpose)
    assert all(m.after is not Outcome.WAIVED for c in found.changes for m in c.moves)


def test_who_claims_an_approval_has_none(plane: Plane) -> None:
    """It is shown as what somebody says, and nothing else in the house moves by it."""
    registry = Registry()
    tags = [{"key": "compliance_approver", "value": "the board"}]
    registry.put("loans", 1, stage="Production", tags=tags)
    size = plane.size()
    plane.cycle(registry)
    known = plane.records(Filter(stage=Stage.PRODUCTION))["loans", 1].record
    said = known.fields["compliance_approver"]
    assert (said.value, said.claim) == ("the board", True)
    kinds = {entry.kind for entry in plane.entries() if entry.sequence > size}
    assert not {kind for kind in kinds if kind.startswith(("approval", "version", "permit"))}


def test_how_it_all_stands_is_counted_by_rule(plane: Plane) -> None:
    with plane.parts.records.look() as reading:
        found = judging.compliance(reading, Judge(plane.parts), FLEET)
        [standing] = [one for one in found.standing if one.rule == RULE]
        assert (standing.passed, standing.gaps, standing.waived) == (1, 3, 0)
        evaluation = judging.evaluation_of(reading, plane.records()["churn", 1])
        assert RULE in [one.rule for one in evaluation.of(Outcome.FAIL)]
        none = judging.compliance(reading, Judge(plane.parts), of_tenant("acme"))
        assert sum(one.gaps + one.passed for one in none.standing) == 0


@pytest.mark.slow
def test_each_waiver_that_ends_is_seen_by_the_loop(plane: Plane) -> None:
    """Rules and waivers hold again that held before: that was judged then is no reason to think
    that it is judged now."""
    loop = plane.application.loop
    with plane.parts.records.begin(FLEET, reason="nobody reads it") as work:
        connection_store.move_state(work, plane.connection.id, due_at=None)
    plane.application.start()
    try:
        for _ in range(3):
            plane.step(1)
            waiver = grant(plane, "churn", 1, whole=True)
            assert loop.settle(PATIENCE_SECONDS)
            assert {outcome(plane, "churn", n) for n in (1, 2)} == {"waived"}
            plane.step(1)
            judging.revoke(plane.parts, FLEET, waiver.id, reason=WHY)
            assert loop.settle(PATIENCE_SECONDS)
            assert {outcome(plane, "churn", n) for n in (1, 2)} == {"fail"}
    finally:
        plane.application.stop(PATIENCE_SECONDS)


def test_a_rule_counts_for_what_it_refers_to_now(plane: Plane, tmp_path: Path) -> None:
    """Though nobody stands otherwise by it, and no record moves."""

    def gaps(judge: Judge) -> int:
        with plane.parts.records.look() as reading:
            found = judging.compliance(reading, judge, FLEET)
        return next(one.gaps for one in found.frameworks if one.framework is Framework.HIPAA)

    text = default_text()
    place = text.index("regulations:", text.index(f"- id: {RULE}")) + len("regulations:")
    more = "\n      - {framework: hipaa, reference: '45 CFR 164.308(a)(2)'}"
    before = gaps(Judge(plane.parts))
    judge = other_rules(plane, tmp_path, text[:place] + more + text[place:])
    assert judged_again(plane, judge) == []
    assert gaps(judge) == before + 3
