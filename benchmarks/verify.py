"""How long the ledger verifier takes, beside the least that this machine could need.

Writes an export to a temporary file and verifies it in a fresh process. The floor is SHA-256
over the very bytes that must be hashed (payloads with salt, leaves, nodes), already in
memory: no verifier in this language could be faster.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from base64 import b64encode
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.floor import Figure, Goal, peak_mebibytes
from trimtab.sdk.ledger import verify_export
from trimtab.sdk.merkle_proofs import CompactRange, leaf_hash

ORIGIN = "benchmark.example.org/trimtab"


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def entry(sequence: int) -> tuple[bytes, bytes, bytes]:
    """Header, salt and payload of about the size that decisions have."""
    salt = sha256(b"%d" % sequence).digest()[:16]
    payload = (
        f'{{"cause":{sequence - 1 or "null"},"data":{{"analysis":{{"events":{sequence},'
        '"psi_nats":0.0625,"verdict":"pass"},"share_percent":25,"to_revision":3},'
        f'"reason":"step judged by its own numbers","subject":"ro_{sequence:016}"}}'
    ).encode()
    header = (
        f'{{"actor":"usr_4h2k9m0000000000","at":"2015-07-01T00:{sequence // 60 % 60:02}:'
        f'{sequence % 60:02}.000000Z","kind":"rollout.advanced","payload_digest":"sha256:'
        f'{sha256(salt + payload).hexdigest()}","sequence":{sequence},"tenant":"t{sequence % 50}",'
        f'"tenant_sequence":{(sequence - sequence % 50) // 50 + (sequence % 50 > 0)},"v":1}}'
    ).encode()
    return header, salt, payload


def write(body: Path, export: Path, entries: int) -> str:
    """Write the export; return the key that signed its head."""
    tree = CompactRange()
    with body.open("w") as out:
        for sequence in range(1, entries + 1):
            header, salt, payload = entry(sequence)
            tree.append(leaf_hash(header))
            line = {"header": header.decode(), "salt": b64(salt), "payload": payload.decode()}
            out.write(json.dumps(line) + "\n")
    private = Ed25519PrivateKey.from_private_bytes(sha256(b"benchmark").digest())
    public = b"\x01" + private.public_key().public_bytes_raw()
    key_id = sha256(ORIGIN.encode() + b"\n" + public).digest()[:4]
    text = f"{ORIGIN}\n{entries}\n{b64(tree.root())}\n"
    signature = b64(key_id + private.sign(text.encode()))
    key = f"{ORIGIN}+{key_id.hex()}+{b64(public)}"
    first = {
        "format": "trimtab-ledger-export/1",
        "origin": ORIGIN,
        "scope": "all",
        "tenant": None,
        "verifier_key": key,
        "head": f"{text}\n— {ORIGIN} {signature}\n",
    }
    with export.open("w") as out, body.open() as lines:
        out.write(json.dumps(first) + "\n")
        out.writelines(lines)
    return key


def verify(path: str, key: str, answer: Connection) -> None:
    """Verify an export; send seconds and peak memory in MiB."""
    started = time.perf_counter()
    report = verify_export(path, pinned_key=key, pinned_origin=ORIGIN)
    seconds = time.perf_counter() - started
    if not report.ok:
        raise SystemExit(f"the benchmark's own export does not verify: {report.findings[:3]}")
    answer.send((seconds, peak_mebibytes()))


def floor(entries: int) -> float:
    """Seconds of SHA-256 alone, measured on a part and scaled."""
    part = min(entries, 50_000)
    texts: list[bytes] = []
    for sequence in range(1, part + 1):
        header, salt, payload = entry(sequence)
        texts += [salt + payload, b"\x00" + header, b"\x01" + bytes(64)]
    started = time.perf_counter()
    for text in texts:
        sha256(text).digest()
    return (time.perf_counter() - started) * entries / part


def measure(*, tiny: bool) -> list[Figure]:
    """Seconds and memory of verifying a million entries."""
    entries, runs = (2_000, 1) if tiny else (1_000_000, 2)
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "export.jsonl"
        key = write(Path(folder) / "body.jsonl", export, entries)
        floors, taken = [], []
        for _ in range(runs):
            floors.append(floor(entries))
            taken.append(_apart(str(export), key))
    name = f"{entries:,} entries"
    return [
        Figure(
            f"{name}: time", "s", [t[0] for t in taken], floors, "SHA-256 of the same", Goal(30)
        ),
        Figure(f"{name}: peak memory", "MiB", [t[1] for t in taken], goal=Goal(300)),
    ]


def _apart(export: str, key: str) -> tuple[float, float]:
    """Seconds and MiB of `verify` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=verify, args=(export, key, there))
    child.start()
    there.close()
    try:
        answer: tuple[float, float] = here.recv()
    except EOFError:
        raise SystemExit("the verifier ended without an answer") from None
    child.join()
    return answer
