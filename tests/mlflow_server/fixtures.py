"""Servers that the tests of the connectors share, also between the processes of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mlflow_server.proxy import Proxy
from tests.mlflow_server.starting import Server, shared


@pytest.fixture(scope="session")
def common_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture(scope="session")
def mlflow3(common_folder: Path) -> Iterator[Server]:
    """MLflow 3, filled."""
    with shared(3, common_folder) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow2(common_folder: Path) -> Iterator[Server]:
    """MLflow 2, filled."""
    with shared(2, common_folder) as server:
        yield server


@pytest.fixture
def proxy(mlflow3: Server) -> Iterator[Proxy]:
    """A line to MLflow 3 that can be bad."""
    with Proxy(mlflow3.url) as proxy:
        yield proxy
