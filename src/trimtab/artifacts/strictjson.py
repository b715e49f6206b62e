"""JSON as only one reader would read it: what two parsers could see differently is refused."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NoReturn

from trimtab.kernel.errors import IntegrityFailed


def parse(data: bytes, *, max_bytes: int, what: str) -> Any:
    """The value of a JSON text in UTF-8.

    Args:
        data: The text.
        max_bytes: Longer texts are refused unread.
        what: The text's name in messages.

    Raises:
        IntegrityFailed: too long, not UTF-8, not JSON, a key that occurs twice in one
            object, a number that is not finite, or nesting beyond the parser's depth.
    """
    if len(data) > max_bytes:
        raise IntegrityFailed(f"{what} has {len(data)} bytes, more than {max_bytes}")
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_finite
        )
    except (ValueError, RecursionError) as error:
        raise IntegrityFailed(f"{what} is not strict JSON: {type(error).__name__}") from error


def members(value: Any, required: set[str], *, what: str, ignored: set[str] | None = None) -> Any:
    """`value`, an object with exactly the `required` members and perhaps `ignored` ones.

    Raises:
        IntegrityFailed: another type, or other members.
    """
    if not isinstance(value, dict) or not required <= set(value) <= required | (ignored or set()):
        raise IntegrityFailed(f"{what} does not have the members {', '.join(sorted(required))}")
    return value


def decode_base64(text: Any, *, what: str) -> bytes:
    """The bytes of a base64 text, of the standard or the URL-safe alphabet, padded.

    Raises:
        IntegrityFailed: not a string, or not exactly what an encoder would have written.
    """
    if not isinstance(text, str):
        raise IntegrityFailed(f"{what} is not base64")
    standard = text.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityFailed(f"{what} is not base64") from error
    if base64.b64encode(data).decode() != standard:
        raise IntegrityFailed(f"{what} is base64 with stray bits")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")
