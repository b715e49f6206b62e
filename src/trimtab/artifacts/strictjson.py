"""JSON as only one reader would read it: what two parsers could see differently is refused."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, NoReturn

from trimtab.kernel.errors import IntegrityFailed

MAX_DEPTH = 40
"""How deep objects and lists may lie in each other where `read` or `demand_plain` looks; all
that follow, databases and other parsers, still have room at this depth."""


class NotStrict(ValueError):
    """Something is not JSON as it is taken here. `where` is the dotted path to it, empty for
    the whole."""

    def __init__(self, what: str, where: str = ""):
        super().__init__(what)
        self.what = what
        self.where = where


def read(data: bytes) -> Any:
    """The value of a JSON text in UTF-8, for whoever can tell its sender what to correct.

    Raises:
        NotStrict: not UTF-8, not JSON, or something of what `demand_plain` refuses, or a
            key that occurs twice in one object.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise NotStrict("it is not text in UTF-8") from None
    except RecursionError:
        raise NotStrict(f"it is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotStrict(f"it is not JSON: {error.msg} at {place}") from None
    except ValueError:  # the interpreter converts no number of thousands of digits
        raise NotStrict("it has a number with too many digits") from None
    demand_plain(value)
    return value


def demand_plain(value: Any) -> None:
    """Make sure that `value` can be kept and read again as JSON by everybody.

    Raises:
        NotStrict: a number that is not finite, text with a NUL or half a character, a key
            that occurs twice, or nesting beyond `MAX_DEPTH`; with where that is.
    """
    waiting: list[tuple[Any, str, int]] = [(value, "", 0)]
    while waiting:
        found, where, depth = waiting.pop()
        if isinstance(found, str):
            _demand_text(found, where)
        elif isinstance(found, float) and found - found != 0:
            raise NotStrict("it is not a finite number", where)
        elif isinstance(found, dict | list | tuple):
            if depth == MAX_DEPTH:
                raise NotStrict(f"it is nested deeper than {MAX_DEPTH} levels", where)
            if isinstance(found, _Ambiguous):
                raise NotStrict("it stands there twice", _below(where, found.key))
            waiting += ((inner, place, depth + 1) for place, inner in _inside(found, where))


def _inside(found: Any, where: str) -> Iterator[tuple[str, Any]]:
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, inner in items:
        if isinstance(key, str):
            _demand_text(key, where)
        yield _below(where, key), inner


def _below(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _demand_text(text: str, where: str) -> None:
    if "\x00" in text:
        raise NotStrict("it holds the character NUL", where)
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise NotStrict("it holds half a character (a lone surrogate)", where)


class _Ambiguous(dict[str, Any]):
    """An object in which `key` occurs twice; known as such until it is known where it is."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice, seen = _Ambiguous(found), set[str]()
    for key, _ in pairs:
        if key in seen:
            twice.key = key
        seen.add(key)
    return twice


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
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_float=_finite,
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


def _finite(text: str) -> float:
    number = float(text)
    return number if number - number == 0 else _not_finite(text)
