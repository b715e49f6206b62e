"""What environment files and MLmodel documents say, as plain data."""

from __future__ import annotations

import json

import pytest
from tests.artifacts.test_survey_pickles import Judged

from trimtab.artifacts.environment import address
from trimtab.artifacts.findings import Result
from trimtab.artifacts.plainyaml import NotPlain, read_yaml

CONDA = b"""
name: mlflow-env
channels: [conda-forge, "https://user:hunter22222@conda.example.org/main?token=abc"]
dependencies:
- python=3.10.14
- numpy=1.26
- conda-forge::scipy==1.17.1
- pip:
  - --extra-index-url https://user:hunter22222@pypi.example.org/simple
  - scikit-learn==1.9.1
  - pandas>=2
"""
REQUIREMENTS = b"""
# a comment
-r base.txt
--index-url http://pypi.example.org/simple
mlflow[extras]==3.17.2 ; python_version > "3.10"
numpy \\
  >=2,<3
scipy==1.*
lightgbm @ https://user:hunter22222@example.org/lightgbm.whl?x=1
mine @ git+https://example.org/mine.git@0123456789abcdef0123456789abcdef01234567
torch==2.5.0 --hash=sha256:00
--install-option=x
"""


def test_a_conda_environment_is_read_and_addresses_have_no_credentials() -> None:
    found = Judged(CONDA, "model/conda.yaml")
    assert found.evidence is not None
    assert found.evidence["python"] == "3.10.14"
    pinned = {entry["name"]: entry["pinned"] for entry in found.evidence["dependencies"]}
    assert pinned == {
        "python": True,
        "numpy": False,
        "scipy": True,
        "scikit-learn": True,
        "pandas": False,
    }
    assert found.evidence["channels"] == ["conda-forge", "https://conda.example.org/main"]
    assert found.evidence["index_urls"] == ["https://pypi.example.org/simple"]
    assert (found.result, "secret" in found.rules) == (Result.SUSPICIOUS, True)
    assert "hunter" not in json.dumps([found.evidence, found.details])


def test_requirements_are_read() -> None:
    found = Judged(REQUIREMENTS, "requirements.txt")
    assert found.evidence is not None
    entries = {entry["name"]: entry for entry in found.evidence["dependencies"]}
    assert {name: entry["pinned"] for name, entry in entries.items()} == {
        "mlflow": True,
        "numpy": False,
        "scipy": False,
        "lightgbm": False,
        "mine": True,
        "torch": True,
    }
    assert entries["numpy"]["specifier"] == ">=2,<3"
    assert entries["lightgbm"]["specifier"] == "@ https://example.org/lightgbm.whl"
    assert found.evidence["includes"] == ["base.txt"]
    assert {"index", "requirement", "secret"} <= found.rules
    assert "hunter" not in json.dumps([found.evidence, found.details])


def test_a_version_is_not_read_as_a_number() -> None:
    found = Judged(b"python: 3.10\ndependencies: [-r requirements.txt]\n", "python_env.yaml")
    assert found.evidence is not None
    assert (found.evidence["python"], found.result) == ("3.10", Result.CLEAN)


def test_an_mlmodel_says_what_it_declares_and_what_it_would_run() -> None:
    honest = b"flavors:\n  sklearn: {pickled_model: model.pkl, code: null}\nrun_id: abc\n"
    found = Judged(honest, "model/MLmodel")
    assert found.result is Result.CLEAN
    assert found.evidence is not None
    assert found.evidence["run_id"] == "abc"
    assert found.evidence["flavors"]["sklearn"]["pickled_model"] == "model.pkl"
    for more in ("loader_module: mine.loader", "code: code", "skops_trusted_types: [mine.Model]"):
        data = f"flavors:\n  python_function:\n    {more}\n".encode()
        assert Judged(data, "MLmodel").rules == {"model_code"}
    harmful = b"flavors:\n  sklearn:\n    skops_trusted_types: [os.system]\n"
    assert Judged(harmful, "MLmodel").result is Result.MALICIOUS


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "[1]: x\n",
        "a: &x [*x]\n",
        "a: {<<: {b: 1}}\n",
        "a: !custom x\n",
        "a: !!python/object/apply:os.system [true]\n",
        "%TAG !p! tag:yaml.org,2002:py\n---\na: !p!thon/name:os.system x\n",
        "a: !!binary aGVsbG8=\n",
        "a: 1\n---\nb: 2\n",
        "a: [\n",
        "[" * 50 + "]" * 50,
        "a: \xff",
    ],
)
def test_yaml_that_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(NotPlain):
        read_yaml(text.encode("latin-1"), max_bytes=10_000, max_values=1000)
    with pytest.raises(NotPlain):
        read_yaml(b"a: 1", max_bytes=3, max_values=1000)


def test_plain_yaml_is_read_as_the_safe_loader_reads_it() -> None:
    text = b"a: [1, -2, 1.5, true, no, null, ~, 'x', 1_000]\nb: {c: &k [1], d: *k}\ne: .nan\n"
    assert read_yaml(text, max_bytes=1000, max_values=100) == {
        "a": [1, -2, 1.5, True, False, None, None, "x", 1000],
        "b": {"c": [1], "d": [1]},
        "e": ".nan",
    }


@pytest.mark.parametrize("name", ["conda.yaml", "python_env.yaml", "MLmodel"])
@pytest.mark.parametrize("text", ["- a\n", "dependencies: x\nflavors: y\n", "3\n"])
def test_documents_of_another_shape_are_unreadable(name: str, text: str) -> None:
    found = Judged(text.encode(), name)
    assert (found.result, found.evidence) == (Result.UNREADABLE, None)


def test_addresses_are_shown_without_what_is_secret_in_them() -> None:
    assert address("https://a:b@example.org/x?token=1#y") == "https://example.org/x"
    assert address("git+ssh://git@example.org/x") == "git+ssh://example.org/x"
