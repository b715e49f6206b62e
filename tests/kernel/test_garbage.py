"""Where collections are left out, and that they are only left out there."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.patience import PATIENCE_SECONDS

from trimtab.kernel import garbage

WATCHED = """
import gc, sys

def look(phase, info):
    loaded = sys.modules.get("trimtab.worker")
    if loaded is not None and not hasattr(loaded, "TAKEN_OVER"):
        print("a collection while modules are loaded")

gc.callbacks.append(look)
from trimtab.cli import main
try:
    main()
finally:
    print("enabled" if gc.isenabled() else "disabled", gc.get_freeze_count() > 100_000)
"""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    looking = gc.isenabled()
    yield
    if looking:
        gc.enable()


def test_nothing_is_collected_while_modules_are_loaded() -> None:
    with garbage.loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_again_when_a_module_could_not_be_loaded() -> None:
    with pytest.raises(ImportError), garbage.loading():
        raise ImportError
    assert gc.isenabled()


def test_where_nothing_was_collected_nothing_is() -> None:
    gc.disable()
    with garbage.loading():
        pass
    assert not gc.isenabled()


def test_what_there_is_is_left_out() -> None:
    kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    garbage.settle()
    young = {id(found) for found in gc.get_objects()}
    assert not young & {id(one) for one in kept}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "work"])
def test_the_commands_load_the_application_undisturbed(tmp_path: Path, command: str) -> None:
    """Both are refused once it is loaded, and a refusal is as good as any end."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = {"serve": ["--port", f"{taken.getsockname()[1]}"], "work": ["--role", "none"]}
        told = subprocess.run(
            [sys.executable, "-c", WATCHED, command, *refused[command]],
            env={**os.environ, "TRIMTAB_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    assert told.returncode == 2, told.stderr
    assert told.stdout == "enabled True\n"
