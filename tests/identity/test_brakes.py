"""Limits of guessing: they grow, they end, and they do not hold up who is known."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from trimtab.identity import brakes as limits
from trimtab.identity.brakes import ACCOUNT, CREDENTIALS, LOG_INS, Brake, Brakes, Limit, Meter
from trimtab.kernel.errors import TooManyRequests

HERE, THERE = "192.0.2.1", "198.51.100.9"
ANN = "ann@example.org"


class Seconds:
    """Real time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def brakes(seconds: Seconds) -> Brakes:
    return Brakes(seconds)


def wait(brakes: Brakes, address: str = HERE, email: str = ANN, *, known: bool = False) -> int:
    """Seconds that an attempt has to wait; 0 if it was begun."""
    try:
        brakes.attempt(address, email, known=known)
    except TooManyRequests as error:
        return error.retry_after_seconds
    return 0


def test_a_wait_doubles_up_to_its_bound(seconds: Seconds) -> None:
    brake = Brake(Limit(3, 1, 30, 3600), seconds)
    waits = []
    for _ in range(12):
        brake.failed("x")
        waits.append(brake.wait("x"))
        seconds.now += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert all(a <= b for a, b in pairwise(waits))
    for _ in range(2000):
        brake.failed("x")
    assert brake.wait("x") == 30, "however often, it ends"


def test_what_is_long_past_does_not_count(seconds: Seconds) -> None:
    brake = Brake(Limit(1, 1, 30, 100), seconds)
    brake.failed("x")
    assert brake.wait("x") == 1
    seconds.now += 100
    brake.failed("x")
    assert brake.wait("x") == 1, "it begins anew"


def test_an_account_is_slowed_down_from_wherever_it_is_tried(
    brakes: Brakes, seconds: Seconds
) -> None:
    for i in range(ACCOUNT.free):
        assert wait(brakes, f"192.0.2.{i}") == 0
    assert wait(brakes, "192.0.2.200") == 1
    assert wait(brakes, "192.0.2.200", "bob@example.org") == 0
    seconds.now += 1
    assert wait(brakes, "192.0.2.200") == 0
    assert wait(brakes, "192.0.2.201") == 2


def test_letters_of_an_address_do_not_make_another_account(brakes: Brakes) -> None:
    for i in range(ACCOUNT.free):
        wait(brakes, f"192.0.2.{i}", ANN.upper() if i % 2 else ANN)
    assert wait(brakes, THERE, "Ann@Example.org") > 0


def test_who_is_known_there_is_not_held_up_by_others(brakes: Brakes) -> None:
    for i in range(1000):
        wait(brakes, f"198.51.100.{i % 200}")
    assert wait(brakes, THERE) > 0
    assert wait(brakes, HERE, known=True) == 0
    brakes.succeeded(HERE, ANN, known=True)
    assert wait(brakes, HERE, known=True) == 0


def test_a_known_place_may_not_guess_for_ever_either(brakes: Brakes) -> None:
    waits = [wait(brakes, known=True) for _ in range(ACCOUNT.free + 1)]
    assert waits[-1] == 1
    assert not any(waits[:-1])


def test_attempts_at_once_are_counted_before_they_fail(brakes: Brakes) -> None:
    begun: list[int] = []
    together = threading.Barrier(40)

    def guess() -> None:
        together.wait()
        begun.append(wait(brakes))

    guesses = [threading.Thread(target=guess) for _ in range(40)]
    for one in guesses:
        one.start()
    for one in guesses:
        one.join()
    assert begun.count(0) == ACCOUNT.free


def test_what_was_right_is_not_counted(brakes: Brakes) -> None:
    for _ in range(200):
        assert wait(brakes) == 0
        brakes.succeeded(HERE, ANN, known=False)


def test_a_success_does_not_wipe_out_what_others_did(brakes: Brakes) -> None:
    for i in range(ACCOUNT.free - 1):
        wait(brakes, f"192.0.2.{i}")
    wait(brakes, HERE)
    brakes.succeeded(HERE, ANN, known=False)
    assert wait(brakes, THERE) == 0
    assert wait(brakes, THERE) == 1


def test_an_address_tries_so_many_accounts(brakes: Brakes, seconds: Seconds) -> None:
    begun = [wait(brakes, HERE, f"{i}@example.org") for i in range(LOG_INS.at_once + 5)]
    assert begun.count(0) == LOG_INS.at_once
    assert wait(brakes, THERE, "other@example.org") == 0
    seconds.now += 600
    begun = [wait(brakes, HERE, f"{i}@example.com") for i in range(100)]
    assert begun.count(0) == LOG_INS.at_once, "it never saves up more"


def test_ten_thousand_keys_a_minute(brakes: Brakes, seconds: Seconds) -> None:
    """Guessed from one address: few of them are looked at."""
    looked_at, waits = 0, set()
    for i in range(10_000):
        seconds.now += 60 / 10_000
        try:
            brakes.look_at(HERE, f"ak_{i}")
        except TooManyRequests as error:
            waits.add(error.retry_after_seconds)
        else:
            looked_at += 1
            brakes.refused(HERE, f"ak_{i}")
    assert looked_at <= CREDENTIALS.at_once + 60
    assert waits <= set(range(1, 61))
    brakes.look_at(THERE, "ak_1")


def test_a_good_key_behind_the_same_address_goes_on(brakes: Brakes) -> None:
    brakes.good(HERE, "ak_ours")
    for i in range(500):
        brakes.refused(HERE, f"ak_{i}")
    brakes.look_at(HERE, "ak_ours")
    with pytest.raises(TooManyRequests):
        brakes.look_at(HERE, "ak_new")


def test_one_stale_key_does_not_hold_up_its_neighbours(brakes: Brakes, seconds: Seconds) -> None:
    """A program that nobody has told of its revoked key, asking every second for an hour."""
    for _ in range(3600):
        seconds.now += 1
        try:
            brakes.look_at(HERE, "ak_stale")
        except TooManyRequests:
            continue
        brakes.refused(HERE, "ak_stale")
    brakes.look_at(HERE, "ak_new")
    with pytest.raises(TooManyRequests):
        brakes.look_at(HERE, "ak_stale")


def test_memory_is_bounded(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_NAMES", 50)
    brake, meter, brakes = Brake(ACCOUNT, seconds), Meter(LOG_INS, seconds), Brakes(seconds)
    for i in range(500):
        brake.failed(str(i))
        meter.failed(str(i))
        brakes.good(HERE, str(i))
    assert len(brake._tallies) == len(meter._left) == len(brakes._good) == 50
