"""A tenant's export: its own entries, each with its proof to the head of the whole ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trimtab.sdk.ledger import Code, Report, verify_export

ORIGIN = "audit.example.org/trimtab"


@pytest.fixture
def verify(ledger: Any, write: Any) -> Callable[..., Report]:
    def verified(lines: list[Any], **options: Any) -> Report:
        known = {"pinned_key": ledger.signer.vkey, "pinned_origin": ORIGIN}
        return verify_export(write(lines), **(known | options))

    return verified


def places(report: Report) -> list[tuple[Code, int | None, int | None]]:
    return [(finding.code, finding.line, finding.sequence) for finding in report.findings]


@pytest.mark.parametrize(("tenant", "count"), [("aa", 7), ("bb", 6), (None, 7)])
def test_a_clean_export(ledger: Any, verify: Any, tenant: str | None, count: int) -> None:
    report = verify(ledger.tenant_lines(tenant), known_heads=[ledger.head()])
    assert report.ok
    assert (report.entries, report.head_size, report.root) == (count, 20, None)
    assert [warning.code for warning in report.warnings] == [Code.END_OF_TENANT]


def test_a_tenant_whose_name_needs_escapes(empty_ledger: Any, verify: Any) -> None:
    made = empty_ledger()
    made.add('a"ä\n')
    assert verify(made.tenant_lines('a"ä\n')).ok


def test_a_changed_header(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")  # sequences 2, 5, 8, ... on lines 2, 3, 4, ...
    lines[3]["header"] = lines[3]["header"].replace("usr_", "usq_")
    assert places(verify(lines)) == [(Code.INCLUSION_PROOF, 4, 8)]


def test_a_changed_payload(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    lines[3]["payload"] = lines[3]["payload"].replace("step", "stop")
    assert places(verify(lines)) == [(Code.PAYLOAD_MISMATCH, 4, 8)]


def test_a_proof_of_another_entry(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    lines[1]["proof"], lines[2]["proof"] = lines[2]["proof"], lines[1]["proof"]
    assert places(verify(lines)) == [
        (Code.INCLUSION_PROOF, 2, 2),
        (Code.INCLUSION_PROOF, 3, 5),
    ]


@pytest.mark.parametrize("proof", [[], ["AAAA"], ["A" * 43 + "="] * 5])
def test_a_proof_that_is_none(ledger: Any, verify: Any, proof: list[str]) -> None:
    lines = ledger.tenant_lines("aa")
    lines[3]["proof"] = proof
    assert places(verify(lines)) == [(Code.INCLUSION_PROOF, 4, 8)]


@pytest.mark.parametrize("proof", [None, "", "AAAA", [1], {}])
def test_a_proof_that_is_no_list_of_hashes(ledger: Any, verify: Any, proof: Any) -> None:
    lines = ledger.tenant_lines("aa")
    lines[7]["proof"] = proof
    assert places(verify(lines)) == [(Code.LINE_UNREADABLE, 8, None)]


def test_a_proof_left_out(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    del lines[7]["proof"]
    assert places(verify(lines)) == [(Code.LINE_UNREADABLE, 8, None)]


@pytest.mark.parametrize("row", [1, 3])
def test_a_row_removed(ledger: Any, verify: Any, row: int) -> None:
    lines = ledger.tenant_lines("aa")
    del lines[row]
    assert places(verify(lines)) == [(Code.TENANT_GAP, row + 1, row * 3 + 2)]


def test_rows_swapped(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    lines[2], lines[3] = lines[3], lines[2]
    assert places(verify(lines)) == [
        (Code.TENANT_GAP, 3, 8),
        (Code.SEQUENCE_ORDER, 4, 5),
        (Code.TENANT_GAP, 4, 5),
        (Code.TENANT_GAP, 5, 11),
    ]


def test_an_entry_of_somebody_else(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    lines.insert(2, ledger.tenant_lines("bb")[1])
    assert places(verify(lines)) == [(Code.OTHER_TENANT, 3, 3)]
    lines = ledger.tenant_lines(None)
    lines[0]["tenant"] = "null"  # a tenant of that name is not the fleet
    assert {code for code, _, _ in places(verify(lines))} == {Code.OTHER_TENANT}


def test_known_heads_need_their_consistency_proof(ledger: Any, verify: Any) -> None:
    lines, known = ledger.tenant_lines("aa"), [ledger.head(6)]
    assert places(verify(lines, known_heads=known)) == [(Code.UNPROVEN, None, 6)]
    proofs = {6: ledger.consistency(6)}
    assert verify(lines, known_heads=known, consistency_proofs=proofs).ok
    assert places(verify(lines, known_heads=known, consistency_proofs={6: proofs[6][1:]})) == [
        (Code.CONSISTENCY_PROOF, None, 6)
    ]


def test_a_rewritten_ledger_shows_by_a_known_head(ledger: Any, verify: Any) -> None:
    twin = ledger.fork()
    header, salt, payload = twin.rows[2]
    twin.rows[2] = (header.replace(b"usr_", b"usq_"), salt, payload)
    lines = twin.tenant_lines("aa")
    assert verify(lines).ok
    assert places(verify(lines, known_heads=[ledger.head()])) == [(Code.ROOT_MISMATCH, None, 20)]
    report = verify(
        lines, known_heads=[ledger.head(6)], consistency_proofs={6: twin.consistency(6)}
    )
    assert places(report) == [(Code.CONSISTENCY_PROOF, None, 6)]


def test_an_old_export_shows_by_a_newer_known_head(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    ledger.add("aa")
    assert places(verify(lines, known_heads=[ledger.head()])) == [(Code.TAIL_CUT, None, 21)]


def test_without_a_readable_head_nothing_is_proven(ledger: Any, verify: Any) -> None:
    lines = ledger.tenant_lines("aa")
    lines[0]["head"] = "gone"
    assert places(verify(lines, known_heads=[ledger.head(6)])) == [(Code.HEAD_UNREADABLE, 1, None)]
