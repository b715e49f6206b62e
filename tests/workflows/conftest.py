"""What every test of a workflow may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflows import releasing
from tests.workflows.house import House, opened
from tests.workflows.releasing import Plane


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with one model in service, at noon of its first day."""
    with opened(tmp_path / "home") as house:
        yield house


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """A control plane with people who sign, and a model of tier 2 without a version."""
    with releasing.opened(tmp_path / "plane") as plane:
        yield plane
