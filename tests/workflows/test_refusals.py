"""Refusals on record: counted within a minute, bounded, and never lost without a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Records
from trimtab.kernel.actor import Actor, ActorKind
from trimtab.kernel.ids import TenantId
from trimtab.workflows.refusals import (
    MINUTE_SECONDS,
    MOST_SOURCES,
    MOST_TARGETS,
    OTHERS,
    UNKNOWN,
    Refusal,
    Refusals,
    source,
)

SHOP = Actor("svc_0123456789abcdef", ActorKind.SERVICE, TenantId("aa"), frozenset())
REFUSAL = Refusal(SHOP, "GET", "/api/v1/routing", "not_permitted", model="m", version="1.0.0")


class Time:
    """Real time, as far as the refusals know."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def refusals(records: Records, time: Time) -> Refusals:
    return Refusals(records, time)


def entries(records: Records, kind: str = "request.refused") -> Sequence[Entry]:
    with records.look() as reading:
        return ledger.entries(reading.connection, kinds=(kind,), limit=1000)


def counts(records: Records, kind: str = "request.refused") -> list[int]:
    return [entry.data["count"] for entry in entries(records, kind) if entry.data]


def test_a_refusal_is_entered_once_with_who_and_what(records: Records, refusals: Refusals) -> None:
    refusals.note(REFUSAL)
    assert entries(records) == []  # a request does not wait for it
    refusals.flush()
    refusals.flush()
    (entry,) = entries(records)
    assert (entry.actor, entry.subject, entry.tenant) == (SHOP.id, SHOP.id, "aa")
    assert entry.data == {
        "method": "GET",
        "route": "/api/v1/routing",
        "code": "not_permitted",
        "field": None,
        "model": "m",
        "version": "1.0.0",
        "count": 1,
    }


def test_the_same_within_a_minute_is_one_more_entry(
    records: Records, refusals: Refusals, time: Time
) -> None:
    for _ in range(1000):
        refusals.note(REFUSAL)
        refusals.flush()
        time.now += 0.01
    assert counts(records) == [1]
    time.now += MINUTE_SECONDS
    refusals.flush()
    assert counts(records) == [1, 999]
    refusals.note(REFUSAL)
    refusals.flush()
    assert counts(records) == [1, 999, 1]


def test_an_actor_who_tries_everything_gets_few_entries(
    records: Records, refusals: Refusals, time: Time
) -> None:
    for number in range(1000):
        refusals.note(replace(REFUSAL, model=f"m-{number}"))
    refusals.note(replace(REFUSAL, actor=replace(SHOP, id="svc_another000000000")))
    refusals.flush()
    refusals.flush(everything=True)
    assert len(entries(records)) == MOST_TARGETS + 2
    assert sum(counts(records)) == 1001
    routes = {e.data["route"] for e in entries(records) if e.data}
    assert routes == {"/api/v1/routing", OTHERS}
    time.now += MINUTE_SECONDS
    refusals.note(replace(REFUSAL, model="m-999"))
    refusals.flush()
    assert entries(records)[-1].data["model"] == "m-999"  # type: ignore[index]


def test_who_is_not_known_is_counted_by_address_and_minute(
    records: Records, refusals: Refusals, time: Time
) -> None:
    for _ in range(300):
        refusals.note(source("192.0.2.7"))
        refusals.flush()
    assert entries(records, "access.refused") == []
    time.now += MINUTE_SECONDS
    refusals.flush()
    (entry,) = entries(records, "access.refused")
    assert (entry.subject, entry.tenant, entry.actor) == ("192.0.2.7", None, "system:access")
    assert counts(records, "access.refused") == [300]


def test_many_addresses_are_few_entries(records: Records, refusals: Refusals) -> None:
    for number in range(5000):
        refusals.note(source(f"10.1.{number // 250}.{number % 250}"))
    assert len(refusals._tallies) == MOST_SOURCES + 1
    refusals.flush(everything=True)
    assert len(entries(records, "access.refused")) == MOST_SOURCES + 1
    assert sum(counts(records, "access.refused")) == 5000
    assert OTHERS in {e.subject for e in entries(records, "access.refused")}
    assert not refusals._tallies
    assert not refusals._kept


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1:2", "2001:db8::/64"),
        ("2001:db8::ffff:3", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("a name\n<script>", UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_an_address_has_one_form(host: str | None, told: str) -> None:
    assert source(host).address == told


def test_what_cannot_be_entered_is_told_and_kept(
    records: Records, refusals: Refusals, time: Time
) -> None:
    engine = records.database.engine

    def refuse(_connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("", {}, Exception("database or disk is full"))

    refusals.note(REFUSAL)
    sa.event.listen(engine, "begin", refuse)
    refusals.flush()
    assert refusals.failing is not None
    refusals.note(REFUSAL)
    sa.event.remove(engine, "begin", refuse)
    assert entries(records) == []
    time.now += MINUTE_SECONDS
    refusals.flush()
    assert counts(records) == [2]
    assert refusals.failing is None
