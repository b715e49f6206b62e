"""What arrives is untrusted: kept whole, or refused with the name of the column."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput
from trimtab.observations.batches import (
    labels_batch,
    made_at,
    parse_labels,
    parse_predictions,
)
from trimtab.observations.stream import read


def refusal(body: bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_predictions(body)
    return caught.value


def test_a_batch_tells_its_model_its_rows_and_its_time(ship: SimpleNamespace) -> None:
    body = ship.stream(ship.table(ship.keys(90)))
    parsed = parse_predictions(body)
    assert (parsed.model, parsed.rows, parsed.body) == ("flights", 90, body)
    assert parsed.first_at == ship.start
    assert parsed.last_at == ship.start + timedelta(minutes=89)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_and_zone_are_the_same_moment(unit: str, ship: SimpleNamespace) -> None:
    plain = ship.table(ship.keys(3))
    away = plain["at"].cast(pa.timestamp(unit, tz="America/New_York"))
    assert parse_predictions(ship.stream(ship.table(ship.keys(3), at=away))).first_at == ship.start


@pytest.mark.parametrize(
    "name",
    [
        "prediction_id",
        "row",
        "model",
        "version",
        "digest",
        "endpoint",
        "deployment",
        "at",
        "latency_ms",
    ],
)
def test_a_missing_mistyped_or_holey_column_is_named(name: str, ship: SimpleNamespace) -> None:
    batch = ship.table(ship.keys(2))
    wrong = pa.array([[1], [2]], pa.list_(pa.int8()))
    holey = pa.array([batch[name][0].as_py(), None], batch[name].type)
    for changed in (None, wrong, holey):
        assert refusal(ship.stream(ship.table(ship.keys(2), **{name: changed}))).field == name


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("in.distance_miles", pa.array([[1.0], [2.0]], pa.list_(pa.float32()))),
        ("in.distance_miles", pa.array([b"1", b"2"], pa.binary())),
        ("in.distance_miles", pa.array([1, 2], pa.timestamp("us"))),
        ("in.distance_miles", pa.array([1, 2], pa.decimal128(5, 2))),
        ("tenant", pa.array([1, 2])),
        ("out.probabilities", pa.array([["a"], ["b"]])),
        ("out.probabilities", pa.array(["a", "b"])),
        ("at", pa.array([1, 2], pa.timestamp("us"))),
        ("at", pa.array([1, 2**62], pa.timestamp("us", tz="UTC"))),
        ("model", pa.array(["flights", "homes"])),
    ],
)
def test_a_column_that_could_not_be_read_back_is_refused(
    name: str, column: pa.Array, ship: SimpleNamespace
) -> None:
    changed = {name.replace(".", "__"): column}
    assert refusal(ship.stream(ship.table(ship.keys(2), **changed))).field == name


@pytest.mark.parametrize(
    "foreign",
    [
        "order-17",
        "",
        "ä" * 36,
        "00000000-0000-4000-8000-000000000000",
        "014BD2B9-5400-7000-8000-000000000001",
        "014bd2b9-5400-7000-8000-000000000001 ",
        "014bd2b9-5400-7000-8000-000000000001\n",
        "{014bd2b9-5400-7000-8000-000000000001}",
    ],
)
def test_foreign_ids_are_refused_wherever_they_stand(foreign: str, ship: SimpleNamespace) -> None:
    for place in range(3):
        ids = ship.keys(3)
        ids[place] = foreign
        with pytest.raises(InvalidInput) as caught:
            parse_labels("flights", labels_batch(ids, [0, 0, 0], [0, 1, 0]))
        assert caught.value.field == "prediction_id"
        changed = ship.table(ship.keys(3), prediction_id=pa.array(ids))
        assert refusal(ship.stream(changed)).field == "prediction_id"


def test_an_id_tells_when_it_was_made(ship: SimpleNamespace) -> None:
    when = datetime(2015, 7, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    assert made_at(ship.key(when)) == when


@pytest.mark.parametrize("label", [2, -1, 127, 300, 2**62])
def test_labels_are_0_or_1(label: int, ship: SimpleNamespace) -> None:
    batch = pa.table(
        {
            "prediction_id": ship.keys(2),
            "row": pa.array([0, 0], pa.int32()),
            "label": pa.array([0, label], pa.int64()),
        }
    )
    with pytest.raises(InvalidInput) as caught:
        parse_labels("flights", ship.stream(batch))
    assert caught.value.field == "label"


@pytest.mark.parametrize(
    ("name", "column", "wanted"),
    [
        ("label", pa.array([0.0, 1.0]), "whole numbers, 0 or 1, or booleans"),
        ("row", pa.array(["0", "1"]), "whole numbers"),
        ("prediction_id", pa.array([1, 2]), "text: the prediction_id"),
    ],
)
def test_a_mistyped_column_is_told_what_it_is_to_be(
    name: str, column: pa.Array, wanted: str, ship: SimpleNamespace
) -> None:
    columns = {"prediction_id": ship.keys(2), "row": [0, 0], "label": [0, 1], name: column}
    with pytest.raises(InvalidInput) as caught:
        parse_labels("flights", ship.stream(pa.table(columns)))
    assert caught.value.field == name
    assert wanted in str(caught.value.remedy)


def test_bytes_that_are_no_arrow_stream_are_refused(ship: SimpleNamespace) -> None:
    good = ship.stream(ship.table(ship.keys(50)))
    rotten = [b"", b"PAR1", b"\xff" * 64, b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\0" * 64]
    for body in [*rotten, good[:100], good[: len(good) // 2], good[:-300], good[8:]]:
        assert refusal(body).field == "body"


def test_a_body_that_claims_to_be_huge_is_refused(ship: SimpleNamespace) -> None:
    zeros = pa.array(np.zeros(2_000_000, dtype=np.float64))
    bomb = ship.stream(pa.table({"in.x": zeros}), compression="zstd")
    assert len(bomb) < 20_000
    for codec in ("zstd", "lz4"):
        found = refusal(ship.stream(ship.table(ship.keys(500)), compression=codec))
        assert (found.field, found.message) == ("body", "the batch is compressed")
    assert refusal(bomb).message == "the batch is compressed"


def test_dictionaries_empty_batches_and_twins_are_refused(ship: SimpleNamespace) -> None:
    coded = ship.table(ship.keys(2), in__airline=pa.array(["a", "b"]).dictionary_encode())
    assert refusal(ship.stream(coded)).message == "the batch has dictionaries"
    assert refusal(ship.stream(ship.table([]))).field == "body"
    batch = ship.table(ship.keys(2))
    twins = batch.append_column("row", batch["row"])
    assert refusal(ship.stream(twins)).field == "row"


@given(st.data())
def test_flipped_bytes_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    body = bytearray(labels_batch(["x"] * 8, list(range(8)), [0, 1] * 4))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    with suppress(InvalidInput):
        assert read(bytes(body)).num_rows > 0
