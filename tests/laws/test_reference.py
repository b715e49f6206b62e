"""Whatever a reader may meet is documented, and the pages say what the source says."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trimtab.api import problems
from trimtab.api.codes import status_of
from trimtab.api.table import WHY_OPEN
from trimtab.identity.demands import OPEN
from trimtab.identity.roles import PERMISSIONS
from trimtab.kernel import errors
from trimtab.platform import settings
from trimtab.sdk import client, shapes

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "write_reference.py"
KIND = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> Any:
    return loaded()


def test_the_reference_pages_are_up_to_date(reference: Any) -> None:
    for name, content in reference.generated().items():
        page = ROOT / "docs" / "reference" / name
        assert page.read_text("utf-8") == content, "run: python scripts/write_reference.py"


def test_the_settings_are_documented() -> None:
    for path, content in settings.generated().items():
        assert (ROOT / path).read_text("utf-8") == content, path


def test_an_event_kind_is_a_noun_and_a_verb_and_nobody_elses(reference: Any) -> None:
    events = reference.every_event()
    assert len(events) > 60
    kinds = [event.kind for event in events]
    assert len(set(kinds)) == len(kinds)
    for event in events:
        assert KIND.fullmatch(event.kind), event
        assert dataclasses.is_dataclass(event), event
        assert "kind" in vars(event), f"{event} has the kind of its parent"
        assert len(reference._sentence(event)) > 10, f"{event} is not described"


def test_every_error_has_a_code_a_status_and_a_way_out(reference: Any) -> None:
    found = reference.every_error()
    assert len(found) > 10
    for error in found:
        assert error.__doc__
        assert "code" not in vars(error) or error.code in problems.WAY_OUT, error
    codes = {e.code: e for e in found if "code" in vars(e)}
    assert len(codes) == sum("code" in vars(e) for e in found)
    kernel = [e for e in found if e.__module__ == errors.__name__]
    assert {e.code for e in kernel} == set(client.BY_CODE)
    assert {e for e in kernel if status_of(e) == 500} == set()


def test_every_address_demands_a_permission_that_somebody_has(reference: Any) -> None:
    routes = reference.every_route()
    assert len(routes) > 60
    silent = [entry.name for entry in routes if entry.permission is None]
    assert silent == []
    assert {entry.permission for entry in routes} - PERMISSIONS == {OPEN}


def test_what_is_open_to_everybody_is_on_a_list_with_the_reason(reference: Any) -> None:
    assert {entry.name for entry in reference.every_route() if entry.open} == set(WHY_OPEN)
    assert all(len(why) > 20 for why in WHY_OPEN.values())


def test_every_body_is_on_the_page_of_addresses_with_what_each_field_means(
    reference: Any,
) -> None:
    page = reference.api_page().partition("## Bodies")[2]
    whole = reference.described()
    bodies = [
        f"`{method.upper()} {path}`"
        for path, operations in whole["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]
    assert len(bodies) > 30
    assert [body for body in bodies if body not in page] == []
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if len(row.rstrip("| ").rpartition(" | ")[2]) < 4] == []
    for field in shapes.NewVersion.model_fields:  # sent as text, in a form
        assert f"| `{field}` |" in page
    version = page.partition("### NewVersion")[2].partition("###")[0]
    for row in (
        "| `cutoff` | number | required | 0 to 1 |",
        "| `training_trigger` | text | may be left out, else `manual` | one of `manual`, `drift`,",
        "| `reason` | text | required | 3 to 2000 characters;",
    ):
        assert row in version


def test_every_permission_opens_something(reference: Any) -> None:
    demanded = {entry.permission for entry in reference.every_route()}
    elsewhere = {"models:infer"}  # the gateway's
    later = {"incidents:operate", "policies:read", "retraining:propose"}
    assert PERMISSIONS - demanded - elsewhere <= later
