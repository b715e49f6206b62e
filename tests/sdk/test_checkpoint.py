"""Signed notes and heads, also against notes that others signed."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.sdk.checkpoint import Checkpoint, Note, VerifierKey, from_base64

# Public facts: the key of Go's checksum database, and a head that it signed.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_HEAD = (
    "go.sum database tree\n65209736\n5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=\n\n"
    "— sum.golang.org Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtY"
    "spg3dxXABkGZZKdsQ8=\n"
)
TEXT = "audit.example.org/trimtab\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


def test_a_head_of_another_log_in_production_is_read_and_verified() -> None:
    key, head = VerifierKey.parse(GO_KEY), Checkpoint.parse(GO_HEAD)
    assert (head.origin, head.size) == ("go.sum database tree", 65209736)
    assert head.root.hex().startswith("e7eb86163c7a")
    assert head.note.signers([key]) == {key.public}
    assert str(key) == GO_KEY


def test_the_published_example_of_a_signed_note() -> None:
    key = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = Note.parse(
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppz"
        "i2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    assert note.text == "This is an example message.\n"
    assert note.signers([key]) == {key.public}


def test_a_changed_head_is_refused() -> None:
    key = VerifierKey.parse(GO_KEY)
    with pytest.raises(IntegrityFailed):
        Checkpoint.parse(GO_HEAD.replace("65209736", "65209737")).note.signers([key])


def test_two_lines_by_one_key_count_once(signers: Any) -> None:
    one = signers()
    note = Note.parse(one.note(TEXT) + one.line(TEXT))
    assert len(note.signatures) == 2
    assert note.signers([VerifierKey.parse(one.vkey)]) == {one.public}


def test_one_key_under_two_names_counts_once(signers: Any) -> None:
    one, alias = signers("first", "same"), signers("second", "same")
    note = Note.parse(one.note(TEXT) + alias.line(TEXT))
    keys = [VerifierKey.parse(one.vkey), VerifierKey.parse(alias.vkey)]
    assert keys[0].key_id != keys[1].key_id
    assert len(note.signers(keys)) == 1


def test_two_keys_count_twice_and_a_witness_is_ignored(signers: Any) -> None:
    one, two, witness = signers("a", "1"), signers("b", "2"), signers("w", "3")
    note = Note.parse(one.note(TEXT) + witness.line(TEXT) + two.line(TEXT))
    keys = [VerifierKey.parse(one.vkey), VerifierKey.parse(two.vkey)]
    assert note.signers(keys) == {one.public, two.public}
    assert note.signers([]) == frozenset()


def test_the_name_alone_does_not_make_the_key(signers: Any) -> None:
    real, impostor = signers(seed="real"), signers(seed="impostor")
    note = Note.parse(impostor.note(TEXT))
    assert note.signers([VerifierKey.parse(real.vkey)]) == frozenset()


def test_a_bad_line_by_a_known_key_spoils_the_note(signers: Any) -> None:
    one = signers()
    note = Note.parse(one.note(TEXT) + one.line(TEXT + "more"))
    with pytest.raises(IntegrityFailed):
        note.signers([VerifierKey.parse(one.vkey)])


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n" + "A" * 43 + "=",  # no newline at the end of the text
        "\n1\n" + "A" * 43 + "=\n",
        "origin\n01\n" + "A" * 43 + "=\n",
        "origin\n-1\n" + "A" * 43 + "=\n",
        "origin\n+1\n" + "A" * 43 + "=\n",
        "origin\n１\n" + "A" * 43 + "=\n",  # a digit, but not one of ASCII
        "origin\n1\n" + "A" * 42 + "==\n",  # 31 bytes
        "origin\n1\n" + "A" * 42 + "B=\n",  # 32 bytes, but not their one encoding
        "origin\n1\n!" + "A" * 43 + "=\n",
        "origin\n1\n" + "A" * 43 + "=\nextension\n",
        "origin\n1\n",
        "origin\n1\r\n" + "A" * 43 + "=\n",
        "orig\ud800in\n1\n" + "A" * 43 + "=\n",
    ],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    line = "— name " + "A" * 91 + "=\n"
    with pytest.raises(InvalidInput) as caught:
        Checkpoint.parse(f"{text}\n{line}", field="known_heads[3]")
    assert caught.value.field == "known_heads[3]"


@pytest.mark.parametrize(
    "block",
    [
        "",
        "- name AAAAAAAA\n",
        "— name AAAAAAAA",
        "— na+me AAAAAAAA\n",
        "— name AAAA====\n",
        "— name AAAAAA==\n",  # a key id and no signature
        "— name AAAAAAAA\n" * 101,
    ],
)
def test_what_is_no_signature_block_is_refused(block: str) -> None:
    with pytest.raises(InvalidInput):
        Note.parse(f"text\n\n{block}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sum.golang.org+033de0ae",
        GO_KEY.replace("033de0ae", "033de0af"),
        GO_KEY.replace("033de0ae", "033DE0AE"),
        GO_KEY.replace("sum.golang.org", "sum.golang.com"),
        GO_KEY.replace("sum.golang.org", "sum golang org"),
        GO_KEY.replace("+Ac4", "+Ag4"),  # another kind of key
        GO_KEY[:-4],
        GO_KEY + "\n",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        VerifierKey.parse(text, field="pinned_key")
    assert caught.value.field == "pinned_key"


def test_base64_has_one_spelling() -> None:
    assert from_base64("AA==") == b"\0"
    for other in ("AB==", "AA", "AA=", "A A==", "AA==\n", "_w==", "é"):
        with pytest.raises(ValueError):  # noqa: PT011 - what matters is that it is refused
            from_base64(other)
