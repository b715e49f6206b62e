"""A folder of files in one child: a file that brings it down costs only itself."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.artifacts.test_survey_pickles import Payload

from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.findings import Budget, Result
from trimtab.artifacts.surveying import Survey, SurveyLimits, survey
from trimtab.kernel.errors import InvalidInput, Unavailable
from trimtab.platform.child import run_limited

LIMITS = SurveyLimits(max_seconds=60, max_seconds_per_file=20, max_memory_mib=2048)


def placed(folder: Path, *contents: bytes) -> Path:
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
    return folder


def reasons(found: Survey) -> list[str]:
    return [file.findings[0].detail for file in found.files if not file.digest]


def test_a_folder_is_inspected_in_one_confined_child(tmp_path: Path, sentinel: Path) -> None:
    contents = (b"text\n", pickle.dumps(Payload(f"touch {sentinel}")), b"a: 1\n")
    folder = tmp_path / "files"
    folder.mkdir()
    found = survey(
        placed(folder, *contents), ["a.txt", "model.pkl", "conda.yaml"], LIMITS, run=run_limited
    )
    assert [file.result for file in found.files] == [
        Result.CLEAN,
        Result.MALICIOUS,
        Result.CLEAN,
    ]
    assert [file.digest for file in found.files] == [sha256_of(data) for data in contents]
    assert found.files[2].evidence == {
        "kind": "conda", "python": None, "channels": [],
        "dependencies": [], "index_urls": [], "includes": [],
    }  # fmt: skip
    assert found.restarts == 0
    assert set(found.isolation) >= {"network", "files"}
    assert not sentinel.exists()


@pytest.mark.slow
def test_a_file_that_takes_too_long_costs_only_itself(tmp_path: Path) -> None:
    # Many values to count, each of them quickly: no parser of ours is slow on purpose.
    slow = b"\x80\x04" + b"N0" * 4_000_000 + b"N."
    folder = placed(tmp_path, b"one\n", slow, b"three\n")
    limits = replace(LIMITS, max_seconds_per_file=0.5, budget=Budget(max_pickle_opcodes=1 << 40))
    found = survey(folder, ["a.txt", "b.pkl", "c.txt"], limits, run=run_limited)
    assert [f.result for f in found.files] == [Result.CLEAN, Result.UNREADABLE, Result.CLEAN]
    assert reasons(found) == ["took more than 0.5 s"]
    assert found.restarts == 1


def test_a_missing_file_and_a_link_are_never_clean(tmp_path: Path) -> None:
    (tmp_path / "0").symlink_to("/etc/passwd")
    found = survey(tmp_path, ["a.txt", "b.txt"], LIMITS, run=run_limited)
    assert [f.result for f in found.files] == [Result.MALICIOUS, Result.UNREADABLE]
    assert {f.rule for file in found.files for f in file.findings} == {"symlink", "unopenable"}


@dataclass(frozen=True)
class End:
    """How a stand-in for a child ended."""

    stdout: bytes = b""
    outcome: str = "crashed"
    returncode: int = -11
    seconds: float = 1.0
    isolation: Mapping[str, str] = field(default_factory=lambda: {"network": "none"})
    began: bool = True


def line(number: int, **changes: Any) -> bytes:
    report = {
        "file": number, "result": "clean", "findings": [], "format": "text", "size": 1,
        "digest": "sha256:" + "0" * 64, "evidence": None,
    } | changes  # fmt: skip
    return json.dumps(report).encode() + b"\n"


def runner(answer: Callable[[int], End], asked: list[int]) -> Any:
    def run(module: str, args: Sequence[str] = (), **limits: Any) -> End:
        asked.append(int(args[2]))
        return answer(asked[-1])

    return run


def test_after_a_crash_the_next_child_begins_behind_the_file_at_fault(tmp_path: Path) -> None:
    asked: list[int] = []
    ends = {0: End(line(0) + line(1) + b'{"file": 2, "res'), 3: End(line(3), "ok", 0)}
    found = survey(tmp_path, list("abcd"), LIMITS, run=runner(ends.__getitem__, asked))
    assert asked == [0, 3]
    assert [f.result.value for f in found.files] == ["clean", "clean", "unreadable", "clean"]
    assert reasons(found) == ["the inspector ended with crashed"]


def test_a_child_that_somebody_else_killed_tries_its_file_once_more(tmp_path: Path) -> None:
    asked: list[int] = []
    found = survey(tmp_path, ["a"], LIMITS, run=runner(lambda _: End(b"", "killed", -9), asked))
    assert asked == [0, 0]
    assert reasons(found) == ["the inspector ended with killed"]


def test_restarts_seconds_and_files_have_an_end_and_nobody_is_left_out(tmp_path: Path) -> None:
    asked: list[int] = []
    few = replace(LIMITS, max_restarts=1, max_files=4)
    found = survey(tmp_path, list("abcde"), few, run=runner(lambda _: End(), asked))
    assert asked == [0, 1]
    assert [f.result for f in found.files] == [Result.UNREADABLE] * 5
    assert "more than 1 files" in reasons(found)[2]
    assert "more than 4 files" in reasons(found)[4]
    short = replace(LIMITS, max_seconds=1.5)
    found = survey(tmp_path, list("abc"), short, run=runner(lambda _: End(), asked))
    assert reasons(found)[2] == "not inspected: 1.5 s were used up before"


@pytest.mark.parametrize(
    "said",
    [
        b"not json\n",
        line(5),
        line(0, result="fine"),
        line(0, digest="sha256:x"),
        line(0, findings=[{"rule": "a"}]),
        line(0, evidence=[1]),
        b"[]\n",
    ],
)
def test_an_answer_that_makes_no_sense_is_never_clean(tmp_path: Path, said: bytes) -> None:
    found = survey(tmp_path, ["a"], LIMITS, run=runner(lambda _: End(said, "ok", 0), []))
    assert [f.result for f in found.files] == [Result.UNREADABLE]


def test_where_no_child_can_run_nothing_is_said_of_any_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        survey(tmp_path, ["a"], LIMITS, run=runner(lambda _: End(began=False), []))
    with pytest.raises(InvalidInput):
        survey(tmp_path, ["a"], replace(LIMITS, max_seconds=0), run=run_limited)
