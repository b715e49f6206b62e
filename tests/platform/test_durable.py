"""What may name a job, and what may be handed to it."""

import math

import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.platform.durable import JSON, checked_key, checked_values


@pytest.mark.parametrize("key", ["reaction:4711:ab12", "x", "k" * 200])
def test_a_key_is_printable_ascii(key: str) -> None:
    assert checked_key(key) == key


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "\x00", "k" * 201, "caf\u00e9", "a\u202eb"])
def test_anything_else_is_no_key(key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_key(key)
    assert refused.value.field == "key"
    assert refused.value.remedy


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_values_that_json_cannot_carry_are_refused(value: JSON) -> None:
    with pytest.raises(InvalidInput):
        checked_values({"value": value})


def test_values_come_back_as_they_will_be_read() -> None:
    assert checked_values({"a": [1, 2.5, None, {"b": True}]}) == {"a": [1, 2.5, None, {"b": True}]}
