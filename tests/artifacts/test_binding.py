from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts.binding import Binding, parse_binding
from trimtab.artifacts.digest import sha256_of
from trimtab.kernel.errors import IntegrityFailed

LIMIT = 100_000
BINDING = Binding("fraud", "2.4.1", "acme", sha256_of(b"model"), sha256_of(b"reference"))


@given(
    st.builds(
        Binding,
        st.text(st.characters(exclude_categories=["Cs"])),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        st.binary().map(sha256_of),
        st.none() | st.binary().map(sha256_of),
    )
)
def test_a_binding_is_read_as_it_was_written(binding: Binding) -> None:
    assert parse_binding(binding.to_bytes(), max_bytes=LIMIT) == binding


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        BINDING.to_bytes() + b"\n",
        BINDING.to_bytes().replace(b":", b": "),
        BINDING.to_bytes().replace(b'"2.4.1"', b"2"),
        BINDING.to_bytes().replace(b'"fraud"', b"null"),
        BINDING.to_bytes().replace(b'"fraud"', b'"\\ud800"'),
        BINDING.to_bytes().replace(b"/1", b"/2"),
        BINDING.to_bytes().replace(b"sha256:", b"SHA256:"),
        BINDING.to_bytes().replace(b"{", b'{"model":"other",'),
    ],
)
def test_a_binding_has_one_spelling(text: bytes) -> None:
    with pytest.raises(IntegrityFailed):
        parse_binding(text, max_bytes=LIMIT)
