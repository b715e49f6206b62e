"""A version of a registry goes the way of any upload: the bytes that were inspected, no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
from tests.workflows.handing_in import ACTOR, MODEL, NAMES, good_files, register
from tests.workflows.registry import Plane, Registry, details_of, opened

from trimtab.inventory import store
from trimtab.inventory.source import Listing, SourceFile
from trimtab.inventory.store import Filter
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.registry.model import Version
from trimtab.workflows.handing_over import HandOver, hand_over
from trimtab.workflows.inspecting import Inspector

pytestmark = pytest.mark.slow


@dataclass
class House:
    """A control plane with a registered model, and the registry that it reads."""

    plane: Plane
    registry: Registry


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "home") as plane:
        register(plane.application, NAMES)
        yield House(plane, Registry())


def logged(house: House, files: dict[str, bytes], **tags: str) -> str:
    """A version with these files in its registry, read and looked into; its record."""
    plane, registry = house.plane, house.registry
    registry.put("credit", 1, stage="Production")
    version = registry.version("credit", 1)
    assert version is not None
    found = details_of(version, **tags)
    listed = tuple(SourceFile(path, len(body)) for path, body in files.items())
    listing = Listing(str(version.document["source"]), listed)
    registry.leads_to["credit", 1] = replace(found, listing=listing)
    registry.contents |= files
    plane.cycle(registry)
    Inspector(plane.parts).inspect(plane.connection.id, lambda _: registry)
    with plane.parts.records.look() as reading:
        return store.listed(reading, Filter())[0].id


def handed(house: House, record: str, file: str | None = None) -> Version:
    """The version here that a record becomes."""
    _, reference, holdout = good_files()
    given = HandOver(
        record, file, MODEL, "1.0.0", None, 0.5, None, BytesIO(reference), BytesIO(holdout)
    )
    parts = house.plane.parts
    return hand_over(parts, ACTOR, given, lambda _: house.registry, reason="a test")


def test_the_bytes_that_were_inspected_become_a_version(house: House) -> None:
    artifact = good_files()[0]
    claims = {"risk_category": "minimal", "compliance_approver": "the chief"}
    record = logged(house, {"model.onnx": artifact, "MLmodel": b"flavors: {}\n"}, **claims)
    version = handed(house, record)
    assert version.lifecycle.value == "development"  # whatever its tags claim
    assert version.size_bytes == len(artifact)
    assert version.lineage["record"] == record
    assert version.lineage["registry_model"] == "credit"
    assert version.training_metrics == {"auc": 0.9}
    assert version.signature


def test_other_bytes_than_were_inspected_are_refused(house: House) -> None:
    artifact = good_files()[0]
    record = logged(house, {"model.onnx": artifact})
    house.registry.contents["model.onnx"] = artifact[:-1] + b"\0"
    with pytest.raises(IntegrityFailed, match="other bytes than those that were looked into"):
        handed(house, record)
    house.registry.contents["model.onnx"] = artifact + b"more"
    with pytest.raises(IntegrityFailed):
        handed(house, record)


def test_only_one_onnx_file_that_was_looked_into_is_taken(house: House) -> None:
    record = logged(house, {"model.pkl": b"\x80\x04N.", "notes.txt": b"a note\n"})
    with pytest.raises(InvalidInput, match="0 files that are ONNX models") as none:
        handed(house, record)
    assert "convert the model" in (none.value.remedy or "")
    with pytest.raises(InvalidInput, match="has no file"):
        handed(house, record, "../../etc/passwd")


def test_what_its_registry_has_no_more_is_not_taken(house: House) -> None:
    record = logged(house, {"model.onnx": good_files()[0]})
    house.registry.take_away("credit", 1)
    with pytest.raises(InvalidInput, match="no more"):
        handed(house, record)
