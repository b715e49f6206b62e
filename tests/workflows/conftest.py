"""What every test of a workflow may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflows.house import House, opened


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with one model in service, at noon of its first day."""
    with opened(tmp_path / "home") as house:
        yield house
