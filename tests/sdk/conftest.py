"""A ledger builder as naive as the format page allows, sharing no code with writer or verifier."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "audit.example.org/trimtab"


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, over leaf data, by its recursive definition."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\x00" + leaves[0])
    k = split(len(leaves))
    return sha(b"\x01" + mth(leaves[:k]) + mth(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], complete: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2."""
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class Signer:
    """An Ed25519 key with a name, that signs notes."""

    def __init__(self, name: str = "audit.example.org/trimtab", seed: str = "ledger"):
        self.name = name
        self.private = Ed25519PrivateKey.from_private_bytes(sha(seed.encode()))
        self.public = self.private.public_key().public_bytes_raw()
        self.key_id = sha(name.encode() + b"\n\x01" + self.public)[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{b64(bytes([1]) + self.public)}"

    def line(self, text: str) -> str:
        return f"— {self.name} {b64(self.key_id + self.private.sign(text.encode()))}\n"

    def note(self, text: str) -> str:
        return f"{text}\n{self.line(text)}"


class Ledger:
    """Entries as (header, salt, payload) bytes, open to every kind of tampering."""

    def __init__(self, signer: Signer | None = None, origin: str = ORIGIN):
        self.signer = signer or Signer()
        self.origin = origin
        self.rows: list[tuple[bytes, bytes | None, bytes | None]] = []
        self._tenants: dict[str | None, int] = {}

    def add(
        self,
        tenant: str | None = None,
        *,
        payload: bytes | None = None,
        salt: bytes | None = None,
        **header: Any,
    ) -> None:
        n = len(self.rows) + 1
        self._tenants[tenant] = self._tenants.get(tenant, 0) + 1
        if payload is None:
            payload = canonical(
                {
                    "subject": f"ro_{n}",
                    "reason": f"step {n}, als „ruhig“ beurteilt",
                    "cause": n - 1 or None,
                    "data": {"share": n / 8, "note": "line\nbreak"},
                }
            )
        salt = sha(b"salt %d" % n)[:16] if salt is None else salt
        members = {
            "v": 1,
            "sequence": n,
            "tenant": tenant,
            "tenant_sequence": self._tenants[tenant],
            "kind": "rollout.advanced",
            "actor": f"usr_{n % 3}",
            "at": f"2015-07-01T00:{n // 60 % 60:02}:{n % 60:02}.000000Z",
            "payload_digest": "sha256:" + sha(salt + payload).hex(),
        }
        self.rows.append((canonical(members | header), salt, payload))

    def headers(self) -> list[bytes]:
        return [header for header, _, _ in self.rows]

    def text(self, size: int | None = None) -> str:
        size = len(self.rows) if size is None else size
        return f"{self.origin}\n{size}\n{b64(mth(self.headers()[:size]))}\n"

    def head(self, size: int | None = None) -> str:
        return self.signer.note(self.text(size))

    def first_line(self, **members: Any) -> dict[str, Any]:
        return {
            "format": "trimtab-ledger-export/1",
            "origin": self.origin,
            "tenant": None,
            "scope": "all",
            "verifier_key": self.signer.vkey,
            "head": self.head(),
        } | members

    def lines(self, *, leaves: bool = False) -> list[dict[str, Any]]:
        """The lines of an export of everything; list index 1 is file line 2 and sequence 1."""
        lines = [self.first_line()]
        for header, salt, payload in self.rows:
            line: dict[str, Any] = {
                "header": header.decode(),
                "salt": None if salt is None else b64(salt),
                "payload": None if payload is None else payload.decode(),
            }
            lines.append(line | ({"leaf": b64(sha(b"\0" + header))} if leaves else {}))
        return lines

    def tenant_lines(self, tenant: str | None) -> list[dict[str, Any]]:
        lines = self.lines()
        chosen = [self.first_line(scope="tenant", tenant=tenant)]
        for index, line in enumerate(lines[1:]):
            if json.loads(line["header"])["tenant"] == tenant:
                proof = [b64(sibling) for sibling in path(index, self.headers())]
                chosen.append(line | {"proof": proof})
        return chosen

    def consistency(self, size: int) -> list[bytes]:
        return subproof(size, self.headers(), True)

    def fork(self) -> Ledger:
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Ledger:
        twin = Ledger(self.signer, self.origin)
        twin.rows = list(self.rows)
        twin._tenants = dict(self._tenants)
        return twin


@pytest.fixture
def naive() -> Any:
    """The tree and its proofs by their recursive definitions, over leaf data."""
    return SimpleNamespace(
        mth=mth, path=path, proof=lambda m, leaves: subproof(m, leaves, True), sha=sha
    )


@pytest.fixture
def signers() -> Any:
    """Makes signers: `signers(name, seed)`."""
    return Signer


@pytest.fixture
def empty_ledger() -> Any:
    """Makes ledgers without entries: `empty_ledger(signer, origin)`."""
    return Ledger


@pytest.fixture
def ledger() -> Any:
    """20 entries of the fleet and two tenants, in turn."""
    made = Ledger()
    for number in range(20):
        made.add((None, "aa", "bb")[number % 3])
    return made


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes an export: `write(lines)` with dicts, or exact bytes for single lines."""

    def written(lines: list[Any]) -> Path:
        file = tmp_path / "export.jsonl"
        with file.open("wb") as out:
            for line in lines:
                raw = line if isinstance(line, bytes) else json.dumps(line).encode()
                out.write(raw + b"\n")
        return file

    return written
