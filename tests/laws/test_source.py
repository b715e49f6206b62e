"""What holds for every file of the source; each exception is named, with its reason."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.laws.names import meaning_of, meanings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "trimtab"

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[tuple[str, str], str] = {}
FETCHED = {
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
    *(f"time.{name}" for name in ("time", "time_ns", "gmtime", "localtime", "ctime")),
    *(f"sqlalchemy.func.{name}" for name in ("now", "current_timestamp", "current_date")),
}
"""What tells the time of the machine or of the database."""

CLOCK = {"kernel/clock.py": "here the machine is asked"}
BROAD = {
    "demo/processes.py": "ends the process it has begun, then raises on",
    "identity/keys.py": "keeps what could not be written, then raises on",
    "identity/rotation.py": "throws away the key that has no entry, then raises on",
    "platform/database.py": "rolls back, then raises on",
    "workflows/loop.py": "says which job failed, then raises on",
    "workflows/serving.py": "closes the file, then raises on",
}
CARRIES_ON = {
    "api/shared_looks.py": "tells whoever asked, who goes on with it; the others are answered",
    "api/server.py": "answers in place of the fault, and says so; the connection serves on",
    "cli/__init__.py": "prints it whole, and ends with a status that is no answer of a command",
    "worker.py": "says so, and makes the next pass: without it nothing runs any more",
}
PRINTS = ("cli/", "demo/")
PRINTS_TOO = {"worker.py": "the first password, shown once and kept out of the log"}
SEALS = {
    "remediation/gate.py": "permits for actions: the gate alone has that key",
    "registry/service.py": "permits for exposure",
    "registry/routing.py": "the routing table",
}


@functools.cache
def modules() -> list[tuple[str, str, ast.Module]]:
    """Name, text and tree of every file of the source."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text("utf-8")
        found.append((path.relative_to(SOURCE).as_posix(), text, ast.parse(text)))
    return found


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    assert function.end_lineno is not None
    whole = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        assert first.end_lineno is not None
        whole -= first.end_lineno - first.lineno + 1
    return whole


def test_no_file_is_longer_than_500_lines() -> None:
    found = {name for name, text, _tree in modules() if len(text.splitlines()) > 500}
    assert found <= set(LONG_FILES)


def test_no_function_is_longer_than_60_lines() -> None:
    found = {
        (name, node.name)
        for name, _text, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > 60
    }
    assert found <= set(LONG_FUNCTIONS)


def fetches_time(tree: ast.Module) -> list[int]:
    """Lines that ask the machine what time it is, under whatever name."""
    known = meanings(tree)
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute | ast.Call)
        and meaning_of(node, known) in FETCHED
    ]


def test_nobody_fetches_the_time() -> None:
    found = {name: fetches_time(tree) for name, _text, tree in modules() if name not in CLOCK}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime as _d\n_d.datetime.now(_d.UTC)",
        "from datetime import datetime as D\nD.now()",
        "def f():\n    from datetime import date as day\n    return day.today()",
        "from datetime import datetime\nmoment = datetime\nmoment.utcnow()",
        "from datetime import datetime\ngetattr(datetime, 'now')()",
        "import time as t\nt.time_ns()",
        "from time import time as seconds\nseconds()",
        "import sqlalchemy as sa\nsa.func.now()",
    ],
)
def test_a_time_that_is_fetched_is_seen(planted: str) -> None:
    assert fetches_time(ast.parse(planted))


def broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def test_nobody_catches_everything() -> None:
    for name, _text, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and broad(node):
                if name in CARRIES_ON:
                    continue
                assert name in BROAD, f"{name}:{node.lineno}"
                assert isinstance(node.body[-1], ast.Raise), f"{name}:{node.lineno} swallows it"


def test_nobody_prints() -> None:
    found = {
        name
        for name, _text, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "pprint"}
        if not name.startswith(PRINTS)
    }
    assert found <= set(PRINTS_TOO)


def test_only_those_who_hold_a_key_seal() -> None:
    found = {
        name
        for name, _text, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"seal", "envelope.seal"}
    }
    assert found == set(SEALS)


def test_nobody_but_the_gate_makes_permits_for_actions() -> None:
    for name, _text, tree in modules():
        if name.startswith("remediation/gate") or name == "remediation/permits.py":
            continue
        called = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        assert "ActionPermit" not in called or name == "remediation/store.py", name
        assert "load_or_create_key" not in called or name == "app.py", name


def test_no_settings_are_read_beside_the_settings() -> None:
    allowed = {
        "platform/settings.py": "reads them once",
        "gateway/settings.py": "the gateway's own",
        "gateway/__main__.py": "hands them to the gateway's settings",
        "cli/commands.py": "the same, for `trimtab gateway`",
        "demo/processes.py": "hands a clean environment to what it starts",
    }
    found = {
        name
        for name, _text, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb"}
    }
    assert {n for n in found if not n.startswith(("platform/child", "remediation/gate"))} <= set(
        allowed
    )


def test_the_repository_stands_alone() -> None:
    assert shutil.which("git"), "this test reads the list of files: apt-get install git"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    inner = "|".join(("REG", "APR", "ROL", "MON", "INC", "DIA", "REM", "RET", "AUD", "SEC"))
    foreign = re.compile(
        rf"\b({inner})-\d+\b|\b[AFI]\d{{2,3}}\b(?!\))|\b" + "se" + r"eds/|\.\./sha" + "red"
    )
    skipped = (".parquet", ".lock", ".txt", ".sql", ".png", ".svg")
    for name in tracked:
        path = ROOT / name
        if not name or name.endswith(skipped) or "datasets/" in name or not path.is_file():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            found = None if "noqa" in line else foreign.search(line)
            assert found is None, f"{name}:{number}: {found and found[0]}"
