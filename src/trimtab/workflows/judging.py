"""Records held against the rules: when they change, when the rules do, when a waiver ends."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.audit.work import Reading, Work
from trimtab.identity.reach import demand_say
from trimtab.inventory import connection_store, rulebook_store, service, store, waiver_store
from trimtab.inventory.compliance import (
    Evaluation,
    Outcome,
    Preview,
    Readiness,
    evaluate,
    preview,
)
from trimtab.inventory.model import Connection, Entry, WaiverGranted, WaiverRevoked
from trimtab.inventory.record import Record
from trimtab.inventory.rulebook import Framework, Rulebook, default_text, load_rulebook
from trimtab.inventory.store import Filter
from trimtab.inventory.waiver_store import Granted
from trimtab.inventory.waivers import Waiver, demand_waiver
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import InvalidMove, NotYours, Unavailable
from trimtab.kernel.events import plain
from trimtab.kernel.ids import new_id
from trimtab.workflows.connections import visible_record
from trimtab.workflows.parts import Parts, Then, nothing_more

_JUDGING = system("compliance")
_TOGETHER = 200
_PAGE = 500
_KEPT = ("rule", "version", "outcome", "sentence", "evidence", "missing", "waiver")
"""What is kept of a rule on a record; the rest stands in the rulebook, by its digest."""


class Judge:
    """Holds records against the rules that this process was started with.

    Raises:
        InvalidInput: the file of rules is none.
        Unavailable: it cannot be read.
    """

    def __init__(self, parts: Parts):
        self.rulebook, self._text = _chosen(parts)

    def adopt(self, work: Work) -> None:
        """Keep the rules; to be done before a record that was judged by them is kept."""
        rulebook_store.adopt(work, self.rulebook, self._text)

    def held(self, reading: Reading, connection: str) -> list[Granted]:
        """The waivers that count for records of a connection now."""
        return waiver_store.holding(reading, connection, reading.now)

    def by(self, reading: Reading, connection: str) -> str:
        """What records of a connection are judged by now: the rules, and the waivers that count."""
        return self._by(self.held(reading, connection))

    def again(self, work: Work, connection: Connection, entries: Sequence[Entry]) -> int:
        """Judge records anew; how many stand otherwise than they did."""
        self.adopt(work)
        waivers = self.held(work, connection.id)
        alike, moved = list[str](), 0
        for entry in entries:
            kept = self.judged(entry.record, waivers, work.now)
            if _standing(kept) == _standing(entry.compliance):
                alike.append(entry.id)
            else:
                service.evaluated(work, entry, kept)
                moved += 1
        if alike:
            store.judged_alike(work, alike, self._by(waivers), self.rulebook.digest)
        return moved

    def _by(self, waivers: Sequence[Granted]) -> str:
        told = [self.rulebook.digest, *sorted(w.id for w in waivers)]
        return "sha256:" + hashlib.sha256("\n".join(told).encode()).hexdigest()

    def judged(self, record: Record, waivers: Sequence[Granted], now: datetime) -> dict[str, Any]:
        """How a record stands, as it is kept with it."""
        made = evaluate(record, self.rulebook, [w.waiver for w in waivers], now)
        rules = [
            {name: value for name, value in plain(result).items() if name in _KEPT}
            for result in made.results
        ]
        return {
            "rulebook": made.rulebook,
            "digest": made.digest,
            "judged_by": self._by(waivers),
            "at": plain(made.at),
            "gaps": [r.rule for r in made.of(Outcome.FAIL)],
            "unknown": [r.rule for r in made.of(Outcome.INCONCLUSIVE)],
            "waived": [r.rule for r in made.of(Outcome.WAIVED)],
            "rules": rules,
        }


def evaluation_of(reading: Reading, entry: Entry) -> Evaluation:
    """How a record stood when it was judged, with the words of the rules of then."""
    kept = entry.compliance
    book = rulebook_store.rulebook(reading, str(kept["digest"]))
    return evaluation_by(book, entry)


def evaluation_by(book: Rulebook, entry: Entry) -> Evaluation:
    """The same, where the rules of then are at hand."""
    kept = entry.compliance
    results = [_whole(book, said) for said in kept["rules"]]
    told = {
        "model": entry.record.model,
        "version": entry.record.version,
        "rulebook": kept["rulebook"],
        "digest": kept["digest"],
        "at": kept["at"],
        "results": results,
    }
    return Evaluation.read(told)


def _whole(book: Rulebook, said: Mapping[str, Any]) -> dict[str, Any]:
    rule = book.rule(said["rule"])
    assert rule is not None
    words = ("title", "severity", "regulations", "remedy")
    return {**said, **{name: plain(getattr(rule, name)) for name in words}}


@dataclass(frozen=True)
class Standing:
    """How the inventory stands by one rule: versions by outcome."""

    rule: str
    passed: int = 0
    gaps: int = 0
    waived: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Compliance:
    """How the inventory stands: by rule, and by what the rules refer to."""

    rulebook: Rulebook
    standing: tuple[Standing, ...]
    frameworks: tuple[Readiness, ...]


def compliance(reading: Reading, judge: Judge, actor: Actor) -> Compliance:
    """How all records of the actor's stand by the rules they were judged by last."""
    books: dict[str, Rulebook] = {judge.rulebook.digest: judge.rulebook}
    by_rule: dict[str, Counter[Outcome]] = defaultdict(Counter)
    by_framework: dict[Framework, Counter[Outcome]] = {name: Counter() for name in Framework}
    for digest, outcomes, records in store.outcomes(reading, tenant=actor.tenant):
        if digest not in books:
            books[digest] = rulebook_store.rulebook(reading, digest)
        for rule, outcome in zip(books[digest].rules, outcomes, strict=True):
            by_rule[rule.id][outcome] += records
            for framework in {said.framework for said in rule.regulations}:
                by_framework[framework][outcome] += records
    return Compliance(
        judge.rulebook,
        tuple(Standing(rule.id, **_told(by_rule[rule.id])) for rule in judge.rulebook.rules),
        tuple(Readiness(name, **_told(found)) for name, found in by_framework.items()),
    )


