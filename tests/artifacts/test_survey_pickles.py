"""Pickles in a registry: honest ones told from the others, and none of them ever run."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from trimtab.artifacts.findings import Budget, Findings, Result, Severity, overall
from trimtab.artifacts.formats import Format
from trimtab.artifacts.pickle_machine import Global, follow
from trimtab.artifacts.pickle_rules import rules
from trimtab.artifacts.survey import survey_bytes

BUDGET = Budget(max_file_bytes=8 << 20, max_unpacked_bytes=8 << 20)


class Payload:
    """Unpickling this runs a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


class Judged:
    """What is said of some bytes that a registry calls `path`."""

    def __init__(self, data: bytes, path: str = "model/model.pkl"):
        findings = Findings(BUDGET.max_findings)
        self.format, self.evidence = survey_bytes(data, path, BUDGET, findings)
        self.findings = findings.all()
        self.result = overall(self.findings, read=True)
        self.rules = {f.rule for f in self.findings if f.severity is not Severity.INFO}
        self.details = " ".join(f.detail for f in self.findings)


def dumped(value: Any, how: str) -> bytes:
    file = io.BytesIO()
    if how == "joblib":
        joblib.dump(value, file)
    elif how == "joblib-zlib":
        joblib.dump(value, file, compress=("zlib", 3))
    else:
        pickle.dump(value, file, protocol=int(how))
    return file.getvalue()


WAYS = ("0", "1", "2", "3", "4", "5", "joblib", "joblib-zlib")
NAMES = ("model.pkl", "model.bin", "model.onnx", "model", "notes.txt", "table.csv", "MLmodel")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_payload_is_malicious_under_any_name_and_never_run(
    sentinel: Path, how: str, name: str
) -> None:
    found = Judged(dumped(Payload(f"touch {sentinel}"), how), name)
    assert found.result is Result.MALICIOUS
    assert "posix.system" in found.details
    assert not sentinel.exists()


@pytest.mark.parametrize("how", WAYS[:7])
def test_a_payload_before_a_break_is_found_and_never_clean(sentinel: Path, how: str) -> None:
    data = dumped(Payload(f"touch {sentinel}"), how)
    for broken in (data[:-1], data[:-1] + b"\xff\xff", data[:-1] + b"X\xff\xff\xff\xff"):
        found = Judged(broken)
        assert found.result is Result.MALICIOUS
        assert "pickle_broken" in found.rules
    assert not sentinel.exists()


@pytest.mark.parametrize("how", WAYS[:7])
def test_an_honest_pickle_that_breaks_off_is_unreadable(how: str) -> None:
    data = dumped(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), how)
    found = Judged(data[:-20])
    assert (found.result, "pickle_broken" in found.rules) == (Result.UNREADABLE, True)


@pytest.mark.parametrize("how", WAYS)
def test_honest_models_are_clean_and_say_what_they_are_judged_by(how: str) -> None:
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(80, 4))
    outcome = (rows[:, 0] > 0).astype(int)
    for model in (
        LogisticRegression().fit(rows, outcome),
        RandomForestClassifier(3, random_state=1).fit(rows, outcome),
        {"threshold": 0.5, "names": np.array(["a", None, 3], dtype=object)},
        OrderedDict(a=rows),
    ):
        found = Judged(dumped(model, how))
        assert found.result is Result.CLEAN, found.details
        assert rules().version in found.details


def stacked(module: str, name: str) -> bytes:
    parts = (module.encode(), name.encode())
    return b"\x80\x04" + b"".join(b"\x8c%c%b\x94" % (len(p), p) for p in parts) + b"\x93)R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("importlib", "import_module"),
        ("pip", "main"),
        ("pip._internal", "main"),
        ("pkgutil", "resolve_name"),
        ("runpy", "run_path"),
        ("socket", "create_connection"),
        ("shutil", "rmtree"),
        ("webbrowser", "open"),
        ("operator", "attrgetter"),
        ("functools", "partial"),
        ("numpy", "load"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("sklearn.utils", "os.system"),
        ("numpy", "ndarray.__class__"),
        ("collections", "OrderedDict.__init__.__globals__"),
    ],
)
def test_what_is_known_to_do_harm_is_malicious(module: str, name: str) -> None:
    for data in (f"c{module}\n{name}\n(tR.".encode(), stacked(module, name)):
        found = Judged(data)
        assert (found.result, f"{module}.{name}" in found.details) == (Result.MALICIOUS, True)


@pytest.mark.parametrize(
    ("module", "name"),
    [("some.package", "Model"), ("sklearn.linear_model", "NoSuch"), ("numpy.core", "ndarray")],
)
def test_what_is_on_no_list_is_suspicious_by_name(module: str, name: str) -> None:
    for data in (f"c{module}\n{name}\n(tR.".encode(), stacked(module, name)):
        found = Judged(data)
        assert (found.result, f"{module}.{name}" in found.details) == (Result.SUSPICIOUS, True)


def test_names_are_followed_through_the_memo_and_through_text_that_is_joined() -> None:
    memo = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x04true\x85R."
    assert "posix.system" in Judged(memo).details
    joined = b"\x80\x04coperator\nadd\n(\x8c\x03pos\x8c\x02ixtR\x8c\x06system\x93\x8c\x04true\x85R."
    found = Judged(joined)
    assert "posix.system" in found.details
    assert found.result is Result.MALICIOUS


