"""A control plane for commands to ask, and who asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import database_for

from trimtab.demo.processes import ControlPlane, start_control_plane
from trimtab.sdk.client import Client


@contextmanager
def governed(home: Path) -> Iterator[tuple[ControlPlane, str, Client]]:
    """A control plane over the data folder `home`, a token of its administrator, and a client with
    that; it is killed at the end."""
    control = start_control_plane(home, "2015-03-01T00:00:00Z", port=None, more=database_for(home))
    try:
        with Client(control.url) as nobody:
            token = nobody.identity.log_in("admin@localhost", control.admin_password)
        with Client(control.url, token=token) as admin:
            yield control, token, admin
    finally:
        control.process.handle.kill()
        control.process.stop()
