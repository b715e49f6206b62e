"""What a policy states binds, or is said not to."""

from __future__ import annotations

import ast
from pathlib import Path

from trimtab.policies.model import TierPolicy
from trimtab.policies.pending import NOT_JUDGED_YET
from trimtab.policies.schema import keys

SOURCE = Path(__file__).parents[2] / "src" / "trimtab"


def read() -> set[str]:
    """Every attribute that the source reads."""
    return {
        node.attr
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


def test_each_key_is_read_by_a_decision_or_said_to_be_idle() -> None:
    names, used = [key.name for key in keys(TierPolicy)], read()
    assert len(names) > 100
    idle = {name for name in names if name.rpartition(".")[2] not in used}
    assert idle == NOT_JUDGED_YET