def _told(outcomes: Counter[Outcome]) -> dict[str, int]:
    """Counts of outcomes by the names that `Standing` and `Readiness` have for them."""
    return {
        "passed": outcomes[Outcome.PASS],
        "gaps": outcomes[Outcome.FAIL],
        "waived": outcomes[Outcome.WAIVED],
        "unknown": outcomes[Outcome.INCONCLUSIVE],
    }


def previewed(reading: Reading, judge: Judge, actor: Actor, text: str) -> Preview:
    """What other rules would change on the records of the actor's, with the waivers that hold
    now: a gap that somebody answers for is a waived one by other rules, too, as far as these
    let it be waived.

    Raises:
        InvalidInput: they are no rules; the place is named.
    """
    other = load_rulebook(text, "rulebook")
    held: dict[str, list[Waiver]] = {}
    for connection in connection_store.every(reading, tenant=actor.tenant):
        found = waiver_store.holding(reading, connection.id, reading.now)
        held[connection.id] = [one.waiver for one in found]
    records = ((e.record, held.get(e.connection, [])) for e in each(reading, actor, Filter()))
    return preview(records, judge.rulebook, other, now=reading.now)


def each(
    reading: Reading, actor: Actor, wanted: Filter, *, moment: datetime | None = None
) -> Iterator[Entry]:
    """Every record of the actor's, a page at a time."""
    after: tuple[str, int, str] | None = None
    while True:
        found = store.listed(
            reading, wanted, tenant=actor.tenant, moment=moment, after=after, limit=_PAGE
        )
        yield from found
        if len(found) < _PAGE:
            return
        last = found[-1]
        after = store.stored_name(last.record.model), last.record.version, last.id


