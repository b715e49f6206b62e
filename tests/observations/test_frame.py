"""Predictions and labels, late, doubled and out of order, come together once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from trimtab.audit.work import Early, Records
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidInput
from trimtab.observations import store
from trimtab.observations.batches import labels_batch, parse_labels, parse_predictions
from trimtab.observations.frame import Frame, load
from trimtab.platform.database import Database

DAY = timedelta(days=1)


class Feed:
    """What arrives, each batch a second after the one before."""

    def __init__(self, records: Records, clock: SteppedClock, ship: SimpleNamespace):
        self.records, self.clock, self.ship = records, clock, ship

    def predict(
        self, batch_id: str, batch: pa.Table, by: Actor | None = None, *, at_once: bool = False
    ) -> store.Receipt:
        body = self.ship.stream(batch)
        if not at_once:
            self._tick()
        delivery = store.Delivery(store.PREDICTIONS, batch_id, parse_predictions(body))
        return self._keep(by or system("gateway"), delivery)

    def label(self, batch_id: str, ids: Sequence[str], labels: Sequence[int]) -> store.Receipt:
        body = labels_batch(ids, [0] * len(ids), labels)
        self._tick()
        delivery = store.Delivery(store.LABELS, batch_id, parse_labels("flights", body))
        return self._keep(system("feed"), delivery)

    def _keep(self, by: Actor, delivery: store.Delivery) -> store.Receipt:
        with self.records.begin(by, reason="shipped", before=delivery.bring) as work:
            return delivery.keep(work)

    def frame(
        self,
        start: datetime | None = None,
        length: timedelta = DAY,
        *,
        model: str = "flights",
        features: Sequence[str] = ("airline", "distance_miles"),
    ) -> Frame:
        start = start or self.ship.start
        with self.records.look() as reading:
            return load(reading, model, start, start + length, features=features)

    def _tick(self) -> None:
        self.clock.step_to(self.clock.now() + timedelta(seconds=1))


@pytest.fixture
def feed(either_database: Database, clock: SteppedClock, ship: SimpleNamespace) -> Feed:
    return Feed(Records(either_database, clock), clock, ship)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (["X.0", "X.1"], ["b", "a"]),
        (["X.1", "X.0"], ["a", "b"]),
        (["a", "X.0"], ["a", "X.0"]),
        (["X.0", "X.2"], ["X.0", "X.2"]),
        (["X.0", "Y.1"], ["X.0", "Y.1"]),
        (["X.0"], ["X.0"]),
        (["X.0", "X.1", "X.2"], ["X.0", "X.1", "X.2"]),
    ],
)
def test_a_matrix_without_names_has_those_of_the_registered_features(
    feed: Feed, ship: SimpleNamespace, sent: list[str], found: list[str]
) -> None:
    bare = ship.table(ship.keys(1)).drop_columns(["in.distance_miles", "in.airline"])
    for number, name in enumerate(sent):
        bare = bare.append_column(f"in.{name}", pa.array([float(number)]))
    feed.predict("b1", bare)
    features = feed.frame(features=("b", "a")).features
    assert {name: column[0] for name, column in features.items()} == {
        name: float(n) for n, name in enumerate(found)
    }


def test_a_frame_has_what_was_shipped(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(4)
    airlines = pa.array(["UA", None, "AA", "UA"])
    miles = pa.array([1.0, None, 3.0, 4.0], pa.float32())
    feed.predict("b1", ship.table(ids, in__airline=airlines, in__distance_miles=miles))
    feed.label("l1", ids[:2], [1, 0])
    frame = feed.frame()
    assert len(frame) == 4
    np.testing.assert_array_equal(frame.label, [1, 0, -1, -1])
    np.testing.assert_array_equal(frame.known, [True, True, False, False])
    np.testing.assert_array_equal(frame.features["distance_miles"], [1.0, np.nan, 3.0, 4.0])
    assert frame.features["airline"].tolist() == ["UA", None, "AA", "UA"]
    np.testing.assert_allclose(frame.score, 0.75)
    assert frame.tenant.tolist() == ["UA"] * 4
    assert frame.at[1] - frame.at[0] == np.timedelta64(1, "m")
    assert frame.where(frame.known).features["airline"].tolist() == ["UA", None]


def test_the_same_batch_again_is_known_and_counts_once(feed: Feed, ship: SimpleNamespace) -> None:
    batch = ship.table(ship.keys(10))
    receipts = [feed.predict("b1", batch) for _ in range(3)]
    assert receipts == [
        store.Receipt(10, duplicate=False),
        store.Receipt(10, duplicate=True),
        store.Receipt(10, duplicate=True),
    ]
    assert len(feed.frame()) == 10


def test_an_id_that_comes_back_with_other_bytes_is_a_conflict(
    feed: Feed, ship: SimpleNamespace
) -> None:
    feed.predict("b1", ship.table(ship.keys(10)))
    with pytest.raises(Conflict) as caught:
        feed.predict("b1", ship.table(ship.keys(9)))
    assert caught.value.field == "Idempotency-Key"
    feed.label("l1", ship.keys(3), [0, 1, 0])
    with pytest.raises(Conflict):
        feed.label("l1", ship.keys(3), [0, 1, 1])
    assert len(feed.frame()) == 10


def test_one_that_is_sent_several_times_at_once_is_kept_once(
    feed: Feed, ship: SimpleNamespace
) -> None:
    batch = ship.table(ship.keys(10))

    def send(_: int) -> store.Receipt:
        return feed.predict("b-1", batch, at_once=True)

    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(send, range(8)))
    assert sorted(r.duplicate for r in receipts) == [False] + [True] * 7


def test_a_batch_is_received_when_its_turn_has_come(feed: Feed, ship: SimpleNamespace) -> None:
    """Whoever judged a window meanwhile did not see it."""
    body = ship.stream(ship.table(ship.keys(10)))
    delivery = store.Delivery(store.PREDICTIONS, "b-1", parse_predictions(body))

    def bring(early: Early) -> None:
        delivery.bring(early)
        feed.clock.step_to(feed.clock.now() + timedelta(minutes=1))

    with feed.records.begin(system("gateway"), reason="shipped", before=bring) as work:
        delivery.keep(work)
    with feed.records.look() as reading:
        (row,) = reading.rows(sa.select(store.PREDICTIONS.c.received_at))
    assert row["received_at"] == feed.clock.now()


def test_two_senders_may_use_the_same_batch_id(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(6)
    feed.predict("b1", ship.table(ids[:3]), by=system("gateway-1"))
    feed.predict("b1", ship.table(ids[3:]), by=system("gateway-2"))
    assert len(feed.frame()) == 6


def test_rows_that_come_in_three_batches_count_once(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(9)
    feed.predict("b1", ship.table(ids))
    feed.predict("b2", ship.table(ids[::-1]))
    feed.predict("b3", ship.table(ids[3:] + ids[3:]))
    for n in range(3):
        feed.label(f"l{n}", ids + ids, [1, 0, 0] * 6)
    frame = feed.frame()
    assert len(frame) == 9
    np.testing.assert_array_equal(frame.label, [1, 0, 0] * 3)


def test_rows_of_one_call_are_different_predictions(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(1) * 5
    feed.predict("b1", ship.table(ids, row=pa.array(range(5), pa.int32())))
    assert len(feed.frame()) == 5


def test_labels_in_any_order_meet_their_predictions(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(300)
    truth = np.random.default_rng(1).integers(0, 2, size=300)
    order = np.random.default_rng(2).permutation(300)
    for n, part in enumerate(np.array_split(order, 7)):
        feed.label(f"l{n}", [ids[i] for i in part], truth[part].tolist())
    for n, part in enumerate(np.array_split(order[::-1], 5)):
        feed.predict(f"b{n}", ship.table([ids[i] for i in part]))
    frame = feed.frame()
    minutes = (frame.at - frame.at.min()) // np.timedelta64(1, "m")
    np.testing.assert_array_equal(frame.label, truth[minutes.astype(int)])


def test_a_label_that_comes_two_days_late_is_joined(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(3)
    feed.predict("b1", ship.table(ids))
    assert not feed.frame().known.any()
    feed.clock.step_to(ship.start + 2 * DAY)
    feed.label("l1", ids, [1, 1, 0])
    np.testing.assert_array_equal(feed.frame().label, [1, 1, 0])


def test_the_newest_label_holds(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(2)
    feed.predict("b1", ship.table(ids))
    feed.label("z", ids, [0, 0])
    feed.label("a", ids[:1], [1])
    np.testing.assert_array_equal(feed.frame().label, [1, 0])


def test_labels_of_unknown_predictions_change_nothing(feed: Feed, ship: SimpleNamespace) -> None:
    feed.predict("b1", ship.table(ship.keys(2)))
    strangers = [ship.key(ship.start + timedelta(minutes=5), n) for n in range(90, 93)]
    feed.label("l1", strangers, [1, 1, 1])
    np.testing.assert_array_equal(feed.frame().label, [-1, -1])


def test_a_window_takes_its_first_moment_and_not_its_last(
    feed: Feed, ship: SimpleNamespace
) -> None:
    times = [ship.start - timedelta(milliseconds=1), ship.start, ship.start + DAY]
    feed.predict("b1", ship.table([ship.key(when, n) for n, when in enumerate(times)]))
    assert len(feed.frame()) == 1
    assert len(feed.frame(ship.start - DAY, 3 * DAY)) == 3


def test_a_window_without_a_prediction_is_no_empty_frame(feed: Feed, ship: SimpleNamespace) -> None:
    with pytest.raises(InvalidInput, match="no prediction"):
        feed.frame()
    around = [ship.key(ship.start - DAY), ship.key(ship.start + 3 * DAY)]
    feed.predict("b1", ship.table(around))
    with pytest.raises(InvalidInput, match="no prediction"):
        feed.frame()


def test_batches_of_other_widths_come_together(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(8)
    whole = pa.array([2**60 + 1, 7], pa.int64())
    feed.predict("b1", ship.table(ids[:2], in__distance_miles=whole))
    feed.predict(
        "b2",
        ship.table(
            ids[2:4],
            row=pa.array([0, 0], pa.uint8()),
            latency_ms=pa.array([1.0, 2.0], pa.float32()),
            tenant=pa.nulls(2),
            at=ship.table(ids[2:4])["at"].cast(pa.timestamp("ns", tz="UTC")),
        ),
    )
    feed.predict("b3", ship.table(ids[4:6], in__distance_miles=None, in__new=pa.array([1, 2])))
    feed.predict("b4", ship.table(ids[6:], in__distance_miles=pa.nulls(2)))
    frame = feed.frame()
    assert len(frame) == 8
    assert frame.features["distance_miles"].dtype == np.float64
    np.testing.assert_array_equal(np.isnan(frame.features["distance_miles"]), [0] * 4 + [1] * 4)
    assert frame.tenant.tolist() == ["UA", "UA", None, None, "UA", "UA", "UA", "UA"]


def test_rows_of_one_moment_have_one_order_whatever_their_batches_are_called(
    feed: Feed, ship: SimpleNamespace
) -> None:
    ids = [ship.key(ship.start, number) for number in range(6)]
    ways = {"clear": ("b1", "b2", "b3"), "drawn": ("b8", "b5", "b6")}
    read = {}
    for model, names in ways.items():
        for name, place in zip(names, (0, 2, 4), strict=True):
            miles = pa.array([float(place), place + 1.0])
            batch = ship.table(
                ids[place : place + 2], model=pa.array([model] * 2), in__distance_miles=miles
            )
            feed.predict(name, batch, at_once=True)
        read[model] = feed.frame(model=model).features["distance_miles"].tolist()
    assert read["clear"] == read["drawn"] == [0, 1, 2, 3, 4, 5]


def test_features_have_one_order_whichever_batch_comes_first(
    feed: Feed, ship: SimpleNamespace
) -> None:
    ids = ship.keys(4)
    turned = ship.table(ids[2:])
    turned = turned.select(sorted(turned.column_names, reverse=True))
    feed.predict("b1", turned)
    feed.predict("b2", ship.table(ids[:2]))
    assert list(feed.frame().features) == ["airline", "distance_miles"]


def test_a_feature_that_turns_into_text_is_seen_and_not_fatal(
    feed: Feed, ship: SimpleNamespace
) -> None:
    ids = ship.keys(4)
    feed.predict("b1", ship.table(ids[:2]))
    feed.predict("b2", ship.table(ids[2:], in__distance_miles=pa.array(["12 mi", "9 mi"])))
    assert feed.frame().features["distance_miles"].tolist() == ["0", "1", "12 mi", "9 mi"]


@pytest.mark.parametrize(
    ("column", "score"),
    [
        (pa.array([[0.2, 0.8], [0.4, 0.6]]), [0.8, 0.6]),
        (pa.array([[0.8], [0.6]]), [0.8, 0.6]),
        (pa.array([0.8, 0.6]), [0.8, 0.6]),
        (pa.array([[0.2, 0.8], []], pa.list_(pa.float64())), [np.nan, np.nan]),
        (pa.array([[0.2, 0.8], None], pa.list_(pa.float64())), [np.nan, np.nan]),
        (None, [np.nan, np.nan]),
    ],
)
def test_the_score_is_that_of_the_positive_class(
    column: pa.Array | None, score: list[float], feed: Feed, ship: SimpleNamespace
) -> None:
    feed.predict("b1", ship.table(ship.keys(2), out__probabilities=column))
    np.testing.assert_allclose(feed.frame().score, score)


def test_what_was_taken_in_is_counted(feed: Feed, ship: SimpleNamespace) -> None:
    ids = ship.keys(5)
    feed.predict("b1", ship.table(ids))
    feed.label("l1", ids[:2], [0, 1])
    with feed.records.look() as reading:
        end = ship.start + DAY
        assert store.totals(reading) == (5, 2)
        assert store.first_prediction(reading, "flights") == ship.start
        assert store.first_prediction(reading, "homes") is None
        assert store.count_between(reading, store.LABELS, "flights", ship.start, end) == 2
        assert store.count_between(reading, store.LABELS, "flights", end, end + DAY) == 0
        arrived = store.last_arrival(reading, store.LABELS, "flights", ship.start, end)
        assert arrived == feed.clock.now()
        assert store.last_arrival(reading, store.LABELS, "flights", end, end + DAY) is None
