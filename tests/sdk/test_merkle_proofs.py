"""The tree and its proofs against published vectors and against the recursive definitions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.sdk.merkle_proofs import (
    EMPTY_ROOT,
    CompactRange,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

# The leaves and roots that the certificate-transparency implementations test against.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = [  # leaf index, size, proof
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]
CONSISTENCY = [  # smaller size, larger size, proof
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]

shapes = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def data(count: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(count)]


def test_the_published_roots(naive: Any) -> None:
    tree = CompactRange()
    assert tree.root() == ROOTS[0] == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES, start=1):
        tree.append(leaf_hash(leaf))
        assert (tree.size, tree.root()) == (size, ROOTS[size])
        assert naive.mth(LEAVES[:size]) == ROOTS[size]  # the oracle of the other tests, too


@pytest.mark.parametrize(("index", "size", "hexes"), INCLUSION)
def test_the_published_inclusion_proofs(index: int, size: int, hexes: list[str]) -> None:
    proof = [bytes.fromhex(text) for text in hexes]
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, ROOTS[size])


@pytest.mark.parametrize(("first", "second", "hexes"), CONSISTENCY)
def test_the_published_consistency_proofs(first: int, second: int, hexes: list[str]) -> None:
    proof = [bytes.fromhex(text) for text in hexes]
    assert verify_consistency(first, ROOTS[first], second, ROOTS[second], proof)


@given(size=st.integers(1, 70))
@shapes
def test_a_compact_range_has_the_root_of_the_definition(naive: Any, size: int) -> None:
    tree = CompactRange()
    for leaf in data(size):
        tree.append(leaf_hash(leaf))
    assert tree.root() == naive.mth(data(size))


@given(drawn=st.data(), size=st.integers(1, 70))
@shapes
def test_an_inclusion_proof_holds_for_its_own_leaf_only(
    naive: Any, drawn: st.DataObject, size: int
) -> None:
    leaves = data(size)
    index = drawn.draw(st.integers(0, size - 1))
    other = drawn.draw(st.integers(0, size + 3))
    proof, root = naive.path(index, leaves), naive.mth(leaves)
    assert verify_inclusion(leaf_hash(leaves[index]), index, size, proof, root)
    if other != index:
        assert not verify_inclusion(leaf_hash(leaves[index]), other, size, proof, root)


@given(drawn=st.data(), size=st.integers(2, 70))
@shapes
def test_a_damaged_inclusion_proof_does_not_hold(
    naive: Any, drawn: st.DataObject, size: int
) -> None:
    leaves = data(size)
    index = drawn.draw(st.integers(0, size - 1))
    leaf, root = leaf_hash(leaves[index]), naive.mth(leaves)
    for bad in damaged(drawn, naive.path(index, leaves)):
        assert not verify_inclusion(leaf, index, size, bad, root)


@given(drawn=st.data(), second=st.integers(1, 70))
@shapes
def test_a_consistency_proof_joins_its_own_trees_only(
    naive: Any, drawn: st.DataObject, second: int
) -> None:
    leaves = data(second)
    first = drawn.draw(st.integers(1, second))
    old, new = naive.mth(leaves[:first]), naive.mth(leaves)
    proof = naive.proof(first, leaves)
    assert verify_consistency(first, old, second, new, proof)
    forged = naive.mth([b"another past", *leaves[1:first]])
    assert not verify_consistency(first, forged, second, new, proof)
    assert not verify_consistency(first, old, second, naive.sha(new), proof)
    for bad in damaged(drawn, proof) if proof else []:
        assert not verify_consistency(first, old, second, new, bad)


def damaged(drawn: st.DataObject, proof: list[bytes]) -> list[list[bytes]]:
    """One bit flipped, one hash less at either end, one more, and none at all."""
    place = drawn.draw(st.integers(0, len(proof) - 1))
    flipped = list(proof)
    flipped[place] = bytes([flipped[place][0] ^ 1]) + flipped[place][1:]
    return [flipped, proof[1:], proof[:-1], [*proof, proof[-1]], []]


def test_a_proof_holds_for_its_own_sizes_only(naive: Any) -> None:
    first, last = leaf_hash(LEAVES[0]), leaf_hash(LEAVES[3])
    # The path of leaf 0 is that of a larger tree, cut short.
    assert not verify_inclusion(first, 0, 8, naive.path(0, LEAVES[:4]), ROOTS[4])
    # Leaf 3 of 4 has left siblings only, like leaf 1 of 2 with one more above.
    assert not verify_inclusion(last, 1, 2, naive.path(3, LEAVES[:4]), ROOTS[4])
    from_1_to_4, from_7_to_8 = naive.proof(1, LEAVES[:4]), naive.proof(7, LEAVES)
    assert verify_consistency(1, ROOTS[1], 4, ROOTS[4], from_1_to_4)
    assert not verify_consistency(1, ROOTS[1], 8, ROOTS[4], from_1_to_4)
    # 7 within 8 looks like 3 within 4 below a common left subtree.
    assert verify_consistency(7, ROOTS[7], 8, ROOTS[8], from_7_to_8)
    assert not verify_consistency(3, ROOTS[7], 4, ROOTS[8], from_7_to_8)


def test_what_is_no_question_about_a_tree_is_refused() -> None:
    root = ROOTS[8]
    assert not verify_inclusion(root, 0, 0, [], root)
    assert not verify_inclusion(root, 1, 1, [], root)
    assert not verify_inclusion(root, -1, 1, [], root)
    assert not verify_inclusion(root, 0, 1, [root], root)
    assert not verify_consistency(2, root, 1, root, [])
    assert not verify_consistency(-1, root, 1, root, [])
    assert not verify_consistency(8, root, 8, ROOTS[7], [])
    assert not verify_consistency(8, root, 8, root, [root])


def test_only_the_true_empty_tree_begins_every_tree() -> None:
    assert verify_consistency(0, EMPTY_ROOT, 8, ROOTS[8], [])
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert not verify_consistency(0, ROOTS[8], 8, ROOTS[8], [])
    assert not verify_consistency(0, EMPTY_ROOT, 8, ROOTS[8], [ROOTS[8]])


def test_a_node_cannot_pass_as_a_leaf() -> None:
    left, right = leaf_hash(LEAVES[0]), leaf_hash(LEAVES[1])
    assert leaf_hash(left + right) != ROOTS[2]


def test_a_hash_of_another_length_is_none() -> None:
    leaf = leaf_hash(LEAVES[0])
    assert not verify_inclusion(leaf[:31], 0, 1, [], leaf[:31])
    assert not verify_consistency(1, leaf[:31], 1, leaf[:31], [])