def grant(
    parts: Parts,
    actor: Actor,
    judge: Judge,
    *,
    record_id: str,
    rule: str,
    whole_model: bool,
    expires_at: datetime,
    reason: str,
    then: Then[Granted] = nothing_more,
) -> Granted:
    """Let somebody answer for a gap until a day; the record is judged anew with it.

    Raises:
        NotFound: there is no such record of the actor's.
        InvalidInput: no such rule, one that cannot be waived, or an end that it cannot have.
    """
    with parts.records.begin(actor, reason=reason) as work:
        head = visible_record(work, actor, record_id)
        demand_say(actor, head.tenant)
        entry = store.at(work, head.id)
        assert entry is not None
        waiver = Granted(
            id=new_id("wav"),
            tenant=head.tenant,
            rule=rule,
            connection=head.connection,
            model=entry.record.model,
            version=None if whole_model else entry.record.version,
            reason=reason,
            granted_by=actor.id,
            granted_at=work.now,
            expires_at=expires_at,
        )
        demand_waiver(waiver.waiver, judge.rulebook)
        event = WaiverGranted(
            waiver.id,
            waiver.tenant,
            rule,
            waiver.connection,
            waiver.model,
            waiver.version,
            expires_at,
        )
        made = waiver_store.add(work, waiver, event)
        judge.again(work, connection_store.get(work, head.connection), [entry])
        then(work, made)
        return made


def revoke(
    parts: Parts, actor: Actor, waiver_id: str, *, reason: str, then: Then[Granted] = nothing_more
) -> Granted:
    """Let a waiver count no more; what it was about is judged anew soon.

    Raises:
        NotFound: there is no such waiver of the actor's.
        InvalidMove: it was revoked before.
    """
    with parts.records.begin(actor, reason=reason) as work:
        waiver = waiver_store.get(work, waiver_id)
        if actor.tenant is not None and waiver.tenant != actor.tenant:
            raise NotYours("there is no such waiver", field="waiver")
        if waiver.revoked_at is not None:
            raise InvalidMove("this waiver was revoked before")
        event = WaiverRevoked(waiver.id, waiver.tenant, waiver.rule, waiver.model)
        moved = dataclasses.replace(waiver, revoked_at=work.now)
        made = waiver_store.save(work, moved, event)
        then(work, made)
        return made


def due(judge: Judge) -> Any:
    """Connections with records that were judged by other rules, or other waivers."""

    def found(reading: Reading) -> list[tuple[str, str]]:
        waiting = list[tuple[str, str]]()
        for connection in connection_store.every(reading):
            by = judge.by(reading, connection.id)
            first = store.stale(reading, connection.id, by, limit=1)
            if first:  # the same rules and waivers may hold again that held before
                waiting.append((connection.id, reading.moment))
        return waiting

    return found


def turn(parts: Parts, judge: Judge, connection_id: str) -> None:
    """Judge the records of a connection anew that were judged by something else."""
    while True:
        with parts.records.begin(_JUDGING, reason="the rules or waivers are other ones") as work:
            connection = connection_store.get(work, connection_id)
            by = judge.by(work, connection_id)
            stale = store.stale(work, connection_id, by, limit=_TOGETHER)
            judge.again(work, connection, list(store.current(work, stale).values()))
        if len(stale) < _TOGETHER:
            return


def _standing(kept: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What of a judgement makes another one, if it changes."""
    return [(r["rule"], r["version"], r["outcome"], r["waiver"]) for r in kept.get("rules", ())]


def _chosen(parts: Parts) -> tuple[Rulebook, str]:
    path = parts.settings.rulebook
    if path is None:
        return load_rulebook(default_text()), default_text()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"the rulebook {path} cannot be read: {error}", remedy="correct TRIMTAB_RULEBOOK"
        ) from error
    return load_rulebook(text, path.name), text
