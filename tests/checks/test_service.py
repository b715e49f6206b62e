"""What was found is kept, all of it; the newest run of each check counts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.checks import service, store
from trimtab.checks.model import CheckRun, Result, conclude
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import CheckRunId, Digest
from trimtab.kernel.verdict import Verdict

BYTES = Digest("sha256:" + "a" * 64)


def keep(records: Records, attempt: int, **verdicts: Verdict) -> list[CheckRun]:
    results = [Result(name, v, f"it is {v.value}", {"n": 1.5}) for name, v in verdicts.items()]
    with records.begin(system("intake"), reason="r") as work:
        return service.keep(
            work,
            results,
            model="delays",
            tenant=None,
            version_id="ver_1",
            version="1.0.0",
            digest=BYTES,
            policy_digest="sha256:p",
            attempt=attempt,
        )


def kept(records: Records) -> list[CheckRun]:
    with records.look() as reading:
        return store.of_version(reading, "ver_1")


def test_what_was_kept_is_what_was_found(records: Records) -> None:
    made = keep(records, 1, schema=Verdict.PASS, performance=Verdict.INCONCLUSIVE)
    assert sorted(kept(records), key=lambda r: r.name) == sorted(made, key=lambda r: r.name)
    with records.look() as reading:
        entries = ledger.entries(reading.connection, kinds=["check.finished"])
    assert [e.data and e.data["verdict"] for e in entries] == ["pass", "inconclusive"]


def test_an_attempt_is_kept_once_whatever_it_says_the_second_time(records: Records) -> None:
    keep(records, 1, schema=Verdict.FAIL)
    again = keep(records, 1, schema=Verdict.PASS)
    assert [r.verdict for r in again] == [Verdict.FAIL]
    assert len(kept(records)) == 1


def test_tried_until_it_passed_shows_every_try(records: Records, clock: SteppedClock) -> None:
    for attempt, verdict in enumerate([Verdict.FAIL, Verdict.ERROR, Verdict.PASS], 1):
        keep(records, attempt, schema=verdict)
    runs = kept(records)
    assert [r.attempt for r in runs] == [1, 2, 3]
    assert conclude(runs, ["schema"]).verdict is Verdict.PASS
    assert conclude(runs[:2], ["schema"]).verdict is Verdict.ERROR
    assert conclude(runs, ["schema"]).digest != conclude(runs[:2], ["schema"]).digest


def test_an_attempt_cut_short_goes_on(records: Records) -> None:
    first = keep(records, 1, schema=Verdict.PASS)
    whole = keep(records, 1, schema=Verdict.PASS, performance=Verdict.PASS)
    assert whole[0] == first[0]
    assert len(kept(records)) == 2


def a_run(name: str, verdict: Verdict, attempt: int, **changes: Any) -> CheckRun:
    return CheckRun(
        id=CheckRunId(f"chk_{name}{attempt}"),
        model="delays",
        tenant=None,
        version_id="ver_1",
        version="1.0.0",
        digest=BYTES,
        name=name,
        verdict=verdict,
        reason="r",
        numbers={},
        policy_digest="p",
        attempt=attempt,
        at=changes.get("at"),  # type: ignore[arg-type]  # nobody looks at it here
    )


def test_what_was_never_run_or_never_asked_is_no_pass() -> None:
    runs = [a_run("schema", Verdict.PASS, 1)]
    conclusion = conclude(runs, ["schema", "performance"])
    assert conclusion.verdict is Verdict.INCONCLUSIVE
    assert conclusion.reasons["performance"] == "it has not been run"
    assert conclude(runs, []).verdict is Verdict.INCONCLUSIVE
    assert conclude([], ["schema"]).verdict is Verdict.INCONCLUSIVE


NAMES = ["artifact_integrity", "schema", "performance"]
runs = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(Verdict), st.integers(1, 4)),
    unique_by=lambda r: (r[0], r[2]),
    max_size=10,
)


@given(runs, st.randoms())
def test_a_pass_means_that_the_newest_of_each_passed(found: list[Any], shuffled: Any) -> None:
    made = [a_run(*r) for r in found]
    conclusion = conclude(made, NAMES)
    newest = {}
    for name, verdict, _ in sorted(found, key=lambda r: r[2]):
        newest[name] = verdict
    passed = len(newest) == 3 and set(newest.values()) == {Verdict.PASS}
    assert (conclusion.verdict is Verdict.PASS) == passed
    assert (conclusion.verdict is Verdict.FAIL) == (Verdict.FAIL in newest.values())
    other = list(made)
    shuffled.shuffle(other)
    assert conclude(other, NAMES) == conclusion
