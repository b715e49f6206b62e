from __future__ import annotations

import pytest

from trimtab.demo.story import Story


@pytest.fixture(scope="session")
def story() -> Story:
    return Story()
