"""Every public function of the room shows how it is used, and the example runs as written; so do
those of its page."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import re
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest

import trimtab.profiles
from trimtab.profiles import codec
from trimtab.profiles.numeric import NumericProfile

PROGRAMS = {"confined": "runs in a process of its own, and is called by whoever starts that"}
PAGES = sorted(
    path.stem
    for path in Path(trimtab.profiles.__path__[0]).glob("[a-z]*.py")
    if path.stem not in PROGRAMS
)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "profiles.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def page(name: str) -> ModuleType:
    return importlib.import_module(f"trimtab.profiles.{name}")


def public_functions(module: ModuleType) -> dict[str, FunctionType]:
    return {
        name: thing
        for name, thing in vars(module).items()
        if inspect.isfunction(thing)
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", PAGES)
def test_every_public_function_has_an_example(name: str) -> None:
    bare = [
        title
        for title, function in public_functions(page(name)).items()
        if not doctest.DocTestParser().get_examples(inspect.getdoc(function) or "")
    ]
    assert bare == []


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_run_as_written(name: str) -> None:
    module = page(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    for example in doctest.DocTestFinder().find(module, extraglobs={"np": np}):
        runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_the_examples_of_the_page_run_as_written(tmp_path: Path) -> None:
    text = "\n".join(re.findall(r"```pycon\n(.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL))
    example = doctest.DocTestParser().get_doctest(text, {}, "profiles.md", None, None)
    assert len(example.examples) > 10
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        runner.run(example, out=said.append)
    finally:
        os.chdir(before)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_the_document_of_the_page_is_read_as_the_page_says() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL)
    found = codec.from_bytes(text.encode())
    assert codec.to_document(found) == json.loads(text)
    amount = found.columns["amount"]
    assert isinstance(amount, NumericProfile)
    assert amount.cells.lower.tolist() == [0.0, 1.5]
    assert amount.cells.upper.tolist() == [0.5, 2.0]
    assert amount.cells.count.tolist() == [2, 1]
