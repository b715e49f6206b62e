"""What holds for every file of the source; each exception is named, with its reason."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "trimtab"

LONG_FILES = {
    "sdk/shapes.py": "every shape that goes over the wire, in one place; declarations only",
}
LONG_FUNCTIONS: dict[tuple[str, str], str] = {}
CLOCK = {"kernel/clock.py": "here the machine is asked"}
BROAD = {
    "demo/processes.py": "ends the process it has begun, then raises on",
    "platform/database.py": "rolls back, then raises on",
    "workflows/serving.py": "closes the file, then raises on",
}
CARRIES_ON = {"worker.py": "says so, and makes the next pass: without it nothing runs any more"}
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


def test_nobody_fetches_the_time() -> None:
    fetched = re.compile(
        r"(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|gmtime|localtime))"
    )
    found = {
        name
        for name, _text, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and fetched.fullmatch(ast.unparse(node))
        if name not in CLOCK
    }
    bare = {
        name
        for name, _text, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        if {a.name for a in node.names} & {"time", "time_ns", "gmtime", "localtime"}
    }
    assert found | bare == set()


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
