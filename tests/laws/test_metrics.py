"""A metric that is declared is written, and a page that names one tells of what there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from trimtab.gateway import metrics as gateway
from trimtab.platform.metrics import Metrics

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "trimtab"
WRITES = {"inc", "set", "observe"}


def declared() -> dict[str, str]:
    """Each attribute of the metrics that is one, with the name of its family."""
    found = {n: m for n, m in vars(Metrics()).items() if isinstance(m, MetricWrapperBase)}
    return {name: metric._name for name, metric in found.items()}


def written(tree: ast.Module) -> set[str]:
    """Attributes that a file writes: `x.name.labels(...).inc()`, or `replace(x.name, ...)`.

    A function that gives a metric to who writes it counts, if it returns nothing else.
    """
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(chain, verb)) if verb in WRITES:
                found |= _attributes(chain)
            case ast.Call(ast.Name("replace"), [ast.Attribute(_, name), *_]):
                found.add(name)
            case ast.Return(ast.IfExp(_, ast.Attribute(_, one), ast.Attribute(_, other))):
                found |= {one, other}
    return found


def _attributes(chain: ast.expr) -> set[str]:
    """Attributes in a chain that are not called: one of the metrics is named like a verb."""
    called = {id(node.func) for node in ast.walk(chain) if isinstance(node, ast.Call)}
    return {
        node.attr
        for node in ast.walk(chain)
        if isinstance(node, ast.Attribute) and id(node) not in called
    }


def everything_written() -> set[str]:
    return {
        name
        for path in SOURCE.rglob("*.py")
        if path.name != "metrics.py"
        for name in written(ast.parse(path.read_text("utf-8")))
    }


def test_every_metric_that_is_declared_is_written() -> None:
    assert len(declared()) > 20
    assert set(declared()) - everything_written() == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("parts.metrics.verdicts.labels('x', 'y').inc()", {"verdicts"}),
        ("replace(self._metrics.drift_score, {})", {"drift_score"}),
        ("parts.metrics.drift_score\nreplace(work, parts.metrics.labels)", set()),
    ],
)
def test_writing_is_told_from_reading(source: str, names: set[str]) -> None:
    assert written(ast.parse(source)) & set(declared()) == names


def test_every_family_on_the_page_is_there_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    told = set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE))
    assert told == set(declared().values())


def test_every_family_that_the_other_pages_name_is_there() -> None:
    families = {*declared().values()}
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for name in re.findall(r"\btrimtab_(?!gateway_)[a-z_]+\b", path.read_text("utf-8")):
            bare = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert {name, bare} & families, f"{path.name}: {name}"


def test_what_the_gateway_counts_is_counted() -> None:
    verbs = {n for n, f in vars(gateway.Requests).items() if callable(f) and n[0] != "_"}
    called = {
        node.func.attr
        for path in (SOURCE / "gateway").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert verbs == {"answered", "inferred", "text"}
    assert verbs <= called
