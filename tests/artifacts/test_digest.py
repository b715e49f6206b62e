from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts.digest import parse_digest, sha256_of
from trimtab.kernel.errors import InvalidInput

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.binary(max_size=200))
def test_bytes_and_files_have_the_same_digest(data: bytes) -> None:
    expected = "sha256:" + hashlib.sha256(data).hexdigest()
    assert sha256_of(data) == sha256_of(io.BytesIO(data)) == expected


def test_a_file_longer_than_one_chunk(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"\x01" * (5 << 20))
    assert sha256_of(path) == sha256_of(path.read_bytes())


def test_an_empty_file_has_the_known_digest(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty") == EMPTY == parse_digest(EMPTY)


@pytest.mark.parametrize(
    "text",
    [EMPTY.upper(), EMPTY[7:], EMPTY + "0", EMPTY + "\n", "sha512:" + EMPTY[7:], "", " " + EMPTY],
)
def test_a_digest_has_one_spelling(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_digest(text)
