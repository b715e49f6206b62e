"""The words that every room shares: one JSON form, one order of verdicts, one clock."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, StrEnum
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import errors
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.clock import SteppedClock, SystemClock, begin_of, iso, parse_iso
from trimtab.kernel.events import Event, canonical, plain
from trimtab.kernel.ids import ALPHABET, Ids, TenantId, new_id
from trimtab.kernel.verdict import Verdict, worst

NOW = datetime(2015, 3, 1, tzinfo=UTC)
moments = st.datetimes(
    datetime(1000, 1, 2),  # noqa: DTZ001  # the time zones are drawn beside it
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)
verdicts = st.lists(st.sampled_from(Verdict), max_size=8)


class Shade(StrEnum):
    DARK = "dark"


class Number(Enum):
    ONE = 1


@dataclass(frozen=True)
class Point:
    x: float
    at: datetime


@dataclass(frozen=True)
class Moved(Event):
    """Something moved."""

    kind: ClassVar[str] = "point.moved"

    point: Point
    by: float


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | moments
    | st.sampled_from([Shade.DARK, Number.ONE])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.frozensets(st.text(max_size=3), max_size=4)
    ),
    max_leaves=20,
)


def has_half_a_pair(value: Any) -> bool:
    return any("\ud800" <= ch <= "\udfff" for ch in json.dumps(value, ensure_ascii=False))


@given(values)
def test_the_canonical_form_is_read_back_as_itself(value: Any) -> None:
    if has_half_a_pair(plain(value)):
        with pytest.raises(UnicodeEncodeError):
            canonical(value)
        return
    text = canonical(value)
    again = json.loads(text)
    assert again == plain(value)
    assert canonical(again) == text, "one value, one text"


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=6), st.randoms())
def test_the_order_of_keys_and_of_sets_does_not_matter(value: dict[str, int], rng: Any) -> None:
    keys = list(value)
    rng.shuffle(keys)
    if not has_half_a_pair(value):
        assert canonical({k: value[k] for k in keys}) == canonical(value)
        assert canonical(frozenset(keys)) == canonical(frozenset(value))


@given(st.floats())
def test_no_float_that_is_no_number_stays_one(value: float) -> None:
    found = plain(value)
    if math.isfinite(value):
        assert found == value
        assert isinstance(found, float)
    else:
        assert found in ("nan", "inf", "-inf")


def test_forms() -> None:
    event = Moved(subject="p_1", tenant=TenantId("aa"), point=Point(0.5, NOW), by=math.nan)
    at = "2015-03-01T00:00:00.000000Z"
    assert event.payload() == {"point": {"x": 0.5, "at": at}, "by": "nan"}
    assert canonical({"é": Shade.DARK, "a": Number.ONE}) == '{"a":1,"é":"dark"}'.encode()
    assert canonical({1: True, None: 2}) == b'{"1":true,"None":2}'


@pytest.mark.parametrize(
    "value", [b"bytes", object(), Point, 1j, {"a": [b""]}, range(2)], ids=lambda v: type(v).__name__
)
def test_what_has_no_one_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_events_do_not_change() -> None:
    event = Moved(subject="p_1", tenant=None, point=Point(0.5, NOW), by=1.0)
    with pytest.raises(FrozenInstanceError):
        event.by = 2.0  # type: ignore[misc]  # what the test is about


@given(verdicts)
def test_the_worst_of_several(found: list[Verdict]) -> None:
    verdict = worst(found)
    assert verdict in found or (not found and verdict is Verdict.INCONCLUSIVE)
    assert (verdict is Verdict.PASS) == (bool(found) and set(found) == {Verdict.PASS})
    assert (verdict is Verdict.FAIL) == (Verdict.FAIL in found)


@given(verdicts, verdicts)
def test_more_looks_never_make_it_better(some: list[Verdict], more: list[Verdict]) -> None:
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]
    if some:
        assert order.index(worst(some + more)) >= order.index(worst(some))
    assert worst(some + more) == worst(more + some)


@given(moments, moments)
def test_moments_as_text(one: datetime, other: datetime) -> None:
    assert parse_iso(iso(one)) == one
    assert (iso(one) < iso(other)) == (one < other)
    assert len(iso(one)) == 27


@pytest.mark.parametrize("text", ["2015-03-01", "2015-03-01T00:00:00", "", "now", "1425168000"])
def test_a_time_without_its_offset_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_iso(text)


@given(st.lists(moments, max_size=10))
def test_a_stepped_clock_never_goes_back(wishes: list[datetime]) -> None:
    clock = SteppedClock(NOW)
    highest = NOW
    for wish in wishes:
        highest = max(highest, wish)
        assert clock.step_to(wish) == highest == clock.now()
        assert clock.now().tzinfo == UTC


def test_a_stepped_clock_stands_still_and_is_safe_between_threads() -> None:
    clock = SteppedClock(NOW)
    assert clock.now() == clock.now() == NOW
    seen: list[datetime] = []

    def run(n: int) -> None:
        for i in range(200):
            clock.step_to(NOW + timedelta(seconds=i * 8 + n))
            seen.append(clock.now())

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == max(seen) == NOW + timedelta(seconds=1599)


@given(moments, st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=9)))
def test_moments_of_one_stretch_begin_together(moment: datetime, grain: timedelta) -> None:
    begin = begin_of(moment, grain)
    assert begin <= moment < begin + grain
    assert begin_of(begin, grain) == begin == begin_of(begin + grain - timedelta.resolution, grain)
    assert begin_of(moment, timedelta(0)) == moment


def test_the_clock_of_the_machine_is_in_utc() -> None:
    assert SystemClock().now().tzinfo == UTC


def test_ids_are_readable_and_do_not_repeat() -> None:
    made = {new_id("ver") for _ in range(2000)}
    assert len(made) == 2000
    assert all(i[:4] == "ver_" and len(i) == 20 and set(i[4:]) <= set(ALPHABET) for i in made)
    assert not set("ilou") & set(ALPHABET)


def test_ids_are_in_the_order_in_which_they_were_made() -> None:
    made = [new_id("rem") for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_of_two_makers_differ_though_they_are_made_at_once() -> None:
    clock = SteppedClock(NOW)
    one, other = Ids(clock), Ids(clock)
    drawn = [maker.next() for _ in range(1000) for maker in (one, other)]
    assert len(set(drawn)) == 2000
    assert drawn[0::2] == sorted(drawn[0::2])


def test_ids_go_on_upwards_when_the_clock_of_the_machine_goes_back() -> None:
    clocks = [SteppedClock(NOW), SteppedClock(NOW - timedelta(days=1))]
    ids = Ids(clocks[0])
    first = ids.next()
    ids.clock = clocks[1]
    assert first < ids.next() < ids.next()


def test_nothing_is_allowed_that_was_not_granted() -> None:
    actor = Actor("usr_1", ActorKind.PERSON, None, frozenset({"models:read"}))
    assert actor.may("models:read")
    for other in ("models:register", "models:*", "*", "", "models", "MODELS:READ"):
        assert not actor.may(other)
    assert system("watch").permissions == frozenset()
    assert system("watch").person is None


def test_every_error_has_a_code_of_its_own_and_no_number() -> None:
    found = [v for v in vars(errors).values() if isinstance(v, type)]
    kinds = [v for v in found if issubclass(v, errors.TrimtabError)]
    codes = [kind.code for kind in kinds if "code" in vars(kind)]
    assert len(set(codes)) == len(codes) == 13
    # What is refused for a grave reason must read like what is refused for an ordinary one.
    alike = {kind for kind in kinds if "code" not in vars(kind)}
    assert alike == {errors.NotYours, errors.OtherBytes}
    assert not any(ch.isdigit() for code in codes for ch in code)
    raised = errors.Conflict("what", field="f", remedy="r")
    assert (str(raised), raised.message, raised.field, raised.remedy) == ("what", "what", "f", "r")


def test_the_kernel_needs_nothing_but_python() -> None:
    names = ("actor", "clock", "errors", "events", "ids", "verdict")
    code = (
        "import sys; before = set(sys.modules);"
        + ";".join(f"import trimtab.kernel.{name}" for name in names)
        + ";new = {m.split('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'trimtab'}))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
