"""Every public function of the room shows how it is used, and the example runs as written."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest

import trimtab.stats

PAGES = sorted(path.stem for path in Path(trimtab.stats.__path__[0]).glob("[a-z]*.py"))

SHARED = {"streams"}  # what the detectors have in common; each of them has an example of its own


def page(name: str) -> ModuleType:
    return importlib.import_module(f"trimtab.stats.{name}")


def public_functions(module: ModuleType) -> dict[str, FunctionType]:
    return {
        name: thing
        for name, thing in vars(module).items()
        if inspect.isfunction(thing)
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", [name for name in PAGES if name not in SHARED])
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
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    said: list[str] = []
    for example in doctest.DocTestFinder().find(module, extraglobs={"np": np}):
        runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
