"""What a pickle would do, followed on symbols: every global it names, and none is imported.

The machine keeps the stack and the memo of an unpickler, with stand-ins for whatever a real
one would build. A name that comes from the memo, or is joined from parts by plain functions
of text, is followed; one that is not is reported as unresolved.

Source: `pickletools` of the standard library, and joblib's `numpy_pickle` for arrays whose
bytes stand between the opcodes.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_KEPT_BYTES = 4096
"""Longer texts and bytes name nothing that could be imported."""

_BROKEN = (ValueError, IndexError, OverflowError, RecursionError, TypeError, KeyError)
_SIZES = re.compile(r"[<>|=]?([biufcmMSUVO])(\d+)")


@dataclass(frozen=True)
class Global:
    """A module and a dotted name in it; None is what could not be followed."""

    module: str | None
    name: str | None

    def __str__(self) -> str:
        return f"{self.module or '?'}.{self.name or '?'}"

    @property
    def resolved(self) -> bool:
        """Whether both halves are known."""
        return bool(self.module) and bool(self.name)


@dataclass
class Walked:
    """What came of following one pickle, or several in a row.

    `patched` are globals that the pickle changes instead of using. `broken` says why it could
    not be followed to its end, empty where it could. `spans` are the parts of the data that
    were opcodes, `end` is where the last pickle ended.
    """

    globals: set[Global] = field(default_factory=set)
    patched: set[Global] = field(default_factory=set)
    persistent: bool = False
    arrays: int = 0
    opcodes: int = 0
    broken: str = ""
    spans: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0


class _Mark:
    """Where a run of values begins on the stack."""


class _Opaque:
    """A value that nothing depends on."""


@dataclass(eq=False)
class _Made:
    """What calling a global would give; `state` is what it would be given afterwards."""

    made_by: Any
    arguments: Any
    state: Any = None


@dataclass(eq=False)
class _Items:
    """A list, set or dictionary: only what stands under a text is kept of the latter."""

    named: dict[str, Any] = field(default_factory=dict)


_MARK, _OPAQUE = _Mark(), _Opaque()
_WRAPPER = Global("joblib.numpy_pickle", "NumpyArrayWrapper")
_RECONSTRUCTORS = (
    Global("copyreg", "_reconstructor"),
    Global("copy_reg", "_reconstructor"),
)
_DTYPES = {("numpy", "dtype"), ("numpy.dtypes", "dtype")}
_CONCATENATIONS = {
    (module, name) for module in ("operator", "_operator") for name in ("add", "concat", "iadd")
}
_TEXTS = {("builtins", "str"), ("__builtin__", "str"), ("__builtin__", "unicode")}


def follow(data: bytes, max_opcodes: int, *, arrays: bool = True, start: int = 0) -> Walked:
    """Follow the pickle that begins at `start`, as the loader it was written for would.

    Args:
        data: The whole file.
        max_opcodes: More of them are not followed.
        arrays: Whether bytes of arrays are skipped as joblib does; without, they are opcodes,
            as they are to `pickle.load`.
        start: Offset of the first opcode.
    """
    walked = Walked(end=start)
    file = io.BytesIO(data)
    file.seek(start)
    with warnings.catch_warnings(action="ignore"):  # odd escapes in a string
        try:
            _Machine(file, len(data), max_opcodes, walked, arrays).run()
        except _BROKEN as error:
            walked.broken = walked.broken or f"breaks off: {type(error).__name__}"
    return walked


class _Machine:
    """One stack and one memo. `run` ends at STOP, or raises what the opcodes are at fault of."""

    def __init__(
        self, file: io.BytesIO, size: int, max_opcodes: int, walked: Walked, arrays: bool
    ) -> None:
        self._file = file
        self._size = size
        self._left = max_opcodes
        self._walked = walked
        self._arrays = arrays
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._frame_end = 0

    def run(self) -> int:
        """Follow opcodes up to STOP; how many may still be followed after it."""
        begin = self._file.tell()
        for opcode, argument, _ in pickletools.genops(self._file):
            self._walked.opcodes += 1
            self._left -= 1
            if self._left < 0:
                self._walked.broken = "more opcodes than the budget allows"
                raise ValueError("budget")
            self._take(opcode.name, argument)
            if opcode.name == "BUILD" and self._arrays and self._is_wrapper(self._stack[-1]):
                self._walked.spans.append((begin, self._file.tell()))
                self._skip_array(self._stack[-1].state.named)
                self._stack[-1] = _OPAQUE
                begin = self._file.tell()
        self._walked.spans.append((begin, self._file.tell()))
        self._walked.end = self._file.tell()
        return self._left

    def _take(self, name: str, argument: Any) -> None:
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, argument)
        elif name in _NOTHING:
            return
        elif name in _TWO_POPS:
            for _ in range(_TWO_POPS[name]):
                self._pop()
        elif name in _DOWN_TO_MARK:
            self._to_mark()
        else:  # every other opcode pushes one plain value
            keep = not isinstance(argument, str | bytes) or len(argument) <= _KEPT_BYTES
            self._stack.append(_OPAQUE if argument is None or not keep else argument)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is needed")
        return value

    def _to_mark(self) -> list[Any]:
        taken = []
        while (value := self._stack.pop()) is not _MARK:
            taken.append(value)
        return taken[::-1]

    def _name(self, found: Global) -> Global:
        self._walked.globals.add(found)
        return found

    def global_(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._stack.append(self._name(Global(module, name)))

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        known = [part if isinstance(part, str) else None for part in (module, name)]
        self._stack.append(self._name(Global(*known)))

    def inst(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        arguments = tuple(self._to_mark())
        self._stack.append(_Made(self._name(Global(module, name)), arguments))

    def obj(self, _: Any) -> None:
        made_by, *arguments = self._to_mark()
        self._stack.append(_Made(made_by, tuple(arguments)))

    def extension(self, _: Any) -> None:
        self._stack.append(self._name(Global(None, "extension")))

    def persistent(self, argument: Any) -> None:
        self._walked.persistent = True
        self._stack.append(_OPAQUE)

    def binary_persistent(self, argument: Any) -> None:
        self._pop()
        self.persistent(argument)

    def call(self, _: Any) -> None:
        arguments, made_by = self._pop(), self._pop()
        wrapped = isinstance(arguments, tuple) and _WRAPPER in arguments
        if wrapped and (made_by not in _RECONSTRUCTORS or arguments[0] != _WRAPPER):
            raise ValueError("an array that joblib would not have written so")
        self._stack.append(_folded(made_by, arguments) or _Made(made_by, arguments))

    def call_with_names(self, _: Any) -> None:
        self._pop()
        self.call(None)

    def build(self, _: Any) -> None:
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, Global):
            self._walked.patched.add(target)
        if isinstance(target, _Made):
            if target.state is not None and _WRAPPER in (target.made_by, *target.arguments[:1]):
                raise ValueError("an array that is filled twice")
            target.state = state

    def frame(self, argument: Any) -> None:
        self._frame_end = self._file.tell() + int(argument)

    def mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def pop(self, _: Any) -> None:
        self._stack.pop()

    def dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def none(self, _: Any) -> None:
        self._stack.append(None)

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def put(self, argument: Any) -> None:
        self._memo[int(argument)] = self._stack[-1]

    def get(self, argument: Any) -> None:
        self._stack.append(self._memo[int(argument)])

    def empty(self, _: Any) -> None:
        self._stack.append(_Items())

    def empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def tuple_of_mark(self, _: Any) -> None:
        self._stack.append(tuple(self._to_mark()))

    def collection(self, _: Any) -> None:
        self._to_mark()
        self._stack.append(_Items())

    def dictionary(self, _: Any) -> None:
        values = self._to_mark()
        items = _Items()
        items.named |= _texts(values)
        self._stack.append(items)

    def set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._put_items([key, value])

    def set_items(self, _: Any) -> None:
        self._put_items(self._to_mark())

    def _put_items(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, _Items):
            target.named |= _texts(values)
        elif isinstance(target, Global):
            self._walked.patched.add(target)

    def _is_wrapper(self, value: Any) -> bool:
        """Whether joblib would now read an array; only made and filled as joblib does it."""
        if not isinstance(value, _Made):
            return False
        reconstructed = value.made_by in _RECONSTRUCTORS  # protocols 0 and 1
        maker = value.arguments[0] if reconstructed else value.made_by
        if maker != _WRAPPER:
            return False
        if not (reconstructed or value.arguments == ()) or not isinstance(value.state, _Items):
            raise ValueError("an array that joblib would not have written so")
        return True

    def _skip_array(self, state: dict[str, Any]) -> None:
        """Pass over what joblib reads itself: raw bytes, or a pickle of their own."""
        self._walked.arrays += 1
        if self._file.tell() < self._frame_end:
            raise ValueError("an array inside a frame, where loaders disagree")
        item_bytes, holds_objects = _item(state.get("dtype"))
        if holds_objects:
            # joblib has the standard unpickler read these, which knows no arrays in between.
            inner = _Machine(self._file, self._size, self._left, self._walked, arrays=False)
            self._left = inner.run()
            return
        shape = state.get("shape")
        if not isinstance(shape, tuple) or not all(
            type(length) is int and length >= 0 for length in shape
        ):
            raise ValueError("an array of unknown shape")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._file.seek(int.from_bytes(self._file.read(1), "little"), io.SEEK_CUR)
        end = self._file.tell() + math.prod(shape) * item_bytes
        if end > self._size:
            raise ValueError("an array longer than its file")
        self._file.seek(end)


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def take(machine: _Machine, _: Any) -> None:
        values = [machine._pop() for _ in range(count)]
        machine._stack.append(tuple(values[::-1]))

    return take


_HANDLERS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "INST": _Machine.inst,
    "OBJ": _Machine.obj,
    "EXT1": _Machine.extension,
    "EXT2": _Machine.extension,
    "EXT4": _Machine.extension,
    "PERSID": _Machine.persistent,
    "BINPERSID": _Machine.binary_persistent,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_names,
    "BUILD": _Machine.build,
    "FRAME": _Machine.frame,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "DUP": _Machine.dup,
    "NONE": _Machine.none,
    "MEMOIZE": _Machine.memoize,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "EMPTY_LIST": _Machine.empty,
    "EMPTY_DICT": _Machine.empty,
    "EMPTY_SET": _Machine.empty,
    "LIST": _Machine.collection,
    "FROZENSET": _Machine.collection,
    "DICT": _Machine.dictionary,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "EMPTY_TUPLE": _Machine.empty_tuple,
    "TUPLE": _Machine.tuple_of_mark,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
}
_NOTHING = frozenset({"PROTO", "READONLY_BUFFER"})
_TWO_POPS = {"APPEND": 1, "STOP": 1}
_DOWN_TO_MARK = frozenset({"APPENDS", "ADDITEMS", "POP_MARK"})


def _texts(values: list[Any]) -> dict[str, Any]:
    pairs: Iterator[tuple[Any, Any]] = zip(values[::2], values[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, str)}


def _folded(made_by: Any, arguments: Any) -> str | None:
    """The text that a plain function of texts gives, so that names joined by it are seen."""
    if not isinstance(made_by, Global) or not isinstance(arguments, tuple):
        return None
    called = (made_by.module, made_by.name)
    texts = [value for value in arguments if isinstance(value, str)]
    if len(texts) != len(arguments) or sum(map(len, texts)) > _KEPT_BYTES:
        return None
    if called in _CONCATENATIONS or called in _TEXTS:
        return "".join(texts)
    return None


def _item(dtype: Any) -> tuple[int, bool]:
    """Bytes of an element of an array, and whether the array is a pickle instead of bytes."""
    if not isinstance(dtype, _Made) or not isinstance(dtype.made_by, Global):
        raise ValueError("an array of unknown type")
    if (dtype.made_by.module, dtype.made_by.name) not in _DTYPES:
        raise ValueError("an array of unknown type")
    code = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    found = _SIZES.fullmatch(code) if isinstance(code, str) else None
    if found is None:
        raise ValueError("an array of unknown type")
    kind, count = found[1], int(found[2])
    size = 4 * count if kind == "U" else count
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    if kind in "SUV" and len(state) > 5 and type(state[5]) is int and state[5] not in (-1, size):
        raise ValueError("an array whose type contradicts itself")
    flags = state[7] if len(state) > 7 and type(state[7]) is int else 0
    # The lowest bit of numpy's flags: elements hold references to objects.
    return size, kind == "O" or bool(flags & 0x01)
