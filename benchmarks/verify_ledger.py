"""How long the ledger verifier takes, beside the least that this machine could need.

    python benchmarks/verify_ledger.py --entries 1000000

Writes an export to a temporary file, verifies it in a fresh process, and prints seconds and
peak memory. The floor is SHA-256 over the very bytes that must be hashed (payloads with salt,
leaves, nodes), already in memory: no verifier in this language could be faster.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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


def verify(path: str, key: str) -> None:
    started = time.perf_counter()
    report = verify_export(path, pinned_key=key, pinned_origin=ORIGIN)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"verified {report.entries:>9,} entries  {seconds:7.2f} s  {peak:6.0f} MiB peak")
    if not report.ok:
        sys.exit(f"the benchmark's own export does not verify: {report.findings[:3]}")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, default=100_000)
    entries = min(parser.parse_args().entries, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "export.jsonl"
        started = time.perf_counter()
        key = write(Path(folder) / "body.jsonl", export, entries)
        (Path(folder) / "body.jsonl").unlink()
        seconds, megabytes = time.perf_counter() - started, export.stat().st_size / 1e6
        print(f"written  {entries:>9,} entries  {seconds:7.2f} s  {megabytes:6.0f} MB file")
        child = multiprocessing.get_context("spawn").Process(target=verify, args=(str(export), key))
        child.start()
        child.join()
        print(f"floor    {entries:>9,} entries  {floor(entries):7.2f} s  SHA-256 alone")
        sys.exit(child.exitcode)


if __name__ == "__main__":
    main()
