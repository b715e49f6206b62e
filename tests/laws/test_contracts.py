"""The floors are kept, what can be lifted out stands alone, and commands load what they use."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTROL = ("fastapi", "sqlalchemy", "dbos", "starlette", "alembic", "jinja2", "argon2", "yaml")
HEAVY = (*CONTROL, "numpy", "pyarrow", "pydantic", "onnx", "onnxruntime", "sklearn", "cryptography")


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has after `statement`."""
    code = f"{statement}\nimport sys\nprint(' '.join({{m.partition('.')[0] for m in sys.modules}}))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_the_contracts_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stdout[-4000:]


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import trimtab", (*HEAVY, "httpx", "typer")),
        ("import trimtab.kernel.events, trimtab.kernel.errors", (*HEAVY, "httpx")),
        ("import trimtab.stats.univariate, trimtab.stats.rescale", (*CONTROL, "pydantic", "httpx")),
        ("import trimtab.profiles.sources", (*CONTROL, "pydantic", "httpx", "scipy", "numba")),
        (
            "import trimtab.artifacts.verifying, trimtab.artifacts.inspection",
            (*CONTROL, "pydantic"),
        ),
        ("import trimtab.sdk.client, trimtab.sdk.ledger", (*CONTROL, "numpy", "onnxruntime")),
        ("import trimtab.sdk.ledger", (*CONTROL, "numpy", "pydantic", "httpx")),
        ("import trimtab.gateway.app", ("sqlalchemy", "dbos", "fastapi", "alembic", "sklearn")),
        ("import trimtab.recipes.gradient_boosting", (*CONTROL, "httpx", "pydantic")),
        ("import trimtab.cli.commands", HEAVY),
    ],
)
def test_what_is_lifted_out_loads_nothing_of_the_control_plane(
    statement: str, forbidden: tuple[str, ...]
) -> None:
    assert loaded_by(statement) & set(forbidden) == set()


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    code = "import trimtab, sys; print([m for m in sys.modules if m.startswith('trimtab.')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_help_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys; sys.argv = ['trimtab', '--help']\n"
        "from trimtab.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"bad = {HEAVY!r}\n"
        "print('loaded:', *[m for m in bad if m in sys.modules])"
    )
    started = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    with capsys.disabled():
        print(f" [trimtab --help: {time.perf_counter() - started:.2f} s] ", end="")  # noqa: T201 - said, not judged
    assert "Usage" in run.stdout
    assert run.stdout.splitlines()[-1] == "loaded:"
