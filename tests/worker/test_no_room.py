"""An upload for which the machine has no room: refused whole, told and logged as ours."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import httpx
import pytest
from tests.serving import administered
from tests.worker.test_application import PASSWORD, files_no_larger_than, opened

from trimtab.app import Application

pytestmark = pytest.mark.slow

VERSIONS = "/api/v1/models/late-payment/versions"
SPOOLED = 12 << 20  # far above what is held in memory


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process puts temporary files."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return opened(tmp_path / "home")


def handed_in(client: httpx.Client) -> httpx.Response:
    metadata = {"version": "1.0.0", "cutoff": 0.5, "reason": "a test"}
    files = {name: (name, os.urandom(SPOOLED)) for name in ("artifact", "reference", "holdout")}
    return client.post(VERSIONS, data={"metadata": json.dumps(metadata)}, files=files)


@pytest.mark.parametrize("full", ["in the middle", "from the start"])
def test_an_upload_without_room_is_refused_whole(
    application: Application, place: Path, full: str, capsys: pytest.CaptureFixture[str]
) -> None:
    blobs = application.settings.home / "blobs"
    with administered(application, PASSWORD) as client:
        if full == "in the middle":
            with files_no_larger_than(4 << 20):
                answer = handed_in(client)
        else:
            place.rmdir()  # a file cannot be made there, as on a disk without free inodes
            answer = handed_in(client)
            place.mkdir()
        assert answer.status_code == 503, answer.text
        body = answer.json()
        assert (body["code"], answer.headers["retry-after"]) == ("unavailable", "2")
        assert "no room" in body["detail"]
        assert "nothing was kept" in body["detail"]
        assert str(place) not in answer.text  # a caller is not told about our folders
        told = capsys.readouterr()
        assert "a body could not be kept" in told.out + told.err
        assert str(place) in told.out + told.err
        assert list(place.iterdir()) == []
        assert [p for p in blobs.rglob("*") if p.is_file()] == []
        # room again, without a restart: now it is the model that is not there
        assert handed_in(client).status_code == 404
    application.parts.records.database.close()


def test_no_room_to_sign_is_ours(tmp_path: Path) -> None:
    from trimtab.artifacts.binding import Binding
    from trimtab.kernel.errors import Unavailable
    from trimtab.workflows.intake import _signed

    application = opened(tmp_path / "home")
    parts = application.parts
    with tempfile.TemporaryFile() as content:
        content.write(b"a model")
        content.seek(0)
        blob = parts.blobs.put(content, max_bytes=100)
    (tmp_path / "home" / "scratch").rmdir()
    with pytest.raises(Unavailable, match="no folder can be made") as refused:
        _signed(parts, blob.digest, Binding("m", "1.0.0", None, blob.digest, blob.digest))
    assert refused.value.remedy
    parts.records.database.close()
