"""The README's own blocks, run as they stand: whoever follows them gets what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS

from trimtab.demo.processes import start_control_plane, start_gateway
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

README = Path(__file__).parents[2] / "README.md"


def blocks() -> list[str]:
    """The blocks of Python, in their order."""
    return re.findall(
        r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


class Session:
    """One interactive session, into which the blocks are pasted."""

    def __init__(self, folder: Path):
        self._process = subprocess.Popen(
            [sys.executable, "-i", "-q", "-u"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._count = 0

    def paste(self, block: str) -> str:
        """What a block prints, with everything that went wrong."""
        self._count += 1
        end = f"-- end {self._count} --"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{block}\n\nprint({end!r})\n")
        self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            if end in line:
                break
            said += line
        return said

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def outside(address: str, key: str) -> str:
    """What an endpoint reads that is not in the first share."""
    answer = httpx.get(
        f"{address}/v2/models/late-payment",
        headers={"X-Api-Key": key, "X-Endpoint-Id": "till-1"},
    )
    assert answer.status_code in (404, 503), answer.text
    return str(answer.json().get("remedy"))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    found = Session(tmp_path)
    yield found
    found.close()


@pytest.mark.slow
def test_a_first_release_as_the_readme_has_it(tmp_path: Path, session: Session) -> None:
    train, upload, vote, label, days = blocks()
    control = start_control_plane(
        tmp_path / "home",
        "2026-01-01T00:00:00Z",
        port=None,
        more=database_for(tmp_path / "home"),
    )
    gateway = None
    try:
        with Client(control.url) as nobody:
            token = nobody.identity.log_in("admin@localhost", control.admin_password)
        asked = re.search(r"\$B/models -d '(\{.*?\})'", README.read_text("utf-8"), re.DOTALL)
        assert asked is not None
        with Client(control.url, token=token) as admin:
            admin.models.register(shapes.NewModel.model_validate_json(asked[1]))
        upload = upload.replace("http://127.0.0.1:8000", control.url)
        upload = upload.replace("the password shown", control.admin_password)
        said: list[Any] = [session.paste(block) for block in (train, upload, vote)]
        assert "Error" not in "".join(said), said
        keys = dict(re.findall(r"(gateway|shop|labels) (ak_\S+)", said[2]))
        assert set(keys) == {"gateway", "shop", "labels"}
        gateway, address = start_gateway(control, keys["gateway"])
        deadline = (
            time.monotonic() + PATIENCE_SECONDS
        )  # the gateway may come before the canary does
        while "1.1.0 is a global canary" not in (refused := outside(address, keys["shop"])):
            assert time.monotonic() < deadline, refused
            time.sleep(0.1)
        sent = session.paste(label.replace("http://127.0.0.1:8080", address))
        assert re.search(r"[1-9]\d+ labels", sent), sent
        came = session.paste(days)
        assert "promoted 100.0" in came, came
    finally:
        if gateway is not None:
            gateway.stop()
        control.process.stop()
