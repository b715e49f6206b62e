"""Those who only ask share a look; what befalls one of them is nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from tests.audit.test_reactions import counted

from trimtab.api.shared_looks import SharedLooks, Steps
from trimtab.audit.work import Look, Reading, Records, Wanted
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import NotFound, TrimtabError, Unavailable
from trimtab.platform.database import Database


@pytest.fixture
def records(either_database: Database, clock: SteppedClock) -> Records:
    return Records(either_database, clock)


@pytest.fixture
def looks(records: Records) -> Iterator[SharedLooks]:
    made = SharedLooks(records)
    yield made
    made.close()


def at_once(question: Callable[[Reading], Any]) -> Callable[[Look], Steps[Any]]:
    """A question of one step."""

    def steps(look: Look) -> Steps[Any]:
        yield ()
        return question(look)

    return steps


def one(reading: Reading) -> int:
    found: int = reading.connection.execute(sa.text("SELECT 1")).scalar_one()
    return found


def waiting_for(event: threading.Event, looked: threading.Event) -> Callable[[Reading], int]:
    def wait(reading: Reading) -> int:
        looked.set()
        assert event.wait(60)
        return one(reading)

    return wait


def asked(looks: SharedLooks, *questions: Callable[[Reading], Any]) -> list[Any]:
    """The answers to what is asked while the first question still waits."""
    return stepped(looks, *map(at_once, questions))


def stepped(looks: SharedLooks, *questions: Callable[[Look], Steps[Any]]) -> list[Any]:
    """The same, of questions of several steps."""
    return asyncio.run(_asked(looks, questions))


async def _asked(
    looks: SharedLooks, questions: tuple[Callable[[Look], Steps[Any]], ...]
) -> list[Any]:
    everybody, looked = threading.Event(), threading.Event()
    first = asyncio.ensure_future(looks.ask(at_once(waiting_for(everybody, looked))))
    while not looked.is_set():
        await asyncio.sleep(0.001)
    others: list[Awaitable[Any]] = [
        asyncio.ensure_future(looks.ask(question)) for question in questions
    ]
    await asyncio.sleep(0)
    everybody.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert answers[0] == 1
    return list(answers[1:])


def test_all_who_wait_are_answered_in_one_look(looks: SharedLooks, records: Records) -> None:
    with counted(records.database) as seen:
        assert asked(looks, *[one] * 10) == [1] * 10
    assert seen["transactions"] == 2, "the first one's, and that of all who came meanwhile"


def doubled(reading: Reading, keys: Sequence[int]) -> dict[int, int]:
    """Asks once for all: of each even key its double, of an odd one nothing; zero is an error."""
    asked = "SELECT nothing FROM nowhere" if 0 in keys else "SELECT 1"
    reading.connection.execute(sa.text(asked))
    return {key: 2 * key for key in keys if key % 2 == 0}


def doubling(key: int) -> Callable[[Look], Steps[int | None]]:
    """Looks for the double of a number, and for the double of that."""

    def steps(look: Look) -> Steps[int | None]:
        yield (Wanted(doubled, key),)
        first = look.get(doubled, key)
        if first is None:
            raise NotFound(f"there is none of {key}")
        yield (Wanted(doubled, first),)
        return look.get(doubled, first)

    return steps


def test_what_all_look_for_next_is_one_query(looks: SharedLooks, records: Records) -> None:
    with counted(records.database) as seen:
        answers = stepped(looks, *map(doubling, (2, 4, 6, 8, 10, 2)))
    assert answers == [8, 16, 24, 32, 40, 8]
    assert seen["SELECT"] == 3, "that of the first who waited, and one for each step"


def test_who_is_refused_at_one_step_is_not_there_at_the_next(looks: SharedLooks) -> None:
    answers = stepped(looks, *map(doubling, (2, 3, 4)))
    assert (answers[0], answers[2]) == (8, 16)
    assert isinstance(answers[1], NotFound)


def test_what_cannot_be_looked_for_is_told_to_whoever_wanted_it(looks: SharedLooks) -> None:
    answers = stepped(looks, *map(doubling, (2, 0, 4)))
    assert (answers[0], answers[2]) == (8, 16)
    assert isinstance(answers[1], sa.exc.DBAPIError | TrimtabError)


def test_what_was_not_announced_is_found_all_the_same(looks: SharedLooks) -> None:
    assert asked(looks, lambda reading: reading.get(doubled, 2)) == [4]


def test_what_is_refused_concerns_nobody_else(looks: SharedLooks, records: Records) -> None:
    def refuse(_: Reading) -> None:
        raise NotFound("there is none")

    with counted(records.database) as seen:
        before, refused, after = asked(looks, one, refuse, one)
    assert (before, after) == (1, 1)
    assert isinstance(refused, NotFound)
    assert seen["transactions"] == 2


def test_what_ends_a_look_is_told_to_whom_it_befell(looks: SharedLooks) -> None:
    def ask_nonsense(reading: Reading) -> None:
        reading.connection.execute(sa.text("SELECT nothing FROM nowhere"))

    def fail(_: Reading) -> None:
        raise ZeroDivisionError

    before, broken, middle, failed, after = asked(looks, one, ask_nonsense, one, fail, one)
    assert (before, middle, after) == (1, 1, 1)
    assert isinstance(broken, sa.exc.DBAPIError | Unavailable)
    assert isinstance(failed, ZeroDivisionError)


@pytest.mark.parametrize("ending", [StopIteration, SystemExit])
def test_what_would_end_a_loop_is_an_error_like_others(
    looks: SharedLooks, ending: type[BaseException]
) -> None:
    def end(_: Reading) -> None:
        raise ending

    before, ended, after = asked(looks, one, end, one)
    assert (before, after) == (1, 1)
    assert isinstance(ended, RuntimeError)
    assert asked(looks, one) == [1]


def test_after_the_end_nobody_waits(looks: SharedLooks) -> None:
    looks.close()
    with pytest.raises(Unavailable, match="ending"):
        asyncio.run(looks.ask(at_once(one)))


def test_whoever_waits_at_the_end_is_told(looks: SharedLooks) -> None:
    async def ended() -> list[Any]:
        gate, looked = threading.Event(), threading.Event()
        first = asyncio.ensure_future(looks.ask(at_once(waiting_for(gate, looked))))
        while not looked.is_set():
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(looks.ask(at_once(one)))
        await asyncio.sleep(0)
        looks.close()
        gate.set()
        return list(await asyncio.gather(first, second, return_exceptions=True))

    first, second = asyncio.run(ended())
    assert first == 1
    assert isinstance(second, Unavailable)


def test_where_no_look_can_be_had_everybody_is_told(
    looks: SharedLooks, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unavailable("the database is away", remedy="wait")

    def gone(*_: object, **__: object) -> None:
        away()

    async def three() -> list[Any]:
        return await asyncio.gather(
            *(looks.ask(at_once(one)) for _ in range(3)), return_exceptions=True
        )

    monkeypatch.setattr(records, "look", gone)
    answers = asyncio.run(three())
    assert [type(answer) for answer in answers] == [Unavailable] * 3


def test_whoever_waits_no_more_holds_up_nobody(looks: SharedLooks) -> None:
    async def left() -> int:
        gate, looked = threading.Event(), threading.Event()
        leaving = asyncio.ensure_future(looks.ask(at_once(waiting_for(gate, looked))))
        while not looked.is_set():
            await asyncio.sleep(0.001)
        leaving.cancel()
        gate.set()
        answer: int = await looks.ask(at_once(one))
        return answer

    assert asyncio.run(left()) == 1


def test_a_question_is_answered_by_what_was_written_before_it(
    looks: SharedLooks, records: Records
) -> None:
    with records.database.write() as connection:
        connection.execute(sa.text("CREATE TABLE said (word integer)"))

    def words(reading: Reading) -> int:
        found: int = reading.connection.execute(sa.text("SELECT count(*) FROM said")).scalar_one()
        return found

    async def told() -> None:
        for number in range(50):
            with records.database.write() as connection:
                connection.execute(sa.text("INSERT INTO said VALUES (1)"))
            assert await looks.ask(at_once(words)) == number + 1

    asyncio.run(told())
