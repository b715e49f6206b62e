"""What a name in a source file stands for, whatever it was imported or assigned as."""

from __future__ import annotations

import ast


def meanings(tree: ast.Module) -> dict[str, str]:
    """Local names of a file, with the dotted name that each stands for.

    Imports anywhere in the file, and assignments of one name to another, followed until
    nothing is added. A name with two meanings in one file has the last; no file needs that.
    """
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                known[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    assigned = [
        (target.id, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    while True:
        more = {
            name: meaning
            for name, value in assigned
            if name not in known and (meaning := meaning_of(value, known)) is not None
        }
        if not more:
            return known
        known |= more


def meaning_of(node: ast.expr, known: dict[str, str]) -> str | None:
    """The dotted name that an expression stands for; None if it is no such thing."""
    match node:
        case ast.Name(name):
            return known.get(name)
        case ast.Attribute(value, name):
            owner = meaning_of(value, known)
            return None if owner is None else f"{owner}.{name}"
        case ast.Call(ast.Name("getattr"), [owner_node, ast.Constant(str() as name), *_]):
            owner = meaning_of(owner_node, known)
            return None if owner is None else f"{owner}.{name}"
        case _:
            return None
