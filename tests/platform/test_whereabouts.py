"""Where a control plane is asked, for commands in other terminals than its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trimtab.platform.settings_model import Settings
from trimtab.platform.whereabouts import note_served, served_at


def settings(home: Path, **more: object) -> Settings:
    return Settings().model_copy(update={"home": home, **more})


def test_the_port_that_serve_was_given_is_known_elsewhere(tmp_path: Path) -> None:
    assert served_at(settings(tmp_path)) == "http://127.0.0.1:8000"
    note_served(settings(tmp_path, port=20800))
    assert served_at(settings(tmp_path)) == "http://127.0.0.1:20800"
    note_served(settings(tmp_path))
    assert served_at(settings(tmp_path)) == "http://127.0.0.1:8000"


def test_what_the_settings_say_wins(tmp_path: Path) -> None:
    note_served(settings(tmp_path, port=20800))
    assert served_at(settings(tmp_path, port=20900)) == "http://127.0.0.1:20900"
    origin = "https://trimtab.example.org"
    assert served_at(settings(tmp_path, origin=origin)) == origin


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"elsewhere"])
def test_a_note_that_is_none_is_passed_over(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "served").write_bytes(text)
    assert served_at(settings(tmp_path)) == "http://127.0.0.1:8000"


def test_several_that_start_at_once_leave_one_note(tmp_path: Path) -> None:
    chosen = [settings(tmp_path, port=20800 + n) for n in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note_served, chosen * 50))
    assert served_at(settings(tmp_path)) in {one.public_origin() for one in chosen}
    assert [file.name for file in tmp_path.iterdir()] == ["served"]


def test_a_start_does_not_fail_for_want_of_a_note(tmp_path: Path) -> None:
    note_served(settings(tmp_path / "nowhere", port=20800))
    (tmp_path / "served").mkdir()
    assert served_at(settings(tmp_path)) == "http://127.0.0.1:8000"
