"""Every invariant that can be read off the records, and where the others are held."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.workflows.invariants import (
    growth,
    history,
    people,
    repairs,
    traffic,
    waiting,
)
from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Check, Invariant, Violation


def _named(check: Check, name: str) -> Invariant:
    """An invariant whose sentence is the docstring of its check."""
    return Invariant(name, " ".join((check.__doc__ or "").split()), check)


OF_A_LOOK = (
    _named(traffic.is_approved, "traffic.approved"),
    _named(traffic.permit_was_used_once, "traffic.permit_used"),
    _named(traffic.is_signed, "traffic.signed"),
    _named(traffic.is_alone, "traffic.alone"),
    _named(traffic.keeps_to_its_tenant, "traffic.own_tenant"),
    _named(traffic.way_back_is_kept, "traffic.way_back"),
    _named(traffic.origin_is_known, "traffic.origin"),
    _named(growth.rests_on_evidence, "growth.evidence"),
    _named(growth.follows_its_ladder, "growth.ladder"),
    _named(growth.goes_back_to_nothing, "growth.back_to_nothing"),
    _named(growth.is_observed, "growth.observed"),
    _named(people.approvers_are_distinct, "approvals.distinct"),
    _named(people.approval_was_given, "approvals.given"),
    _named(people.quorum_stood, "approvals.quorum"),
    _named(people.checks_have_passed, "approvals.checked"),
    _named(people.votes_are_persons, "approvals.persons"),
    _named(repairs.acts_by_permit, "repairs.permit"),
    _named(repairs.one_at_a_time, "repairs.alone"),
    _named(repairs.obeys_kill_switches, "repairs.switches"),
    _named(repairs.is_still_wanted, "repairs.wanted"),
    _named(repairs.not_too_often, "repairs.pause"),
    _named(waiting.nothing_waits_for_ever, "waiting.turn"),
    _named(history.no_secret_is_entered, "history.secrets"),
)
"""Asked of each look, however short the stretch of the ledger is that it has."""

OF_ALL = (
    _named(history.every_change_is_entered, "history.every_change"),
    _named(history.entries_have_no_gap, "history.gaps"),
    _named(history.payloads_are_kept, "history.kept"),
)
"""Asked of everything at once: they count whole tables."""

HEADS = "history.heads"
"""The ledger continues the newest head that was published outside the database."""

EVERY = (*OF_A_LOOK, *OF_ALL)


def violations(look: Look, invariants: tuple[Invariant, ...] = EVERY) -> Iterator[Violation]:
    """What is not as it must be in a look, by the order of the invariants."""
    for invariant in invariants:
        for found in invariant.check(look):
            yield Violation(invariant.name, found.what, found.ids)