def test_names_that_cannot_be_followed_are_never_clean() -> None:
    hidden = b"\x80\x04c_codecs\nencode\n(\x8c\x05cbfvk\x8c\x05rot13tR\x8c\x06system\x93)R."
    assert "pickle_unresolved" in Judged(hidden).rules
    assert Judged(hidden).result is not Result.CLEAN
    for extension in (b"\x80\x02\x82\x01)R.", b"\x80\x02\x83\x01\x00)R."):
        assert Judged(extension).result is not Result.CLEAN


def test_a_pickle_that_changes_a_class_is_malicious() -> None:
    patched = b"\x80\x04ccollections\nOrderedDict\n}\x8c\x01a\x8c\x01bsb."
    found = Judged(patched)
    assert (found.result, "pickle_patches" in found.rules) == (Result.MALICIOUS, True)


def test_a_second_pickle_and_other_bytes_behind_the_first_are_seen(sentinel: Path) -> None:
    honest = pickle.dumps({"a": 1})
    second = Judged(honest + pickle.dumps(Payload(f"touch {sentinel}")))
    assert (second.result, "posix.system" in second.details) == (Result.MALICIOUS, True)
    assert Judged(honest + honest).result is Result.CLEAN
    assert "trailing" in Judged(honest + b"\0\0 more").rules
    assert not sentinel.exists()


def test_a_payload_where_joblib_reads_numbers_is_found(sentinel: Path) -> None:
    # To `joblib.load` these bytes are an array; to `pickle.load` they are opcodes.
    payload = b"cposix\nsystem\n(S'touch %b'\ntR." % str(sentinel).encode()
    data = dumped(np.zeros(256, np.uint8), "joblib")
    head = data[: data.index(b"K\x10ub") + 4]
    # The first byte says how much to skip; as an opcode it is a POP.
    hidden = head + b"0" + payload.ljust(ord("0") + 256, b"0") + b"."
    walked = follow(hidden, 10_000)
    assert (walked.broken, walked.arrays, walked.end) == ("", 1, len(hidden))
    assert Global("posix", "system") not in walked.globals
    found = Judged(hidden)
    assert (found.result, "posix.system" in found.details) == (Result.MALICIOUS, True)
    assert not sentinel.exists()


def test_an_array_of_objects_in_joblib_is_followed_inside(sentinel: Path) -> None:
    data = dumped(np.array([Payload(f"touch {sentinel}"), 1], dtype=object), "joblib")
    found = Judged(data)
    assert (found.result, "posix.system" in found.details) == (Result.MALICIOUS, True)
    assert not sentinel.exists()


def test_arrays_that_joblib_would_not_have_written_so_are_not_followed() -> None:
    honest = dumped(np.arange(4.0), "joblib")
    assert Judged(honest).result is Result.CLEAN
    for old, new in (
        (b"\x8c\x02f8", b"\x8c\x02f9"),  # longer than what follows
        (b"\x8c\x05dtype\x94", b"\x8c\x05dtypo\x94"),
        (b"K\x04\x85", b"K\xff\x85"),
    ):
        assert old in honest
        assert Judged(honest.replace(old, new)).result is not Result.CLEAN


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_pickles_are_unpacked_in_memory_up_to_the_budget(
    sentinel: Path, packer: str
) -> None:
    pack = PACKERS[packer]
    found = Judged(pack(pickle.dumps(Payload(f"touch {sentinel}"))))
    assert (found.format, found.result) == (Format.COMPRESSED, Result.MALICIOUS)
    assert Judged(pack(pickle.dumps({"a": 1}))).result is Result.CLEAN
    bomb = Judged(pack(b"\0" * (40 << 20)))
    assert (bomb.result, bomb.rules) == (Result.MALICIOUS, {"budget"})
    assert Judged(pack(pickle.dumps({"a": 1}))[:-9]).result is not Result.CLEAN
    assert not sentinel.exists()


@pytest.mark.parametrize("magic", [b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"])
def test_what_is_packed_by_a_method_that_is_not_read_is_unreadable(magic: bytes) -> None:
    assert Judged(magic + b"\0" * 50).result is Result.UNREADABLE


def test_text_that_only_a_loader_of_pickles_would_take_is_not_clean() -> None:
    # `I0x10` is a number to the unpickler and none to `pickletools`.
    for name in ("model.pkl", "model", "weights.bin"):
        assert Judged(b"I0x10\n0cos\nsystem\n(S'true'\ntR.", name).result is not Result.CLEAN


def test_budgets_of_opcodes_hold() -> None:
    walked = follow(pickle.dumps(list(range(1000))), 500)
    assert walked.broken == "more opcodes than the budget allows"
    assert follow(pickle.dumps(list(range(1000))), 5000).broken == ""


def test_the_second_opinion_only_makes_things_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab.artifacts import pickle_survey

    everything = rules().allowed | {("uuid", "UUID"), ("posix", "system")}
    loose = type(rules())("test", everything, frozenset(), frozenset())
    monkeypatch.setattr(pickle_survey, "rules", lambda: loose)
    found = Judged(b"cposix\nsystem\n(S'true'\ntR.")
    assert (found.result, found.rules) == (Result.MALICIOUS, {"picklescan"})


def test_the_lists_are_apart_and_prefixes_allow_nothing() -> None:
    known = rules()
    assert not known.allowed & known.dangerous
    assert not [pair for pair in known.dangerous if known.mixed(Global(*pair))]
    for module, name in known.allowed:
        assert known.severity(Global(module, name)) is Severity.INFO
        assert known.severity(Global(module, f"{name}.other")) is not Severity.INFO
        assert not {module, module.partition(".")[0]} & known.dangerous_modules, module
    assert known.severity(Global(None, "x")) is Severity.SUSPICIOUS
