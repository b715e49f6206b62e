"""JSON that two readers could see differently, or that nobody could keep, is refused."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab.artifacts import strictjson
from trimtab.artifacts.strictjson import MAX_DEPTH, NotStrict
from trimtab.kernel.errors import IntegrityFailed


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b'{"a": 1, "a": 1}', "a"),
        (b'{"a": [1, {"b": 1, "c": 2, "b": 3}]}', "a.1.b"),
        (b'{"a": {"b": NaN}}', "a.b"),
        (b'{"a": [0, -Infinity]}', "a.1"),
        (b'{"a": 1e999}', "a"),
        (b'{"a": "x\\u0000y"}', "a"),
        (b'{"a": "\\ud800"}', "a"),
        (b'{"a": {"\\ud800": 1}}', "a"),
        (b'{"a": ' + b"9" * 5000 + b"}", ""),
        (b"\xff\xfe{}", ""),
        (b'{"a": 1} 2', ""),
        (b"", ""),
        (nested(100_000), ""),
    ],
)
def test_what_is_refused_is_named(text: bytes, where: str) -> None:
    with pytest.raises(NotStrict) as refused:
        strictjson.read(text)
    assert refused.value.where == where
    assert len(refused.value.what) > 8


@pytest.mark.parametrize("text", [b"null", b'{"a": [1, 2.5, "x", true, {}], "b": "\xc3\xa4"}'])
def test_what_is_plain_is_read(text: bytes) -> None:
    strictjson.read(text)


def test_the_depth_is_the_one_that_is_stated() -> None:
    strictjson.read(nested(MAX_DEPTH))
    with pytest.raises(NotStrict, match="deeper"):
        strictjson.read(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": ("x", float("inf"))}])
def test_a_value_that_is_no_number_is_not_plain(value: Any) -> None:
    with pytest.raises(NotStrict):
        strictjson.demand_plain(value)


@pytest.mark.parametrize("text", [b'{"a": NaN}', b'{"a": 1e999}', b'{"a": 1, "a": 1}'])
def test_signed_text_is_read_as_strictly(text: bytes) -> None:
    with pytest.raises(IntegrityFailed):
        strictjson.parse(text, max_bytes=1000, what="the permit")
