"""What must hold for the whole package: one place makes a permit, one verb begins to act."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from collections.abc import Iterator
from pathlib import Path

import trimtab
from trimtab.kernel.events import Event
from trimtab.remediation import events, gate, gate_process, permits, service

PACKAGE = Path(trimtab.__file__).parent


@functools.cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (str(file.relative_to(PACKAGE)), ast.parse(file.read_text(encoding="utf-8")))
        for file in sorted(PACKAGE.rglob("*.py"))
    )


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name():
                yield node.id
            case ast.Attribute():
                yield node.attr
            case ast.alias():
                yield node.name.rpartition(".")[2]
            case ast.Constant(value=str() as text):
                yield text


def test_only_the_gate_seals_permits_for_actions() -> None:
    sealing = set()
    for name, tree in trees():
        imported = {
            node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module is not None
        }
        if "trimtab.remediation.permits" in imported and "seal" in set(names(tree)):
            sealing.add(name)
    assert sealing == {"remediation/gate.py"}


def test_the_type_of_the_permit_is_named_in_one_place() -> None:
    naming = {
        name for name, tree in trees() if any("action-permit+json" in text for text in names(tree))
    }
    assert naming == {"remediation/permits.py"}


def test_nobody_imports_the_gate_itself() -> None:
    """It is a process; what imports it could hold its key."""
    importing = set()
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                full = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                full = [alias.name for alias in node.names]
            else:
                continue
            if "trimtab.remediation.gate" in full:
                importing.add(name)
    assert importing == set()


def test_only_the_gate_reads_a_private_key_here() -> None:
    reading = {
        name
        for name, tree in trees()
        if name.startswith("remediation/")
        and {"load_or_create_key", "Ed25519PrivateKey", "private_bytes"} & set(names(tree))
    }
    assert reading == {"remediation/gate.py"}


def test_one_verb_begins_to_act_and_it_uses_a_permit() -> None:
    starting = set()
    for name, tree in trees():
        if not name.startswith("remediation/"):
            continue
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and "Started" in set(names(function)):
                starting.add((name, function.name))
    assert starting == {("remediation/model.py", "start")}
    body = inspect.getsource(service.start)
    steps = ["open_permit(", "kept.consume(", "store.use_permit(", "remediation.start("]
    assert [body.index(step) for step in steps] == sorted(body.index(step) for step in steps)
    assert set(inspect.signature(service.start).parameters) == {
        "work",
        "remediation_id",
        "trusted",
        "lease",
    }


def test_no_input_anywhere_could_switch_the_gate_off() -> None:
    suspects = ("safety_check", "skip", "force", "bypass", "dry_run", "override", "disable")
    for module in (gate, gate_process, service, permits):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            for parameter in inspect.signature(function).parameters:
                assert not any(word in parameter for word in suspects), (module, name)
    assert {"nonce", "remediation"} == gate._QUESTION
    assert not {"environ", "getenv"} & {
        x for n, t in trees() if n.startswith("remediation/") for x in names(t)
    }


def test_every_event_has_a_kind_of_its_own() -> None:
    kinds = [
        event.kind
        for module in (events, permits)
        for _, event in inspect.getmembers(module, inspect.isclass)
        if issubclass(event, Event) and event is not Event
    ]
    assert len(kinds) == len(set(kinds)) == 17
    assert all(kind.count(".") == 1 for kind in kinds)
    assert all(dataclasses.is_dataclass(x) for x in (events.Proposed, permits.ActionPermitIssued))
