"""Real rows as the traffic of a day, as training tables, and with a fault in the feed.

Everything here is a pure function of the shipped files, the day and the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trimtab.demo.story import Fault, FlightStory, HousingStory
from trimtab.kernel.errors import InvalidInput

Column = NDArray[Any]

DAY = "day"
"""Name of the training tables' time column."""
LONG_FLIGHT = "over_two_hours_in_the_air"
"""Label of the flights: air time above 120 minutes."""
VALUABLE_HOME = "above_median_value"

_LONG_MIN = 120
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Rows:
    """Real rows in the order of their days.

    `day` is datetime64[D], `features` float32 or str columns, `label` bool, `tenant` str
    or None; all of shape (n,).
    """

    day: Column
    features: Mapping[str, Column]
    label: Column
    tenant: Column | None

    def __len__(self) -> int:
        return int(self.label.size)


@dataclass(frozen=True)
class Traffic:
    """The predictions asked for on one day, in order of time; columns of shape (n,).

    `ids` are unique over all days of a model, `endpoints` are what a canary is split by,
    `at` and `labels_at` are datetime64[us] in UTC. `features` are as served, so a fault
    shows; `labels` are the truth. `tenants` None is the fleet.
    """

    ids: Column
    endpoints: Column
    tenants: Column | None
    features: Mapping[str, Column]
    labels: Column
    at: Column
    labels_at: Column

    def __len__(self) -> int:
        return int(self.labels.size)


@cache
def flights(tenants: Sequence[str] | None = None) -> Rows:
    """Flights of 2015 that were flown to their end, of `tenants` (a tuple) or of all.

    Cancelled and diverted flights have no air time: there is nothing to predict.
    """
    table = _shipped("flights_2015.parquet")
    kept = pc.is_valid(table["air_time_min"])
    if tenants is not None:
        kept = pc.and_(kept, pc.is_in(table["airline"], pa.array(tenants)))
    table = table.filter(kept)
    airline = np.asarray(table["airline"].to_pylist(), dtype=np.str_)
    numbers = ("distance_miles", "departure_delay_min", "taxi_out_min")
    return Rows(
        day=table["date"].to_numpy().astype("datetime64[D]"),
        features={name: table[name].to_numpy().astype(np.float32) for name in numbers}
        | {"airline": airline},
        label=table["air_time_min"].to_numpy() > _LONG_MIN,
        tenant=airline,
    )


@cache
def homes(story: HousingStory) -> Rows:
    """Californian homes, each on the day on which it is first asked about.

    The first `known_rows` carry the days just before `moves_on`, at the same pace. The
    others come in an order drawn once: from everywhere else at the same time, not from one
    place after the other.
    """
    table = _shipped("california_housing.parquet")
    elsewhere = np.arange(story.known_rows, table.num_rows)
    drawn = np.random.default_rng(story.order_seed).permutation(elsewhere)
    table = table.take(np.r_[np.arange(story.known_rows), drawn])
    offset = (np.arange(table.num_rows) - story.known_rows) // story.rows_a_day
    return Rows(
        day=np.datetime64(story.moves_on, "D") + offset,
        features={name: table[name].to_numpy().astype(np.float32) for name in story.features},
        label=table[VALUABLE_HOME].to_numpy(zero_copy_only=False),
        tenant=None,
    )


def flight_traffic(
    day: date, *, story: FlightStory, seed: int, faults: Iterable[Fault] = ()
) -> Traffic:
    """Each tenant's own number of flights of `day`, times `replay`, drawn with replacement
    from its flights of the last `pool_days`.

    A tenant without a flight on that day sends nothing. `faults` are applied to the
    features only.
    """
    rows = flights(story.tenants)
    moment = np.datetime64(day, "D")
    recent = _days(rows, moment - story.pool_days + 1, moment + 1)
    assert rows.tenant is not None
    generator = _generator("flights", day, seed)
    drawn = []
    for tenant in story.tenants:
        pool = recent[rows.tenant[recent] == tenant]
        volume = int((rows.day[pool] == moment).sum()) * story.replay
        drawn.append(generator.choice(pool, size=volume) if volume else pool[:0])
    return _traffic(
        rows,
        generator.permutation(np.concatenate(drawn)),
        day,
        name="flight",
        endpoints=story.endpoints_per_tenant,
        label_delay=story.label_delay,
        generator=generator,
        faults=faults,
    )


def home_traffic(
    day: date, *, story: HousingStory, seed: int, faults: Iterable[Fault] = ()
) -> Traffic:
    """`rows_a_day` times `replay` homes: before `moves_on` from the known places, then
    from the homes of the last `pool_days`.
    """
    rows = homes(story)
    moment = np.datetime64(day, "D")
    generator = _generator("homes", day, seed)
    if day < story.moves_on:
        pool = np.arange(story.known_rows)
    else:
        pool = _days(rows, moment - story.pool_days + 1, moment + 1)
    if not pool.size:
        raise InvalidInput(f"no homes are left on {day}", field="day")
    return _traffic(
        rows,
        generator.choice(pool, size=story.rows_a_day * story.replay),
        day,
        name="home",
        endpoints=story.endpoints,
        label_delay=story.label_delay,
        generator=generator,
        faults=faults,
    )


def flight_training(
    start: date,
    end: date,
    *,
    story: FlightStory,
    tenant: str | None = None,
    faults: Iterable[Fault] = (),
) -> pa.Table:
    """Flights from `start` on and before `end` (of one tenant), as a training table.

    Columns: `DAY`, the features, `LONG_FLIGHT` (0 / 1). Air time itself, which the label
    is made of, is not in it.
    """
    rows = flights(story.tenants if tenant is None else (tenant,))
    chosen = _days(rows, np.datetime64(start, "D"), np.datetime64(end, "D"))
    return _training(rows, chosen, story.features, LONG_FLIGHT, faults)


def home_training(start_row: int, end_row: int, *, story: HousingStory) -> pa.Table:
    """Homes of the rows from `start_row` on and before `end_row`, as a training table.

    Columns: `DAY`, the features, `VALUABLE_HOME` (0 / 1).
    """
    rows = homes(story)
    chosen = np.arange(start_row, min(end_row, len(rows)))
    return _training(rows, chosen, story.features, VALUABLE_HOME, ())


def home_rows_before(day: date, *, story: HousingStory) -> int:
    """How many homes have been met before `day`: where a retraining on that day ends."""
    return int(np.searchsorted(homes(story).day, np.datetime64(day, "D")))


def faulted(
    features: Mapping[str, Column], day: Column, faults: Iterable[Fault]
) -> dict[str, Column]:
    """`features` as a broken feed would send them; the input is left alone.

    Args:
        features: Columns of shape (n,).
        day: Shape (n,), datetime64[D]: when each row was sent.
        faults: Applied one after the other.

    Raises:
        InvalidInput: a fault names a feature that is not there, or one that is text.
    """
    sent = dict(features)
    for fault in faults:
        if fault.feature not in sent or sent[fault.feature].dtype.kind != "f":
            raise InvalidInput(f"{fault.feature!r} is no numeric feature", field="faults.feature")
        during = np.ones(day.size, dtype=np.bool_)
        if fault.start is not None:
            during &= day >= np.datetime64(fault.start, "D")
        if fault.end is not None:
            during &= day < np.datetime64(fault.end, "D")
        values = sent[fault.feature]
        wrong = (values.astype(np.float64) * fault.factor).astype(np.float32)
        sent[fault.feature] = np.where(during, wrong, values)
    return sent


def _shipped(name: str) -> pa.Table:
    content = files("trimtab.demo").joinpath("datasets", name).read_bytes()
    return pq.read_table(BytesIO(content))


def _days(rows: Rows, start: np.datetime64, end: np.datetime64) -> Column:
    first, last = np.searchsorted(rows.day, [start, end])
    return np.arange(first, last)


def _generator(name: str, day: date, seed: int) -> np.random.Generator:
    """One stream for each model and day, so that a day looks the same in any order of days."""
    text = f"{name} {day.isoformat()} {seed}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:16], "big"))


def _traffic(
    rows: Rows,
    drawn: Column,
    day: date,
    *,
    name: str,
    endpoints: int,
    label_delay: timedelta,
    generator: np.random.Generator,
    faults: Iterable[Fault],
) -> Traffic:
    moment = np.datetime64(day, "us")
    seconds = np.sort(generator.integers(0, _SECONDS_A_DAY, size=drawn.size))
    at = moment + seconds.astype("timedelta64[s]")
    tenants = None if rows.tenant is None else rows.tenant[drawn]
    number = generator.integers(0, endpoints, size=drawn.size)
    owner = np.full(drawn.size, name) if tenants is None else tenants
    features = {column: values[drawn] for column, values in rows.features.items()}
    sent_on = np.full(drawn.size, np.datetime64(day, "D"))
    return Traffic(
        ids=np.asarray([f"{name}-{day.isoformat()}-{i:05d}" for i in range(drawn.size)]),
        endpoints=np.char.add(np.char.add(owner, "-"), np.char.zfill(number.astype(str), 3)),
        tenants=tenants,
        features=faulted(features, sent_on, faults),
        labels=rows.label[drawn],
        at=at,
        labels_at=at + np.timedelta64(label_delay),
    )


def _training(
    rows: Rows, chosen: Column, features: Sequence[str], label: str, faults: Iterable[Fault]
) -> pa.Table:
    inputs = {name: rows.features[name][chosen] for name in features}
    columns = faulted(inputs, rows.day[chosen], faults)
    return pa.table({DAY: rows.day[chosen]} | columns | {label: rows.label[chosen].astype(np.int8)})
